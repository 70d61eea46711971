"""When a resource is under pressure: one word when it begins, one when it is over. Pure; no clock, no process."""

from dataclasses import dataclass
from enum import StrEnum

#: Over is what has fallen below this part of the threshold: a value that swings around it is one pressure.
_OVER = 0.9
#: So many looks in a row must be above the threshold: a peak is no pressure.
_LOOKS = 2


class Change(StrEnum):
    BEGAN = "began"
    ENDED = "ended"


@dataclass(frozen=True)
class Thresholds:
    """Shares of 1 of processor, memory and file descriptors, and seconds that the event loop is late."""

    cpu: float = 0.9
    memory: float = 0.85
    fds: float = 0.8
    event_loop: float = 0.25


class Pressure:
    """One resource and its threshold. `on` says whether it is under pressure."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.on = False
        self._above = 0

    def look(self, value: float | None) -> Change | None:
        """Take in a value, and return what that changes. A value that is not known changes nothing."""
        if value is None:
            return None
        self._above = self._above + 1 if value > self.threshold else 0
        if not self.on and self._above >= _LOOKS:
            self.on = True
            return Change.BEGAN
        if self.on and value < self.threshold * _OVER:
            self.on = False
            return Change.ENDED
        return None
