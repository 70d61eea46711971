"""Indicators of a sliding window: simple average, of an indicator too, and Bollinger bands.

Each window is measured from its own last value: right at every scale of price, and exact where nothing moves.
The sums go over the window's places one by one, for all bars at once: the order of additions, and so every bit,
is the same however many bars there are.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bot_runtime.indicators.base import Columns, Floats, Indicator


@dataclass(frozen=True, slots=True)
class Sma:
    """Simple average of a column (`close` or `volume`); output `sma`."""

    period: int
    column: str = "close"

    @property
    def min_bars(self) -> int:
        return self.period

    @property
    def warmup(self) -> int:
        return self.period

    def compute(self, columns: Columns, tail: int | None = None) -> Mapping[str, Floats]:
        values: Floats = getattr(columns, self.column)
        return {"sma": means(_needed(values, self.period, tail), self.period)}


@dataclass(frozen=True, slots=True)
class AverageOf:
    """Simple average of one output of another indicator, in its units; output `average`."""

    indicator: Indicator
    output: str
    period: int

    @property
    def min_bars(self) -> int:
        return self.indicator.min_bars

    @property
    def warmup(self) -> int:
        return self.indicator.warmup + self.period

    def compute(self, columns: Columns, tail: int | None = None) -> Mapping[str, Floats]:
        wanted = None if tail is None else self.period - 1 + tail
        values = self.indicator.compute(columns, wanted)[self.output]
        return {"average": means(_needed(values, self.period, tail), self.period)}


@dataclass(frozen=True, slots=True)
class BollingerBands:
    """Average of the close, and `deviations` population standard deviations above and below it.

    Outputs `upper`, `middle`, `lower`.
    """

    period: int
    deviations: float

    @property
    def min_bars(self) -> int:
        return self.period

    @property
    def warmup(self) -> int:
        return self.period

    def compute(self, columns: Columns, tail: int | None = None) -> Mapping[str, Floats]:
        values = _needed(columns.close, self.period, tail)
        middle = means(values, self.period)
        half_width = self.deviations * _sigmas(values, middle, self.period)
        return {"upper": middle + half_width, "middle": middle, "lower": middle - half_width}


def _needed(values: Floats, period: int, tail: int | None) -> Floats:
    return values if tail is None else values[-(period - 1 + tail) :]


def means(values: Floats, period: int) -> Floats:
    """Return the mean of each window of `period` values, the first window first; empty when there is none."""
    windows = len(values) - period + 1
    if windows <= 0:
        return np.empty(0)
    last = values[period - 1 :]
    total = np.zeros(windows)
    for place in range(period - 1):
        total += values[place : place + windows] - last
    return last + total / period


def _sigmas(values: Floats, means: Floats, period: int) -> Floats:
    windows = len(means)
    total = np.zeros(windows)
    for place in range(period if windows else 0):
        total += np.square(values[place : place + windows] - means)
    return np.sqrt(total / period)
