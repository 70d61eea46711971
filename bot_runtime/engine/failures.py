"""How often a bot may fail before it is left alone. Pure: the clock is the caller's."""

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class FailureLimit:
    """A bot that fails this often within so many seconds is quarantined."""

    failures: int = 5
    seconds: float = 600.0

    def __str__(self) -> str:
        return f"{self.failures} failures in {self.seconds / 60:g} min"


class FailureLog:
    """The failures of one bot, as far back as the limit looks."""

    def __init__(self, limit: FailureLimit) -> None:
        self.limit = limit
        self._times: deque[float] = deque(maxlen=limit.failures)

    def add(self, now: float) -> bool:
        """Note a failure at `now`, in seconds on any clock that never goes back. True where the limit is reached."""
        self._times.append(now)
        return len(self._times) == self.limit.failures and now - self._times[0] <= self.limit.seconds

    def forget(self) -> None:
        self._times.clear()
