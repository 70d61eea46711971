"""Highest and lowest of a sliding window, exactly: comparisons only, no arithmetic."""

import numpy as np

from bot_runtime.indicators.base import Floats


def highest(values: Floats, period: int) -> Floats:
    """Return the maximum of each window of `period` values, the first window first; empty when there is none."""
    return _folded(values, period, np.maximum)


def lowest(values: Floats, period: int) -> Floats:
    """Return the minimum of each window of `period` values, the first window first; empty when there is none."""
    return _folded(values, period, np.minimum)


def _folded(values: Floats, period: int, extreme: np.ufunc) -> Floats:
    """Double the windows as often as they fit, then overlap two of them: log2(period) passes."""
    if len(values) < period:
        return np.empty(0)
    window = 1
    while 2 * window <= period:
        values = extreme(values[:-window], values[window:])
        window *= 2
    rest = period - window
    return extreme(values[:-rest], values[rest:]) if rest else values
