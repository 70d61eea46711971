"""Writes figures of each bot that this process trades, per UTC day and per so many trades. A companion.

It reads tables beside the bots and is never part of a trade: what it can't write now it writes later. Days are those of
the bot's own bars, so bars of the past give the rows of the past.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date
from typing import Any

import structlog

from bot_core.correlation import about_bot
from bot_core.models.errors import LeaseLostError
from bot_core.store.database import Database
from bot_core.store.leases import Lease
from bot_runtime.engine.board import BotBoard, FleetBoard, Phase
from bot_runtime.engine.track_record import Closed, History, due_marks, figures
from bot_runtime.feeds.intervals import next_open
from bot_runtime.persistence.performance_rows import Facts, opening_cash, read_facts, write_rows

_log = structlog.get_logger(__name__)
_SECONDS = 5.0
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
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._seconds)
            await self.record()

    async def record(self) -> None:
        """Look at each bot once. One bot's trouble is its own; a database that is away is asked again later."""
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
        facts = await read_facts(self._database, board.bot_id)
        if facts is None:
            return
        found = await asyncio.to_thread(_due, facts, self._every)
        if found:
            await self._write(Lease(board.bot_id, self._holder, epoch), facts, found)
        # The cursor in the tables may be behind the bot's own: then this day is looked at again.
        self._seen[board.bot_id] = (trades, epoch, document, _day(facts))

    async def _write(self, lease: Lease, facts: Facts, found: Sequence[Mapping[str, Any]]) -> None:
        try:
            written = await write_rows(self._database, lease, facts.group, found)
        except LeaseLostError:
            return  # another process trades it by now, and writes its figures
        if written:
            _log.info("performance_written", rows=written, newest=found[-1]["mark"])


def _day(facts: Facts) -> date:
    return facts.cursor.date()


def _due(facts: Facts, every: int) -> list[dict[str, Any]]:
    closed = [Closed(row["entry_time"], row["exit_time"], row["net_pnl"], row["commission"]) for row in facts.closed]
    history = History(opening_cash(facts.config), closed, facts.open_since)
    # The bar at the cursor is closed: a day whose last bar it is, is over.
    now = next_open(facts.cursor, facts.config.data.interval)
    return [figures(history, mark) for mark in due_marks(history, every, now, facts.last_day, facts.last_trades)]
