"""Writes figures of each bot that this process trades, per UTC day and per so many trades. A companion.

It reads tables beside the bots and is never part of a trade: what it can't write now it writes later. Days are those of
the bot's own bars, so bars of the past give the rows of the past.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog

from bot_core.correlation import about_bot
from bot_core.models.errors import LeaseLostError
from bot_core.store.database import Database
from bot_core.store.leases import Lease
from bot_runtime.companions import pause
from bot_runtime.engine.board import BotBoard, FleetBoard, Phase
from bot_runtime.engine.track_record import Closed, History, due_marks, figures
from bot_runtime.feeds.intervals import next_open
from bot_runtime.persistence.performance_rows import (
    Outline,
    TradeRows,
    opening_cash,
    read_outline,
    read_trades,
    write_rows,
)

_log = structlog.get_logger(__name__)
_SECONDS = 5.0
_DAY = timedelta(days=1)
#: A bot that has stopped gets its last figures, unless another process has taken it over by then.
_TRADED = frozenset({Phase.RUNNING, Phase.STOPPING, Phase.STOPPED})


class PerformanceRecorder:
    """`holder` is the name under which this process holds leases."""

    name = "performance-recorder"

    def __init__(
        self, database: Database, fleet: FleetBoard, holder: str, *, every: int = 20, seconds: float = _SECONDS
    ) -> None:
        self._database = database
        self._fleet = fleet
        self._holder = holder
        self._every = every
        self._seconds = seconds
        self._seen: dict[int, tuple[Any, ...]] = {}

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await pause(stop, self._seconds)
            await self.record()

    async def record(self) -> None:
        """Look at each bot once. One bot's trouble is its own; a database that is away is asked again later."""
        self._seen = {bot_id: seen for bot_id, seen in self._seen.items() if bot_id in self._fleet.bots}
        boards = [board for board in self._fleet.bots.values() if board.phase in _TRADED and board.epoch]
        for board in boards:
            with about_bot(board.bot_id, board.correlation_id):
                try:
                    await self._record(board)
                except Exception as error:  # noqa: BLE001  # figures are no reason to stop anything
                    _log.warning("performance_not_written", error=str(error), error_type=type(error).__name__)

    async def _record(self, board: BotBoard) -> None:
        trades, epoch, document = board.trades, board.epoch, board.config_hash
        today = None if board.bar_time is None else board.bar_time.date()
        if epoch is None or self._seen.get(board.bot_id) == (trades, epoch, document, today):
            return
        outline = await read_outline(self._database, board.bot_id)
        if outline is None:
            return
        if _may_be_due(outline, self._every):
            rows = await read_trades(self._database, board.bot_id, outline.group)
            found = await asyncio.to_thread(_due, outline, rows, self._every)
            if found:
                await self._write(Lease(board.bot_id, self._holder, epoch), outline, found)
        # The cursor in the tables may be behind the bot's own: then this day is looked at again.
        self._seen[board.bot_id] = (trades, epoch, document, outline.cursor.date())

    async def _write(self, lease: Lease, outline: Outline, found: Sequence[Mapping[str, Any]]) -> None:
        try:
            written = await write_rows(self._database, lease, outline.group, found)
        except LeaseLostError:
            return  # another process trades it by now, and writes its figures
        if written:
            _log.info("performance_written", rows=written, newest=found[-1]["mark"])


def _may_be_due(outline: Outline, every: int) -> bool:
    """Whether a day is over, or so many more trades are closed, than was written of: most looks need no trades."""
    if outline.first_exit is None:
        return False
    day = outline.first_exit.date() if outline.last_day is None else outline.last_day + _DAY
    return _now(outline).date() > day or outline.closed // every > outline.last_trades // every


def _now(outline: Outline) -> datetime:
    """The bar at the cursor is closed: a day whose last bar it is, is over."""
    return next_open(outline.cursor, outline.config.data.interval)


def _due(outline: Outline, rows: TradeRows, every: int) -> list[dict[str, Any]]:
    closed = [Closed(row["entry_time"], row["exit_time"], row["net_pnl"], row["commission"]) for row in rows.closed]
    history = History(opening_cash(outline.config), closed, rows.open_since)
    marks = due_marks(history, every, _now(outline), outline.last_day, outline.last_trades)
    return [figures(history, mark) for mark in marks]
