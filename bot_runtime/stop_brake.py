"""The safety brake of a process that runs bots: which of them may not be stopped yet, although their rows say so.

It stops nothing and reads no document. A reading that fails holds every bot.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from bot_core.models.bot import BotRow, desired_state
from bot_core.models.brake import BrakeLimits, BrakeMemory, Level, Reading, TableState, judge
from bot_core.store.brake import Brake
from bot_core.store.database import Database
from bot_core.store.wishes import read_fleet

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Held:
    """Bots of this process that stay; `why` is for people."""

    bots: frozenset[int] = frozenset()
    why: str = ""


class StopBrake(Protocol):
    async def held(self, rows: Sequence[BotRow], running: Collection[int]) -> Held:
        """Judge a reading of all rows of this process, of which these bots run."""


class ServiceBrake:
    """For a process that runs all bots: it judges them by itself, and a person confirms by its table."""

    def __init__(self, brake: Brake) -> None:
        self._brake = brake

    async def held(self, rows: Sequence[BotRow], running: Collection[int]) -> Held:
        wanted = {row.id for row in rows if desired_state(row).run}
        table = TableState.FILLED if rows else TableState.EMPTY
        braked = await self._brake.judge(running, wanted, table)
        return Held(braked.verdict.held, braked.message)


class PodBrake:
    """For a process that runs few of many: it judges all rows, and who runs by the leases.

    A bot whose row is gone stays in any case: whoever started this process ends it.
    """

    def __init__(self, database: Database, limits: BrakeLimits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._limits = limits
        self._clock = clock
        self._memory = BrakeMemory()

    async def held(self, rows: Sequence[BotRow], running: Collection[int]) -> Held:
        gone = frozenset(running) - {row.id for row in rows}
        stopping = frozenset(row.id for row in rows if not desired_state(row).run)
        if not stopping:
            self._memory = BrakeMemory()
            return Held(gone, "its row is gone" if gone else "")
        fleet = await read_fleet(self._database, self._limits.window_seconds)
        everybody = fleet.leased | stopping | frozenset(running)
        reading = Reading(everybody, fleet.wanted, self._clock(), fleet.table, stopped_before=fleet.stopped_lately)
        verdict = judge(self._memory, reading, self._limits)
        before, self._memory = self._memory, verdict.memory
        kept = verdict.held & stopping
        until = "a second reading says the same" if verdict.level is Level.WAITS else "they are back, or SIGTERM"
        why = f"{verdict.why}; held until {until}" if kept else ""
        if kept and before.held != verdict.held:
            _log.error("removal_held", bots=sorted(kept), message=why)
        return Held(kept | gone, why or ("its row is gone" if gone else ""))
