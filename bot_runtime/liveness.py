"""Whether this process is alive: every loop turned lately, and the event loop was not blocked. One judgement for all.

A probe and the service manager ask it. That a dependency is down never makes a process dead.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bot_runtime.engine.board import FleetBoard
from bot_runtime.engine.progress import Progress

#: Seconds after which a bot's loop that stood still turns again, if it ever does: noticed, cancelled, built anew.
_MENDED = 20.0


@dataclass(frozen=True)
class Verdict:
    """`stalled`: loops that stand still, with seconds. `blocked_seconds`: of the event loop, lately; else 0."""

    stalled: dict[str, float]
    blocked_seconds: float

    @property
    def alive(self) -> bool:
        return not self.stalled and not self.blocked_seconds

    def __str__(self) -> str:
        parts = [f"{loop} has stood still for {age:.0f} s" for loop, age in self.stalled.items()]
        if self.blocked_seconds:
            parts.append(f"the event loop was blocked for {self.blocked_seconds:.0f} s")
        return ", ".join(parts) or "alive"


class Liveness:
    def __init__(
        self, fleet: FleetBoard, progress: Progress, *, stall_seconds: float, blocked: Callable[[], float]
    ) -> None:
        """`blocked`: for how many seconds the event loop was blocked lately, 0 where it was not."""
        self._fleet = fleet
        self._progress = progress
        self._stall_seconds = stall_seconds
        self._blocked = blocked

    def verdict(self) -> Verdict:
        """A bot's loop has the time in addition in which it is cancelled and built again from inside."""
        overdue = self._progress.overdue(self._stall_seconds)
        bots = {f"bot-{bot_id}" for bot_id in self._fleet.bots}
        patience = self._stall_seconds + _MENDED
        stalled = {loop: age for loop, age in overdue.items() if loop not in bots or age > patience}
        return Verdict(stalled, self._blocked())
