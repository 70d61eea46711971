"""Tells loops that stand still from a process that stood still. It cancels nothing."""

import time
from collections.abc import Callable

from bot_runtime.engine.progress import Progress

#: A loop is reported when it was found overdue in so many looks one after the other.
LOOKS = 3
_CLOSEST = 0.5
_FARTHEST = 10.0


class StallWatch:
    """`look` every second or two.

    A process that was paused, or whose event loop was blocked, finds every loop overdue when it goes on; none of them
    is at fault, and each turns as soon as it may. So a loop counts only when it stays overdue while this one turns.
    """

    def __init__(self, progress: Progress, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress = progress
        self._seconds = seconds
        self._clock = clock
        self._looked: float | None = None
        self._found: dict[str, int] = {}

    def look(self) -> dict[str, float]:
        """The loops that stand still, with the seconds since their last turn."""
        now = self._clock()
        gap = None if self._looked is None else now - self._looked
        if gap is not None and gap < _CLOSEST:
            return {}
        self._looked = now
        overdue = self._progress.overdue(self._seconds)
        before = {} if gap is None or gap > _FARTHEST else self._found
        self._found = {loop: before.get(loop, 0) + 1 for loop in overdue}
        return {loop: age for loop, age in overdue.items() if self._found[loop] >= LOOKS}
