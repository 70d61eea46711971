"""One bot's books. Every method that writes is one transaction, and each begins by checking the lease's epoch.

Fill, trade, position, balance, journal, cursor and queued notification commit together or not at all. It decides
nothing: what to write comes from the engine.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.models.errors import InvalidBotError
from bot_core.schema import bots, positions, trades
from bot_core.schema import state as state_table
from bot_core.store.config_history import record_change
from bot_core.store.intents import intend_at_once
from bot_core.store.journal import (
    OrderState,
    attempts_at,
    move,
    working_orders,
    write_intent,
)
from bot_core.store.limits import reserve
from bot_core.store.outbox import Letter
from bot_runtime.domain.order import OrderIntent, OrderReport, OrderStatus, Purpose, client_order_id
from bot_runtime.domain.position import Position
from bot_runtime.domain.trade import Trade
from bot_runtime.persistence.bot_journal import BotJournal, filled_columns
from bot_runtime.persistence.messages import closed_letter, opened_letter
from bot_runtime.persistence.rows import (
    WorkingOrder,
    closed_position_values,
    closed_trade_values,
    is_mine,
    open_trade_values,
    order_values,
    position_values,
    read_snapshot,
    reduced_position_values,
    state_values,
    superseded,
    working_order,
)
from bot_runtime.persistence.snapshot import Snapshot

_ENTERED = func.coalesce(trades.c.entry_time, trades.c.buy_order_created, trades.c.created_at)


@dataclass(frozen=True)
class Saved:
    """What the tables know of a bot. No snapshot: it never ran here, or a person cleared its account.

    `open_trades` are rows of the table with `qty_open` and `position_pnl` of their positions, None where there is none.
    """

    snapshot: Snapshot | None
    cursor: datetime | None
    document: Any
    working: tuple[WorkingOrder, ...]
    open_trades: tuple[dict[str, Any], ...]
    realized_pnl: Decimal


@dataclass(frozen=True)
class Refused:
    """Why an order was not journaled: it is `known`, or limits across bots leave no room for it."""

    known: bool
    reason: str


class Ledger(BotJournal):
    """The journal of a bot, and its books."""

    async def load(self) -> Saved:
        """Everything that a bot needs in order to go on, read in one transaction."""
        mine = trades.c.bot_id == self.row.id
        async with self.database.read() as connection:
            found = (
                await connection.execute(select(state_table).where(state_table.c.bot_id == self.row.id))
            ).one_or_none()
            working = await working_orders(connection, self.row.id)
            held = positions.c.qty_open, positions.c.realized_pnl.label("position_pnl")
            its_own = trades.outerjoin(positions, positions.c.id == trades.c.position_id)
            open_trades = select(trades, *held).select_from(its_own).where(mine, trades.c.status == "open")
            open_rows = await connection.execute(open_trades.order_by(_ENTERED, trades.c.id))
            closed = await connection.execute(select(trades.c.net_pnl).where(mine, trades.c.status == "closed"))
            return Saved(
                snapshot=None if found is None or found.account is None else read_snapshot(found),
                cursor=None if found is None else found.cursor,
                document=None if found is None else found.config,
                working=tuple(working_order(order) for order in working),
                open_trades=tuple(dict(row) for row in open_rows.mappings()),
                realized_pnl=sum((value or Decimal(0) for (value,) in closed), Decimal(0)),
            )

    async def begin(self, snapshot: Snapshot, document: Any, document_hash: str) -> None:
        """Note the configuration as the last good one, the account, and the balance that the bot begins with."""
        async with self.database.write() as connection:
            await self.lease.check(connection)
            await record_change(connection, self.row.id, document)
            more = {"config": document, "config_hash": document_hash, "broker_account": self.account}
            await self._save(connection, snapshot, **more)
            await self._write_balance(connection, snapshot)

    async def intend(self, intent: OrderIntent, snapshot: Snapshot) -> OrderIntent | Refused:
        """Journal an order before it is sent, and return it as journaled; or why it may not be, with nothing written.

        A stop or an exit whose like came to nothing gets an id of its own. Limits across bots are reserved by the
        very row that is written. One round trip on PostgreSQL where there is nothing to be weighed.
        """
        if not self.database.is_sqlite:
            values, saved = self._order_values(intent), state_values(snapshot)
            entry = intent.purpose is Purpose.ENTRY
            limited_by = (self.row.user_id, str(self.config.broker.trading_mode)) if entry else None
            if await intend_at_once(self.database, self.lease, values, saved, limited_by=limited_by):
                return intent
        async with self.database.write() as connection:
            await self.lease.check(connection)
            attempt = await attempts_at(
                connection, intent.client_order_id, self.row.id, intent.purpose, intent.signal_time
            )
            if attempt is None or (attempt and intent.purpose is Purpose.ENTRY):
                return Refused(known=True, reason=f"order {intent.client_order_id} is in the journal already")
            name = client_order_id(self.row.id, intent.purpose, intent.signal_time, attempt)
            refusal = await self._reserve(connection, intent)
            if refusal is not None:
                return Refused(known=False, reason=refusal)
            intent = replace(intent, client_order_id=name)
            await write_intent(connection, self._order_values(intent))
            await self._save(connection, snapshot)
            return intent

    def _order_values(self, intent: OrderIntent) -> dict[str, Any]:
        return order_values(self.row, self.config, intent, self.lease.epoch, self.account, self.correlation_id)

    async def _reserve(self, connection: AsyncConnection, intent: OrderIntent) -> str | None:
        if intent.purpose is not Purpose.ENTRY:
            return None
        return await reserve(
            connection,
            bot_id=self.row.id,
            user_id=self.row.user_id,
            account=self.account,
            mode=self.config.broker.trading_mode,
            value=intent.quantity * intent.signal_price,
            day=(datetime.now(UTC) if self.config.broker.trading_mode == "live" else intent.signal_time).date(),
        )

    async def opened(self, intent: OrderIntent, report: OrderReport, position: Position, snapshot: Snapshot) -> bool:
        """Book the fill of an entry. False, with nothing written, when it was booked before."""
        async with self.database.write() as connection:
            if not await self._book(connection, report):
                return False
            position_id = await self._insert_position(connection, position)
            values = open_trade_values(self.row, self.config, intent, position, self.correlation_id)
            await connection.execute(insert(trades).values(position_id=position_id, **values))
            await self._finish(connection, snapshot, intent, partial(opened_letter, self.config, position))
            return True

    async def closed(self, intent: OrderIntent, report: OrderReport, trade: Trade, snapshot: Snapshot) -> bool:
        """Book the fill of an exit. False, with nothing written, when it was booked before."""
        async with self.database.write() as connection:
            if not await self._book(connection, report):
                return False
            position_id = await self._close_trade(connection, intent, trade)
            this = positions.c.id == position_id
            await connection.execute(update(positions).where(this).values(closed_position_values(trade)))
            await self._finish(connection, snapshot, intent, partial(closed_letter, self.config, trade))
            return True

    async def reduced(self, intent: OrderIntent, report: OrderReport, position: Position, snapshot: Snapshot) -> bool:
        """Book an exit that is final and filled in part. False, with nothing written, when it was booked before."""
        async with self.database.write() as connection:
            if not await self._book(connection, report):
                return False
            this = positions.c.id == (await self._open_trade(connection)).position_id
            await connection.execute(update(positions).where(this).values(reduced_position_values(position)))
            await self._finish(connection, snapshot, intent)
            return True

    async def adopt(self, trade: Mapping[str, Any], position: Position, outdated: list[int]) -> None:
        """Take over a trade that an older program left open: give it a position, and mark those that it outdates.

        The others stay open, and say which one was adopted.
        """
        async with self.database.write() as connection:
            await self.lease.check(connection)
            if trade["position_id"] is None:
                position_id = await self._insert_position(connection, position)
                this = trades.c.id == trade["id"]
                await connection.execute(update(trades).where(this).values(position_id=position_id))
            query = select(trades.c.id, trades.c.extra_metadata).where(trades.c.id.in_(outdated))
            for trade_id, extra in (await connection.execute(query)).all():
                values = {"extra_metadata": superseded(extra, trade["id"])}
                await connection.execute(update(trades).where(trades.c.id == trade_id).values(values))

    async def _book(self, connection: AsyncConnection, report: OrderReport) -> bool:
        await self.lease.check(connection)
        state = OrderState.FILLED if report.status is OrderStatus.FILLED else OrderState.CANCELED
        values = filled_columns(report) | {"broker_order_id": report.broker_order_id}
        return await move(connection, report.client_order_id, state, **values)

    async def _finish(
        self,
        connection: AsyncConnection,
        snapshot: Snapshot,
        intent: OrderIntent,
        write: Callable[..., Letter] | None = None,
    ) -> None:
        await self._save(connection, snapshot)
        await self._write_balance(connection, snapshot)
        if write is not None:
            await self._tell(connection, partial(write, client_order_id=intent.client_order_id))

    async def _insert_position(self, connection: AsyncConnection, position: Position) -> int:
        values = position_values(self.row, self.config, position)
        result = await connection.execute(insert(positions).values(values).returning(positions.c.id))
        return int(result.scalar_one())

    async def _close_trade(self, connection: AsyncConnection, intent: OrderIntent, trade: Trade) -> int | None:
        found = await self._open_trade(connection)
        values = closed_trade_values(self.config, intent, trade, found.extra_metadata, self.correlation_id)
        await connection.execute(update(trades).where(trades.c.id == found.id).values(values))
        return found.position_id  # type: ignore[no-any-return]  # a row's column has no static type

    async def _open_trade(self, connection: AsyncConnection) -> Any:
        """The newest open trade of this market that no adopted one outdates."""
        query = select(trades).where(trades.c.bot_id == self.row.id, trades.c.status == "open")
        found = await connection.execute(query.order_by(_ENTERED.desc(), trades.c.id.desc()))
        for row in found:
            if is_mine(row._mapping, self.config):  # noqa: SLF001  # the documented way to a mapping
                return row
        raise InvalidBotError(
            f"trading_trades has no open {self.config.symbol} trade to close, though the bot holds a position; "
            "allowed: reopen the trade"
        )

    async def _write_balance(self, connection: AsyncConnection, snapshot: Snapshot) -> None:
        values = {"current_balance": snapshot.balance, "total_pnl": snapshot.account.realized_pnl}
        await connection.execute(update(bots).where(bots.c.id == self.row.id).values(values))

    async def _save(self, connection: AsyncConnection, snapshot: Snapshot, **more: Any) -> None:
        values = state_values(snapshot) | more
        result = await connection.execute(update(state_table).where(state_table.c.bot_id == self.row.id).values(values))
        if result.rowcount == 0:
            await connection.execute(insert(state_table).values(bot_id=self.row.id, **values))
