"""A venue's clock as far as this process knows it. Knows no protocol: whoever talks to the venue tells it the time.

A bar is closed when the venue says so. What is told was true at the latest when it arrived, so the time kept here is
never later than the venue's: a local clock that runs ahead closes no bar early. Between two readings time is counted
by a clock that no one sets, and that goes on while the machine sleeps where the system has one.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_DRIFT_SECONDS = 60.0

Ticks = Callable[[], float]


def boot_seconds() -> float:
    """Seconds of a clock that counts suspension where there is one, and that is never set."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class VenueClock:
    """`skew` is how many seconds the venue's clock is ahead of ours; None before the first reading."""

    def __init__(self, ticks: Ticks = boot_seconds) -> None:
        self._ticks = ticks
        self._said: datetime | None = None
        self._read_at = 0.0
        self.skew: float | None = None

    @property
    def age(self) -> float | None:
        """Seconds since the last reading."""
        return None if self._said is None else self._ticks() - self._read_at

    def mark(self) -> float:
        """Return what to hand to `read` after the question for the time was answered."""
        return self._ticks()

    def read(self, said: datetime, asked: float) -> None:
        """Take the venue's time from an answer that has just arrived; `asked`: the mark of when it was asked for."""
        arrived = self._ticks()
        halfway = timedelta(seconds=(arrived - asked) / 2)
        self.skew = (said + halfway - datetime.now(UTC)).total_seconds()
        self._said, self._read_at = said, arrived

    def heard(self, said: datetime) -> None:
        """Take the venue's time from something that it sent by itself: it is at least so late there.

        Once in a while it is taken in any case, as clocks drift.
        """
        age = self.age
        if age is None or age > _DRIFT_SECONDS or said > self.now():
            self.read(said, self.mark())

    def now(self) -> datetime:
        """Return the venue's time; this machine's before the first reading."""
        if self._said is None:
            return datetime.now(UTC)
        return self._said + timedelta(seconds=self._ticks() - self._read_at)
