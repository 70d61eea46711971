"""How a rule reads bars and indicator values: by "ago", 0 for the bar under evaluation, 1 for the one before.

One view serves both ways to run: over a whole file, its cursor moved from bar to bar, and over the bars kept by a
live bot, renewed for each. Must not hold state that outlives what it is computed from.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from bot_runtime.indicators.base import Columns, Floats, Indicator

# Rules look at this bar and the one before.
TAIL = 2


class View:
    """Bars and indicator values as seen from one bar. What is undefined is NaN, so comparisons with it are false."""

    def __init__(self, columns: Columns, indicators: Iterable[Indicator], *, tail: int | None = None) -> None:
        self._columns = columns
        self._values: Mapping[Indicator, Mapping[str, Floats]] = {
            indicator: indicator.compute(columns, tail) for indicator in indicators
        }
        self._behind = 0

    def move_to(self, index: int) -> None:
        """Look from the bar with this index, 0 for the oldest."""
        self._behind = len(self._columns.time) - 1 - index

    @property
    def time(self) -> int:
        """The time of this bar in epoch milliseconds."""
        return int(self._columns.time[-1 - self._behind])

    def open(self, ago: int = 0) -> float:
        return self._at(self._columns.open, ago)

    def high(self, ago: int = 0) -> float:
        return self._at(self._columns.high, ago)

    def low(self, ago: int = 0) -> float:
        return self._at(self._columns.low, ago)

    def close(self, ago: int = 0) -> float:
        return self._at(self._columns.close, ago)

    def volume(self, ago: int = 0) -> float:
        return self._at(self._columns.volume, ago)

    def value(self, indicator: Indicator, output: str, ago: int = 0) -> float:
        """One output of an indicator that was given at construction."""
        return self._at(self._values[indicator][output], ago)

    @property
    def bars_kept(self) -> int:
        """How many bars are known, up to and including this one."""
        return len(self._columns.time) - self._behind

    def bars_since(self, time: int) -> int | None:
        """Bars from the one at `time` (epoch milliseconds) to this one; None when it is older than what is kept."""
        times = self._columns.time
        if time < times[0]:
            return None
        here = len(times) - 1 - self._behind
        return here - int(np.searchsorted(times, time))

    def _at(self, array: Floats, ago: int) -> float:
        index = len(array) - 1 - self._behind - ago
        return float(array[index]) if index >= 0 else float("nan")
