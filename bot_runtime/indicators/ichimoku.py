"""Ichimoku: middles of the range of highs and lows. The cloud is displaced once: that of a bar was computed 26 before.

mid(n) = (highest high + lowest low of n bars) / 2. Span A is the mean of tenkan and kijun, span B the mid of senkou.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bot_runtime.indicators.base import Columns, Floats
from bot_runtime.indicators.extremes import highest, lowest

DISPLACEMENT = 26


@dataclass(frozen=True, slots=True)
class Ichimoku:
    """In units of price; outputs `tenkan`, `kijun`, and the cloud over this very bar, `span_a` and `span_b`."""

    tenkan: int
    kijun: int
    senkou: int

    @property
    def min_bars(self) -> int:
        return max(self.tenkan, self.kijun, self.senkou) + DISPLACEMENT

    @property
    def warmup(self) -> int:
        return self.min_bars

    def compute(self, columns: Columns, tail: int | None = None) -> Mapping[str, Floats]:
        needed = slice(None) if tail is None else slice(-(self.min_bars + tail), None)
        high, low = columns.high[needed], columns.low[needed]
        tenkan, kijun, senkou = (_middle(high, low, period) for period in (self.tenkan, self.kijun, self.senkou))
        both = min(len(tenkan), len(kijun))
        span_a = (_last(tenkan, both) + _last(kijun, both)) / 2
        return {"tenkan": tenkan, "kijun": kijun, "span_a": _displaced(span_a), "span_b": _displaced(senkou)}


def _middle(high: Floats, low: Floats, period: int) -> Floats:
    return (highest(high, period) + lowest(low, period)) / 2


def _last(values: Floats, count: int) -> Floats:
    return values[len(values) - count :]


def _displaced(values: Floats) -> Floats:
    return values[:-DISPLACEMENT] if len(values) > DISPLACEMENT else np.empty(0)
