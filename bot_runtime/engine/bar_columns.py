"""Bars of a file as columns, and back. The whole of a file at once; a live bot's growing columns are `History`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from bot_runtime.domain.bar import Bar, epoch_ms, from_epoch_ms
from bot_runtime.feeds.csv_bars import CsvBars
from bot_runtime.indicators.base import Floats, Integers

_FIELDS = 5


@dataclass(frozen=True, slots=True, eq=False)
class BarColumns:
    """One array a field, oldest first; `time` in epoch milliseconds. `given`: the bars, where they exist as such."""

    time: Integers
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    given: Sequence[Bar] | None = None

    def bars(self, start: int, end: int) -> Iterable[Bar]:
        """The bars with index `start` to `end`, the end not included."""
        if self.given is not None:
            return self.given[start:end]
        fields = (self.open, self.high, self.low, self.close, self.volume)
        times = map(from_epoch_ms, self.time[start:end].tolist())
        return map(Bar, times, *(field[start:end].tolist() for field in fields))


def columns_of(bars: Sequence[Bar]) -> BarColumns:
    """Raise ValueError unless each bar is later than the one before."""
    if isinstance(bars, CsvBars):
        time, values, given = bars.times, bars.values, None
    else:
        given = bars
        time = np.fromiter((epoch_ms(bar.time) for bar in bars), dtype=np.int64, count=len(bars))
        flat = np.fromiter(chain.from_iterable(bar[1:] for bar in bars), np.float64, count=len(bars) * _FIELDS)
        values = flat.reshape(-1, _FIELDS)
    late = np.flatnonzero(np.diff(time) <= 0)
    if len(late):
        before, after = (from_epoch_ms(int(time[late[0] + place])) for place in (0, 1))
        raise ValueError(f"bar of {after} is not after the bar before, of {before}")
    open_, high, low, close, volume = np.ascontiguousarray(values.T)
    return BarColumns(time, open_, high, low, close, volume, given)
