"""`trading_performance_metrics`: what a bot's figures are computed from, and the rows that they become.

Rows are written under the bot's lease, so that exactly one process writes each, and in a short transaction: the bot's
heartbeat waits for the same lease.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.models.config import BotConfig, parse_config
from bot_core.schema import performance_metrics as table
from bot_core.schema import state, trades
from bot_core.store.database import Database
from bot_core.store.leases import Lease

#: What a row is about; its figures are those of the trades that agree in all of it.
GROUP = ("trade_type", "symbol", "interval", "entry_logic_name", "exit_logic_name")
_CLOSED = (
    trades.c.status == "closed",
    *(trades.c[name].is_not(None) for name in ("entry_time", "exit_time", "net_pnl", "commission")),
)


#: Trades of one transaction: reading them holds up neither the event loop nor, on SQLite, whoever wants to write.
PAGE = 500
_TRADE = ("id", "entry_time", "exit_time", "net_pnl", "commission", "status")


@dataclass(frozen=True)
class Outline:
    """What tells whether figures are due: the bot's document and cursor, how many trades, the newest marks written."""

    config: BotConfig
    cursor: datetime
    closed: int
    first_exit: datetime | None
    last_day: date | None
    last_trades: int

    @property
    def group(self) -> dict[str, Any]:
        return group_of(self.config)


@dataclass(frozen=True)
class TradeRows:
    """The closed trades of a group in the order of their exits, and since when one is open, if one is."""

    closed: Sequence[Mapping[str, Any]]
    open_since: datetime | None


def group_of(config: BotConfig) -> dict[str, Any]:
    values = (config.broker.trading_mode, config.symbol, config.data.interval)
    return dict(zip(GROUP, (*values, config.strategy.entry.name, config.strategy.exit.name), strict=True))


async def read_outline(database: Database, bot_id: int) -> Outline | None:
    """In one transaction, and without a single trade; None for a bot that has not begun."""
    async with database.read() as connection:
        query = select(state.c.config, state.c.cursor).where(state.c.bot_id == bot_id)
        begun = (await connection.execute(query)).one_or_none()
        config = None if begun is None or begun.config is None else parse_config(begun.config).config
        if begun is None or begun.cursor is None or config is None:
            return None
        group = group_of(config)
        count = select(func.count(), func.min(trades.c.exit_time)).where(
            trades.c.bot_id == bot_id, *_agrees(trades, group), *_CLOSED
        )
        closed, first = (await connection.execute(count)).one()
        return Outline(config, begun.cursor, closed, first, *await _last_marks(connection, bot_id, group))


async def read_trades(database: Database, bot_id: int, group: Mapping[str, Any]) -> TradeRows:
    """All trades of a group, page by page, since there may be very many."""
    found: list[Mapping[str, Any]] = []
    mine = select(*(trades.c[name] for name in _TRADE)).where(trades.c.bot_id == bot_id, *_agrees(trades, group))
    query, full = mine, True
    while full:
        async with database.read() as connection:
            page = (await connection.execute(query.order_by(trades.c.id).limit(PAGE))).mappings().all()
        found += [dict(row) for row in page]
        full = len(page) == PAGE
        query = mine.where(trades.c.id > page[-1]["id"]) if page else mine
    held = [row["entry_time"] for row in found if row["status"] == "open" and row["entry_time"] is not None]
    closed = [row for row in found if row["status"] == "closed" and None not in row.values()]
    return TradeRows(sorted(closed, key=lambda row: row["exit_time"]), max(held, default=None))


async def write_rows(
    database: Database, lease: Lease, group: Mapping[str, Any], found: Sequence[Mapping[str, Any]]
) -> int:
    """Write figures that are not there yet, and return how many those were. Raises LeaseLostError."""
    async with database.write() as connection:
        await lease.check(connection)
        last_day, last_trades = await _last_marks(connection, lease.bot_id, group)
        new = [one for one in found if _is_newer(one, last_day, last_trades)]
        now = datetime.now(UTC)
        for one in new:
            values = {"bot_id": lease.bot_id, "metrics": dict(one), "calculated_at": now, "created_at": now}
            await connection.execute(insert(table).values(**values, **group))
        return len(new)


async def recent_rows(database: Database, bot_id: int, limit: int) -> list[dict[str, Any]]:
    """The newest rows of a bot, newest first, of whatever program."""
    async with database.read() as connection:
        query = select(table).where(table.c.bot_id == bot_id).order_by(table.c.calculated_at.desc(), table.c.id.desc())
        return [dict(row) for row in (await connection.execute(query.limit(limit))).mappings()]


def _agrees(source: Any, group: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    return [source.c[name] == value for name, value in group.items()]


def _is_newer(one: Mapping[str, Any], last_day: date | None, last_trades: int) -> bool:
    if one["kind"] == "day":
        return last_day is None or date.fromisoformat(one["mark"]) > last_day
    return int(one["mark"]) > last_trades


async def _last_marks(connection: AsyncConnection, bot_id: int, group: Mapping[str, Any]) -> tuple[date | None, int]:
    day = await _last_mark(connection, bot_id, group, "day")
    count = await _last_mark(connection, bot_id, group, "trades")
    return (None if day is None else date.fromisoformat(day)), int(count or 0)


async def _last_mark(connection: AsyncConnection, bot_id: int, group: Mapping[str, Any], kind: str) -> str | None:
    # As text: the column is JSON on one database and JSONB on the other, and both write it like this.
    ours = cast(table.c.metrics, Text).like(f'%"kind": "{kind}"%')
    query = select(table.c.metrics).where(table.c.bot_id == bot_id, ours, *_agrees(table, group))
    metrics = await connection.scalar(query.order_by(table.c.id.desc()).limit(1))
    return str(metrics["mark"]) if isinstance(metrics, Mapping) and "mark" in metrics else None


def opening_cash(config: BotConfig) -> Decimal:
    return Decimal(str(config.broker.cash))
