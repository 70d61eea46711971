"""`bot_limits`: what several bots may risk together, and the check that an entry must pass before it is journaled.

The check runs in the transaction that journals the entry, and locks the limits that concern it: of two bots that ask
at once, the second sees the first one's entry. Exits never ask.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, TypeAlias, assert_never

from sqlalchemy import BindParameter, Column, ColumnElement, and_, func, insert, or_, select, true, update
from sqlalchemy import delete as delete_from
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.models.limit import Limit, LimitScope
from bot_core.schema import bots, limits, orders, positions, state, trades
from bot_core.store.database import Database
from bot_core.store.journal import WORKING

#: The account of orders that reach no venue; `bot_orders` has no column for the mode.
PAPER_ACCOUNT = "paper"
_ZERO = Decimal(0)
_Text: TypeAlias = str | BindParameter[Any]


class LimitStore:
    def __init__(self, database: Database) -> None:
        self.database = database

    async def set(
        self,
        scope: LimitScope,
        target: str,
        mode: str,
        *,
        max_exposure: Decimal | None = None,
        max_daily_loss: Decimal | None = None,
        by: str,
    ) -> Limit:
        """Make a limit or change it; None leaves a value as it is."""
        given = {"max_exposure": max_exposure, "max_daily_loss": max_daily_loss}
        values: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        values |= {"updated_by": by[:100], "updated_at": datetime.now(UTC)}
        key = {"scope": scope, "target": target, "trading_mode": mode}
        async with self.database.write() as connection:
            row = (await connection.execute(update(limits).where(_is(key)).values(values).returning(limits))).first()
            if row is None:
                row = (await connection.execute(insert(limits).values(key | values).returning(limits))).one()
            return _limit(row._mapping)  # noqa: SLF001  # the documented way to a mapping

    async def clear(self, scope: LimitScope, target: str, mode: str) -> bool:
        """Remove a limit; False where there is none."""
        key = {"scope": scope, "target": target, "trading_mode": mode}
        async with self.database.write() as connection:
            return (await connection.execute(delete_from(limits).where(_is(key)))).rowcount > 0

    async def all(self) -> list[Limit]:
        async with self.database.read() as connection:
            return [_limit(row) for row in (await connection.execute(select(limits).order_by(limits.c.id))).mappings()]


async def reserve(
    connection: AsyncConnection, *, bot_id: int, user_id: int, account: str, mode: str, value: Decimal, day: date
) -> str | None:
    """Why an entry of this value may not be made, with the limit and by how much; None where it may.

    Call it before the entry is journaled, in the same transaction: the locks that it takes, always in the order of
    the limits' ids, last until that ends. `day` is the UTC day on which losses are counted.
    """
    query = select(limits).where(standing(mode, str(user_id), account))
    rows = await connection.execute(query.order_by(limits.c.id).with_for_update())
    for limit in [_limit(row) for row in rows.mappings()]:
        text = await _loss_beyond(connection, limit, day) or await _exposure_beyond(connection, limit, bot_id, value)
        if text is not None:
            return text
    return None


async def _loss_beyond(connection: AsyncConnection, limit: Limit, day: date) -> str | None:
    if limit.max_daily_loss is None:
        return None
    begin = datetime.combine(day, time(0), UTC)
    closed = and_(trades.c.status == "closed", trades.c.trade_type == limit.trading_mode)
    today = and_(trades.c.exit_time >= begin, trades.c.exit_time < begin + timedelta(days=1))
    query = select(trades.c.net_pnl).where(closed, today, _of(limit, trades.c.bot_id))
    # Summed here: SQLite has no exact numbers.
    loss = -sum((pnl or _ZERO for pnl in await connection.scalars(query)), _ZERO)
    if loss <= _ZERO or loss < limit.max_daily_loss:
        return None
    return (
        f"max_daily_loss of {limit} is {_plain(limit.max_daily_loss)}: {_plain(loss)} was lost on {day} (UTC), "
        f"{_plain(loss - limit.max_daily_loss)} beyond it"
    )


async def _exposure_beyond(connection: AsyncConnection, limit: Limit, bot_id: int, value: Decimal) -> str | None:
    if limit.max_exposure is None:
        return None
    # In this order: an entry that is booked in between counts twice rather than not at all.
    taken = await _on_the_way(connection, limit, bot_id)
    taken += await _held(connection, limit)
    over = taken + value - limit.max_exposure
    if over <= _ZERO:
        return None
    return (
        f"max_exposure of {limit} is {_plain(limit.max_exposure)}: {_plain(taken)} is held or on its way, "
        f"an entry of {_plain(value)} would exceed it by {_plain(over)}"
    )


async def _held(connection: AsyncConnection, limit: Limit) -> Decimal:
    """What the open positions cost."""
    mine = and_(positions.c.status == "open", positions.c.trade_type == limit.trading_mode)
    query = select(positions.c.qty_open, positions.c.avg_price).where(mine, _of(limit, positions.c.bot_id))
    return sum(((price or _ZERO) * quantity for quantity, price in await connection.execute(query)), _ZERO)


async def _on_the_way(connection: AsyncConnection, limit: Limit, bot_id: int) -> Decimal:
    """What the working entries of the other bots would cost.

    All of each: what has filled of one becomes a position when the rest is decided. Of its own a bot has none that
    counts, as it has one entry at a time: the very one that is asked for.
    """
    paper = or_(orders.c.account.is_(None), orders.c.account == PAPER_ACCOUNT)
    query = select(orders.c.quantity, func.coalesce(orders.c.limit_price, orders.c.price)).where(
        orders.c.purpose == "entry",
        orders.c.state.in_(WORKING),
        orders.c.bot_id != bot_id,
        paper if limit.trading_mode == "paper" else ~paper,
        orders.c.account == limit.target if limit.scope is LimitScope.ACCOUNT else _of(limit, orders.c.bot_id),
    )
    return sum(((price or _ZERO) * quantity for quantity, price in await connection.execute(query)), _ZERO)


def standing(mode: _Text, user_id: _Text, account: _Text) -> ColumnElement[bool]:
    """Whether a limit is one for entries of a user, in this mode and with this account's money."""
    aimed = or_(
        limits.c.scope == LimitScope.ALL,
        and_(limits.c.scope == LimitScope.USER, limits.c.target == user_id),
        and_(limits.c.scope == LimitScope.ACCOUNT, limits.c.target == account),
    )
    return and_(limits.c.trading_mode == mode, aimed)


def _of(limit: Limit, bot_id: Column[Any]) -> ColumnElement[bool]:
    """Whether a row's bot is one of those that the limit is for."""
    match limit.scope:
        case LimitScope.USER:
            return bot_id.in_(select(bots.c.id).where(bots.c.user_id == int(limit.target)))
        case LimitScope.ACCOUNT:
            return bot_id.in_(select(state.c.bot_id).where(state.c.broker_account == limit.target))
        case LimitScope.ALL:
            return true()
        case _:
            assert_never(limit.scope)


def _is(key: Mapping[str, str]) -> ColumnElement[bool]:
    return and_(*(limits.c[name] == value for name, value in key.items()))


def _limit(row: Mapping[Any, Any]) -> Limit:
    return Limit(**dict(row) | {"scope": LimitScope(row["scope"])})


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
