"""Proof that loops advance. Alive means that each loop marked its turn lately, whatever it depends on."""

import time
from collections.abc import Callable


class Progress:
    """When each named loop last turned. A loop that has ended is forgotten, not overdue."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._marks: dict[str, float] = {}

    def mark(self, loop: str) -> None:
        self._marks[loop] = self._clock()

    def forget(self, loop: str) -> None:
        self._marks.pop(loop, None)

    def ages(self) -> dict[str, float]:
        """Seconds since each loop's last turn. May be asked from another thread."""
        now = self._clock()
        return {loop: now - mark for loop, mark in list(self._marks.items())}

    def overdue(self, seconds: float) -> dict[str, float]:
        """The loops that have stood still for longer, with their ages."""
        return {loop: age for loop, age in self.ages().items() if age > seconds}
