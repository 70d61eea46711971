"""The true range of a bar: its range, widened to the close of the bar before. In units of price."""

import numpy as np

from bot_runtime.indicators.base import Columns, Floats


def true_ranges(columns: Columns) -> Floats:
    """Return max(H - L, |H - C before|, |L - C before|) of all bars but the first, which has none."""
    high, low, before = columns.high[1:], columns.low[1:], columns.close[:-1]
    return np.maximum(high - low, np.maximum(np.abs(high - before), np.abs(low - before)))
