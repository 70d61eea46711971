"""The bars a bot remembers: growing columns, optionally of bounded length. Must not compute or decide anything."""

from collections.abc import Iterable

import numpy as np

from bot_runtime.domain.bar import Bar, epoch_ms
from bot_runtime.indicators.base import Floats, Integers

_FIELDS = ("open", "high", "low", "close", "volume")
_FIRST_ALLOCATION = 1024


class History:
    """Columns of bars, oldest first.

    With a `capacity` W, between W and 2W slots of the bar grid are kept, cut at whole multiples of W: what is kept
    follows from the time of the last bar alone, so a restarted bot that reads `reload_limit` bars sees the same.
    """

    def __init__(self, interval_seconds: int, capacity: int | None = None) -> None:
        if interval_seconds <= 0:
            raise ValueError(f"interval_seconds is {interval_seconds}; it must be positive")
        if capacity is not None and capacity <= 0:
            raise ValueError(f"capacity is {capacity}; it must be positive")
        self.interval_seconds = interval_seconds
        self.capacity = capacity
        self.bars_seen = 0
        self._start = 0
        self._end = 0
        self._time, self._values = _room(_FIRST_ALLOCATION if capacity is None else _bounded(capacity))

    def __len__(self) -> int:
        return self._end - self._start

    @property
    def reload_limit(self) -> int | None:
        """How many bars a restarted bot has to read back; None means all."""
        return None if self.capacity is None else 2 * self.capacity

    @property
    def time(self) -> Integers:
        return self._time[self._start : self._end]

    @property
    def open(self) -> Floats:
        return self._column(0)

    @property
    def high(self) -> Floats:
        return self._column(1)

    @property
    def low(self) -> Floats:
        return self._column(2)

    @property
    def close(self) -> Floats:
        return self._column(3)

    @property
    def volume(self) -> Floats:
        return self._column(4)

    def append(self, bar: Bar) -> None:
        """Add a bar. Raise ValueError unless it is later than the last one."""
        time = epoch_ms(bar.time)
        if self._end > self._start and time <= self._time[self._end - 1]:
            raise ValueError(f"bar of {bar.time} is not after the last bar, in {int(self._time[self._end - 1])} ms")
        if self._end == len(self._time):
            self._make_room()
        self._time[self._end] = time
        self._values[:, self._end] = bar[1:]
        self._end += 1
        self.bars_seen += 1
        if self.capacity is not None:
            self._trim(time, self.capacity)

    def extend(self, bars: Iterable[Bar]) -> None:
        for bar in bars:
            self.append(bar)

    def _column(self, index: int) -> Floats:
        return self._values[index, self._start : self._end]

    def _trim(self, last: int, capacity: int) -> None:
        step = self.interval_seconds * 1000
        first_kept = (last // step // capacity - 1) * capacity * step
        while self._time[self._start] < first_kept:
            self._start += 1

    def _make_room(self) -> None:
        """Copy what is kept to fresh arrays with room for as many bars again, or half a capacity: few copies a bar."""
        kept = len(self)
        size = max(_FIRST_ALLOCATION, 2 * kept) if self.capacity is None else max(_bounded(self.capacity), kept + 1)
        time, values = _room(size)
        time[:kept] = self.time
        values[:, :kept] = self._values[:, self._start : self._end]
        self._time, self._values, self._start, self._end = time, values, 0, kept


def _bounded(capacity: int) -> int:
    """Places for all that is ever kept, and for half a capacity of bars until it is moved to the front again."""
    return 2 * capacity + max(capacity // 2, 1)


def _room(bars: int) -> tuple[Integers, Floats]:
    return np.empty(bars, dtype=np.int64), np.empty((len(_FIELDS), bars), dtype=np.float64)
