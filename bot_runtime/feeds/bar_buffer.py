"""The recent closed bars of one market, in order and without repetition. Pure: no clock, no loop, no venue."""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime

from bot_runtime.domain.bar import Bar

# Above this the buffer is not widened, whatever history is asked for: some 300 bytes a bar.
_MOST = 20_000


def _time(bar: Bar) -> datetime:
    return bar.time


class BarBuffer:
    """Holds every closed bar from `known_from` to the newest one, and at least `capacity` bars where there are."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._bars: list[Bar] = []
        self.known_from: datetime | None = None

    def __len__(self) -> int:
        return len(self._bars)

    @property
    def newest(self) -> datetime | None:
        return self._bars[-1].time if self._bars else None

    def widen(self, capacity: int) -> None:
        """Keep at least so many bars from now on, within bounds."""
        self._capacity = max(self._capacity, min(capacity, _MOST))

    def append(self, bars: Sequence[Bar]) -> int:
        """Add the bars that are later than the newest one; return how many were."""
        added = 0
        for bar in bars:
            if not self._bars or bar.time > self._bars[-1].time:
                self._bars.append(bar)
                added += 1
        if added and self.known_from is None:
            self.known_from = self._bars[0].time
        if len(self._bars) > 2 * self._capacity:
            self._forget(len(self._bars) - self._capacity)
        return added

    def prepend(self, bars: Sequence[Bar], start: datetime, before: datetime) -> None:
        """Add every bar from `start` up to `before`, unless something else lies there by now."""
        if before != self.known_from:
            return
        self._bars[:0] = bars
        self.known_from = start
        if len(self._bars) > 2 * self._capacity:
            self._forget(len(self._bars) - 2 * self._capacity)

    def after(self, time: datetime, limit: int) -> list[Bar]:
        """Return the first bars later than `time`."""
        first = bisect_right(self._bars, time, key=_time)
        return self._bars[first : first + limit]

    def until(self, time: datetime, limit: int | None) -> list[Bar]:
        """Return the last bars with a time <= `time`."""
        end = bisect_right(self._bars, time, key=_time)
        return self._bars[0 if limit is None else max(0, end - limit) : end]

    def _forget(self, count: int) -> None:
        del self._bars[:count]
        self.known_from = self._bars[0].time
