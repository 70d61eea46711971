"""Support and resistance: the swing lows and highs nearest to the close.

A bar is a swing high when its high is above those of the `lookback` bars on either side, so it is known that many
bars later; mirrored for lows. A swing within 0.01 % of the one kept before it is not kept; of each kind 50 are.
"""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from bot_runtime.indicators.base import Columns, Floats
from bot_runtime.indicators.extremes import highest, lowest

_KEPT = 50
_SAME = 0.0001
# Bars per swing and bar of lookback, generously: a wandering price makes a swing in about pi of them.
_BARS_PER_SWING = 5


@dataclass(frozen=True, slots=True)
class SupportResistance:
    """In units of price; outputs `resistance`, the lowest swing high above the close, and `support`, mirrored."""

    lookback: int

    @property
    def min_bars(self) -> int:
        return 2 * self.lookback + 1

    @property
    def warmup(self) -> int:
        """Return bars in which all the swings that are kept have come about, on bars that mostly differ."""
        return _KEPT * _BARS_PER_SWING * (self.lookback + 1)

    def compute(self, columns: Columns, tail: int | None = None) -> Mapping[str, Floats]:
        closes = columns.close
        begin = 0 if tail is None else max(0, len(closes) - tail)
        highs = _swings(columns.high, self.lookback, highest, np.greater)
        lows = _swings(columns.low, self.lookback, lowest, np.less)
        return {
            "resistance": _nearest(highs, closes, begin, _above),
            "support": _nearest(lows, closes, begin, _below),
        }


class _Kept:
    """The swings of one kind that count, by age and by price."""

    def __init__(self) -> None:
        self._by_age: deque[float] = deque()
        self.by_price: list[float] = []

    def add(self, swing: float) -> None:
        if self._by_age and abs(swing - self._by_age[-1]) <= _SAME * swing:
            return
        self._by_age.append(swing)
        insort(self.by_price, swing)
        if len(self._by_age) > _KEPT:
            del self.by_price[bisect_left(self.by_price, self._by_age.popleft())]


def _swings(
    values: Floats, lookback: int, extreme: Callable[[Floats, int], Floats], is_beyond: np.ufunc
) -> Iterator[tuple[int, float]]:
    """Return the swings, each with the index of the bar that confirms it."""
    around = extreme(values, lookback)
    candidates = values[lookback : len(values) - lookback]
    before, after = around[: len(candidates)], around[lookback + 1 :]
    (found,) = np.nonzero(is_beyond(candidates, before) & is_beyond(candidates, after))
    return zip((found + 2 * lookback).tolist(), candidates[found].tolist(), strict=True)


def _nearest(
    swings: Iterator[tuple[int, float]],
    closes: Floats,
    begin: int,
    nearest: Callable[[list[float], float], float],
) -> Floats:
    """Return the levels of the bars from `begin` on."""
    kept = _Kept()
    levels: list[float] = []
    upcoming = next(swings, None)
    for index, close in enumerate(closes[begin:].tolist(), start=begin):
        while upcoming is not None and upcoming[0] <= index:
            kept.add(upcoming[1])
            upcoming = next(swings, None)
        levels.append(nearest(kept.by_price, close))
    return np.array(levels)


def _above(prices: list[float], close: float) -> float:
    index = bisect_right(prices, close)
    return prices[index] if index < len(prices) else float("nan")


def _below(prices: list[float], close: float) -> float:
    index = bisect_left(prices, close)
    return prices[index - 1] if index else float("nan")
