"""Ease of movement: how far the middle of the bars moves per volume traded in their range, averaged.

raw = (mid - mid of the bar before) / ((volume / 1e8) / (high - low)), mid = (high + low) / 2, in price squared per
volume; 0 on a bar without a range, which moved nothing through itself, and on one without volume. No epsilon: what
counts as a range must not depend on the scale of prices.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bot_runtime.indicators.base import Columns, Floats

_VOLUME_UNIT = 1e8


@dataclass(frozen=True, slots=True)
class Eom:
    """Simple average of `period` raw values, the first of which is that of the second bar; output `eom`."""

    period: int

    @property
    def min_bars(self) -> int:
        return self.period + 1

    @property
    def warmup(self) -> int:
        return self.min_bars

    def compute(self, columns: Columns, tail: int | None = None) -> Mapping[str, Floats]:
        needed = slice(None) if tail is None else slice(-(self.period + tail), None)
        raw = _raw(columns.high[needed], columns.low[needed], columns.volume[needed])
        return {"eom": _exact_means(raw, self.period)}


def _raw(high: Floats, low: Floats, volume: Floats) -> Floats:
    distance = np.diff((high + low) / 2)
    span, volume = (high - low)[1:], volume[1:]
    moves = (span > 0) & (volume > 0)
    raw = np.zeros(len(distance))
    raw[moves] = distance[moves] / (volume[moves] / _VOLUME_UNIT / span[moves])
    return raw


def _exact_means(values: Floats, period: int) -> Floats:
    """Mean of each window, summed in two floats: raw values differ by orders of magnitude, and signs and ties count."""
    windows = len(values) - period + 1
    if windows <= 0:
        return np.empty(0)
    total, rest = np.zeros(windows), np.zeros(windows)
    for place in range(period):
        added = values[place : place + windows]
        # Knuth's two-sum: what rounding took from the new total, exactly.
        new = total + added
        shared = new - total
        rest += (total - (new - shared)) + (added - shared)
        total = new
    return (total + rest) / period
