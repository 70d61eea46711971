"""Daily, weekly and monthly reports of the bots whose documents ask for them, queued once each.

Whoever holds the duty calls `write_due` every minute or so. A report and the note that it was written are one
transaction under the duty's epoch, so neither a crash nor a second process loses or doubles one. It delivers nothing.
"""

import asyncio
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import structlog
from sqlalchemy import Text, cast, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.models.bot import BotRow, desired_state
from bot_core.models.config import parse_config
from bot_core.models.errors import TradingBotError
from bot_core.models.operation import time_zone
from bot_core.models.recipients import Purpose, Subject, Targets, addresses
from bot_core.schema import bots, events, positions, trades
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_core.store.duties import Duty
from bot_core.store.events import record_event
from bot_core.store.outbox import post
from bot_runtime.notifications.periods import Period, due_periods
from bot_runtime.notifications.reports import Holding, build_report, read_trade

_log = structlog.get_logger(__name__)
#: In the duty's memory: up to when everything that was due has been written.
UNTIL = "summaries_until"
_EVENT = "report"
#: Days begin on a quarter of an hour of UTC in every zone: between two of them there is nothing to look for.
_QUARTER = timedelta(minutes=15)


class SummaryWriter:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._store = BotStore(database, actor="summaries")

    async def write_due(self, duty: Duty, now: datetime) -> int:
        """Queue the reports of the periods that have ended by `now` and are not written yet; returns how many.

        The first call ever only notes the time. Raises LeaseLostError when another process has taken the duty, and
        DatabaseUnavailableError; in both cases the next call, of whichever process, goes on where this one stopped.
        """
        since = await self._since(duty, now)
        if since is None or _quarter(since) >= _quarter(now):
            return 0
        written = 0
        for row, created in await self._candidates():
            try:
                written += await self._write_for(duty, row, created, since, now)
            except TradingBotError:
                raise
            except Exception as error:  # noqa: BLE001  # one bot's rows must not keep the reports of the others
                _log.error("report_failed", bot_id=row.id, error=str(error), exc_info=error)
            await asyncio.sleep(0)  # many documents are read: others have their turn between two
        async with self._database.write() as connection:
            await duty.remember(connection, **{UNTIL: now.isoformat()})
        return written

    async def _since(self, duty: Duty, now: datetime) -> datetime | None:
        async with self._database.write() as connection:
            memory = await duty.check(connection)
            known = _time(memory.get(UNTIL))
            if known is None:
                await duty.remember(connection, **{UNTIL: now.isoformat()})
            return known

    async def _candidates(self) -> list[tuple[BotRow, datetime | None]]:
        """The bots whose documents may ask for a summary, in whatever form, and when each was made."""
        query = select(bots.c.id, bots.c.created_at).where(cast(bots.c.config, Text).contains("summar"))
        async with self._database.read() as connection:
            created: dict[int, datetime | None] = {one.id: one.created_at for one in await connection.execute(query)}
        return [(row, created[row.id]) for row in await self._store.all(created)] if created else []

    async def _write_for(
        self, duty: Duty, row: BotRow, created: datetime | None, since: datetime, now: datetime
    ) -> int:
        subject = Subject.readable(row)
        if not addresses(subject, Purpose.SUMMARY, Targets.of(os.environ)):
            return 0
        zone = _zone(row)
        due = [
            period
            for period in due_periods(now, zone, since)
            if period.kind in subject.notifications.summaries and (created is None or created < period.end)
        ]
        return sum([await self._write(duty, row, subject, zone, period) for period in due])

    async def _write(self, duty: Duty, row: BotRow, subject: Subject, zone: tzinfo, period: Period) -> bool:
        async with self._database.write() as connection:
            await duty.check(connection)
            if await _is_written(connection, row.id, period):
                return False
            closed = await _closed(connection, row.id, period)
            held = await _held(connection, row.id)
            if not (closed or held or desired_state(row).run):
                return False  # a bot that stands still has nothing to report
            found = [trade for trade in map(read_trade, closed) if trade is not None]
            letter = build_report(row.name, period, zone, found, row.current_balance, held)
            message = f"the {period.kind} report of {period} was queued"
            await record_event(connection, row.id, _EVENT, message, actor="runtime", new=_note(period))
            await post(connection, subject, letter)
        _log.info("report_queued", bot_id=row.id, period=str(period.kind), days=str(period))
        return True


async def _is_written(connection: AsyncConnection, bot_id: int, period: Period) -> bool:
    mine = (events.c.bot_id == bot_id) & (events.c.kind == _EVENT) & (events.c.at >= period.end)
    return _note(period) in [*await connection.scalars(select(events.c.new_value).where(mine))]


def _note(period: Period) -> dict[str, str]:
    return {"period": str(period.kind), "first": period.first.isoformat(), "last": period.last.isoformat()}


async def _closed(connection: AsyncConnection, bot_id: int, period: Period) -> list[Mapping[Any, Any]]:
    mine = (trades.c.bot_id == bot_id) & (trades.c.status == "closed")
    within = (trades.c.exit_time >= period.start) & (trades.c.exit_time < period.end)
    found = await connection.execute(select(trades).where(mine, within).order_by(trades.c.exit_time, trades.c.id))
    return [*found.mappings()]


async def _held(connection: AsyncConnection, bot_id: int) -> list[Holding]:
    query = select(positions.c.symbol, positions.c.qty_open, positions.c.avg_price)
    mine = (positions.c.bot_id == bot_id) & (positions.c.status == "open")
    return [Holding(*row) for row in await connection.execute(query.where(mine).order_by(positions.c.id))]


def _zone(row: BotRow) -> tzinfo:
    """The bot's own zone; UTC where its document names none that is known."""
    scheduling = (parse_config(row.config).canonical or {}).get("scheduling")
    name = scheduling.get("timezone") if isinstance(scheduling, Mapping) else None
    try:
        return time_zone(name) if isinstance(name, str) else UTC
    except ValueError:
        return UTC


def _time(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None


def _quarter(moment: datetime) -> int:
    return int(moment.timestamp() // _QUARTER.total_seconds())
