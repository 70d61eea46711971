"""One bot's books. Every method that writes is one transaction, and each begins by checking the lease's epoch.

Fill, trade, position, balance, journal, cursor and queued notification commit together or not at all. It decides
nothing: what to write comes from the engine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.models.bot import BotRow
from bot_core.models.config import BotConfig
from bot_core.models.errors import InvalidBotError
from bot_core.schema import bots, messages, positions, trades
from bot_core.schema import state as state_table
from bot_core.store.config_history import record_change
from bot_core.store.database import Database
from bot_core.store.events import record_event
from bot_core.store.heartbeat import Beat, beat
from bot_core.store.journal import OrderState, filled_values, move, working_orders, write_intent
from bot_core.store.leases import Lease, LeaseStore
from bot_runtime.domain.order import Fill, OrderIntent
from bot_runtime.domain.position import Position
from bot_runtime.domain.trade import Trade
from bot_runtime.persistence.messages import closed_message, opened_message
from bot_runtime.persistence.rows import (
    WorkingOrder,
    closed_position_values,
    closed_trade_values,
    is_mine,
    open_trade_values,
    order_values,
    position_values,
    read_snapshot,
    state_values,
    superseded,
    working_order,
)
from bot_runtime.persistence.snapshot import Snapshot

_ENTERED = func.coalesce(trades.c.entry_time, trades.c.buy_order_created, trades.c.created_at)


@dataclass(frozen=True)
class Saved:
    """What the tables know of a bot. No snapshot: it never ran here, or a person cleared its account."""

    snapshot: Snapshot | None
    cursor: datetime | None
    document: Any
    working: tuple[WorkingOrder, ...]
    open_trades: tuple[dict[str, Any], ...]
    realized_pnl: Decimal


class Ledger:
    """Reads and writes for one bot under one lease."""

    def __init__(self, database: Database, leases: LeaseStore, lease: Lease, row: BotRow, config: BotConfig) -> None:
        self.database = database
        self.leases = leases
        self.lease = lease
        self.row = row
        self.config = config

    async def load(self) -> Saved:
        """Everything that a bot needs in order to go on, read in one transaction."""
        mine = trades.c.bot_id == self.row.id
        async with self.database.read() as connection:
            found = (
                await connection.execute(select(state_table).where(state_table.c.bot_id == self.row.id))
            ).one_or_none()
            working = await working_orders(connection, self.row.id)
            open_rows = await connection.execute(
                select(trades).where(mine, trades.c.status == "open").order_by(_ENTERED, trades.c.id)
            )
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
        """Note the configuration as the last good one, and the balance that the bot begins with."""
        async with self.database.write() as connection:
            await self.lease.check(connection)
            await record_change(connection, self.row.id, document)
            await self._save(connection, snapshot, config=document, config_hash=document_hash)
            await self._write_balance(connection, snapshot)

    async def intend(self, intent: OrderIntent, snapshot: Snapshot) -> bool:
        """Journal an order before it is sent. False, with nothing written, when it is in the journal already."""
        async with self.database.write() as connection:
            await self.lease.check(connection)
            new = await write_intent(connection, order_values(self.row, self.config, intent, self.lease.epoch))
            if new:
                await self._save(connection, snapshot)
            return new

    async def mark(self, client_order_id: str, state: OrderState, **values: Any) -> bool:
        """Move an order in the journal; False where its present state does not allow it."""
        async with self.database.write() as connection:
            await self.lease.check(connection)
            return await move(connection, client_order_id, state, **values)

    async def opened(self, intent: OrderIntent, fill: Fill, position: Position, snapshot: Snapshot) -> bool:
        """Book the fill of an entry. False, with nothing written, when it was booked before."""
        async with self.database.write() as connection:
            if not await self._book(connection, fill):
                return False
            position_id = await self._insert_position(connection, position)
            values = open_trade_values(self.row, self.config, intent, position)
            await connection.execute(insert(trades).values(position_id=position_id, **values))
            await self._finish(connection, snapshot, opened_message(self.row, self.config, position), intent)
            return True

    async def closed(self, intent: OrderIntent, fill: Fill, trade: Trade, snapshot: Snapshot) -> bool:
        """Book the fill of an exit. False, with nothing written, when it was booked before."""
        async with self.database.write() as connection:
            if not await self._book(connection, fill):
                return False
            position_id = await self._close_trade(connection, intent, trade)
            this = positions.c.id == position_id
            await connection.execute(update(positions).where(this).values(closed_position_values(trade)))
            await self._finish(connection, snapshot, closed_message(self.row, self.config, trade), intent)
            return True

    async def beat(self, snapshot: Snapshot | None) -> Beat:
        """Renew the lease, say that the bot lives, and move the cursor if there is something new."""
        values = None if snapshot is None else state_values(snapshot)
        return await beat(self.database, self.lease, self.row.user_id, self.leases.seconds, state=values)

    async def note(self, kind: str, message: str, *, new: Any = None, correlation_id: str | None = None) -> None:
        """Append to `bot_events`."""
        async with self.database.write() as connection:
            await record_event(
                connection, self.row.id, kind, message, actor="runtime", new=new, correlation_id=correlation_id
            )

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

    async def _book(self, connection: AsyncConnection, fill: Fill) -> bool:
        await self.lease.check(connection)
        values = filled_values(fill.quantity, fill.price, fill.commission)
        return await move(connection, fill.client_order_id, OrderState.FILLED, **values)

    async def _finish(
        self, connection: AsyncConnection, snapshot: Snapshot, message: dict[str, Any] | None, intent: OrderIntent
    ) -> None:
        await self._save(connection, snapshot)
        await self._write_balance(connection, snapshot)
        if message is not None:
            message["metadata"]["correlation_id"] = intent.client_order_id
            await connection.execute(insert(messages).values(message))

    async def _insert_position(self, connection: AsyncConnection, position: Position) -> int:
        values = position_values(self.row, self.config, position)
        result = await connection.execute(insert(positions).values(values).returning(positions.c.id))
        return int(result.scalar_one())

    async def _close_trade(self, connection: AsyncConnection, intent: OrderIntent, trade: Trade) -> int | None:
        found = await self._open_trade(connection)
        values = closed_trade_values(self.config, intent, trade, found.extra_metadata)
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
