"""Features for models, computed from columns of bars. The same value whether a whole file or its end is computed.

Formulas: TA-Lib's definitions of EMA, MACD, stochastic, Williams %R and MFI; the window is summed anew for each bar.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import talib
from numpy.lib.stride_tricks import sliding_window_view

from bot_core.models.ml_features import FeatureConfig
from bot_runtime.indicators.atr import Atr
from bot_runtime.indicators.base import WILDER_WARMUP, Columns, Floats, Integers
from bot_runtime.indicators.rsi import Rsi
from bot_runtime.indicators.scale import unit_scale
from bot_runtime.indicators.windows import BollingerBands, Sma

# Until a seed weighs less than 1e-16 in an exponential average: exp(-2 n / (period + 1)), with n in these periods.
_EMA_WARMUP = 20

_Compute: TypeAlias = Callable[[Columns, FeatureConfig], Floats]


@dataclass(frozen=True, slots=True)
class _Slice:
    """The last bars of some columns."""

    time: Integers
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats


@dataclass(frozen=True, slots=True)
class _Feature:
    """`span`: bars that one value needs. `seeded`: bars until a seed no longer matters, where all bars matter."""

    compute: _Compute
    span: Callable[[FeatureConfig], int]
    seeded: Callable[[FeatureConfig], int] | None = None


class FeatureTable:
    """Rows of features, one row a bar, as models are given them."""

    def __init__(self, features: Sequence[FeatureConfig]) -> None:
        self._features = tuple(features)
        self.width = len(self._features)
        self.min_bars = max(_FEATURES[item.name].span(item) for item in self._features)
        self.warmup = max((_warmup(item) for item in self._features), default=1)

    def rows(self, columns: Columns, count: int) -> Floats:
        """Return the last `count` rows, NaN where a feature is not defined."""
        table = np.full((count, self.width), np.nan)
        for place, item in enumerate(self._features):
            values = _values(item, columns, count)[-count:]
            if len(values):
                table[-len(values) :, place] = values
        return table


def _values(item: FeatureConfig, columns: Columns, count: int) -> Floats:
    feature = _FEATURES[item.name]
    if len(columns.close) < feature.span(item):
        return np.empty(0)
    if feature.seeded is None:
        columns = _last(columns, count + feature.span(item) - 1)
    return feature.compute(columns, item)


def _warmup(item: FeatureConfig) -> int:
    feature = _FEATURES[item.name]
    return feature.span(item) if feature.seeded is None else feature.seeded(item)


def _last(columns: Columns, count: int) -> Columns:
    return _Slice(
        columns.time[-count:],
        columns.open[-count:],
        columns.high[-count:],
        columns.low[-count:],
        columns.close[-count:],
        columns.volume[-count:],
    )


def _log_return(columns: Columns, item: FeatureConfig) -> Floats:
    period = item.whole("period")
    returns: Floats = np.log(columns.close[period:] / columns.close[:-period])
    return returns


def _ratio(values: Floats, average: Floats) -> Floats:
    """Values over an average that begins later; 0 where that is 0."""
    values = values[len(values) - len(average) :]
    return np.divide(values, average, out=np.zeros(len(average)), where=average != 0)


def _sma(columns: Columns, item: FeatureConfig, column: str = "close") -> Floats:
    return Sma(item.whole("period"), column).compute(columns)["sma"]


def _ema(columns: Columns, item: FeatureConfig) -> Floats:
    scale = unit_scale(columns)
    average: Floats = talib.EMA(columns.close * scale, item.whole("period"))
    return average / scale


def _atr(columns: Columns, item: FeatureConfig) -> Floats:
    return Atr(item.whole("period")).compute(columns)["atr"]


def _bands(output: str) -> _Compute:
    def compute(columns: Columns, item: FeatureConfig) -> Floats:
        return BollingerBands(item.whole("period"), item.number("deviations")).compute(columns)[output]

    return compute


def _band_position(columns: Columns, item: FeatureConfig) -> Floats:
    bands = BollingerBands(item.whole("period"), item.number("deviations")).compute(columns)
    width = bands["upper"] - bands["lower"]
    above = columns.close[len(columns.close) - len(width) :] - bands["lower"]
    position: Floats = np.divide(above, width, out=np.full(len(width), 0.5), where=width > 0)
    return position


def _macd(output: int) -> _Compute:
    def compute(columns: Columns, item: FeatureConfig) -> Floats:
        scale = unit_scale(columns)
        periods = item.whole("fast"), item.whole("slow"), item.whole("signal")
        values: Floats = talib.MACD(columns.close * scale, *periods)[output]
        return values / scale

    return compute


def _extremes(columns: Columns, period: int) -> tuple[Floats, Floats, Floats]:
    """The highest high and lowest low of each window, and its last close."""
    highest: Floats = sliding_window_view(columns.high, period).max(axis=1)
    lowest: Floats = sliding_window_view(columns.low, period).min(axis=1)
    return highest, lowest, columns.close[period - 1 :]


def _average(values: Floats, period: int) -> Floats:
    return _total(values, period) / period


def _total(values: Floats, period: int) -> Floats:
    """Sum the places of each window one by one: every bit is the same however many bars there are."""
    total = np.zeros(len(values) - period + 1)
    for place in range(period):
        total += values[place : place + len(total)]
    return total


def _stochastic(columns: Columns, item: FeatureConfig) -> Floats:
    highest, lowest, close = _extremes(columns, item.whole("k"))
    span = highest - lowest
    raw = np.divide(100 * (close - lowest), span, out=np.zeros(len(span)), where=span > 0)
    return _average(raw, item.whole("slowing"))


def _stochastic_d(columns: Columns, item: FeatureConfig) -> Floats:
    return _average(_stochastic(columns, item), item.whole("d"))


def _williams(columns: Columns, item: FeatureConfig) -> Floats:
    highest, lowest, close = _extremes(columns, item.whole("period"))
    span = highest - lowest
    return np.divide(-100 * (highest - close), span, out=np.zeros(len(span)), where=span > 0)


def _money_flow(columns: Columns, item: FeatureConfig) -> Floats:
    typical = (columns.high + columns.low + columns.close) / 3
    change, flow = np.diff(typical), (typical * columns.volume)[1:]
    gained = _total(np.where(change > 0, flow, 0.0), item.whole("period"))
    lost = _total(np.where(change < 0, flow, 0.0), item.whole("period"))
    moved = gained + lost
    return np.divide(100 * gained, moved, out=np.zeros(len(moved)), where=moved > 0)


def _period(item: FeatureConfig) -> int:
    return item.whole("period")


def _period_and_one(item: FeatureConfig) -> int:
    return item.whole("period") + 1


def _wilder(item: FeatureConfig) -> int:
    return WILDER_WARMUP * item.whole("period")


def _macd_span(item: FeatureConfig) -> int:
    return max(item.whole("fast"), item.whole("slow")) + item.whole("signal") - 1


def _macd_seeded(item: FeatureConfig) -> int:
    return _EMA_WARMUP * (max(item.whole("fast"), item.whole("slow")) + item.whole("signal") + 2)


def _k_span(item: FeatureConfig) -> int:
    return item.whole("k") + item.whole("slowing") - 1


def _column(name: str) -> _Feature:
    return _Feature(lambda columns, _: getattr(columns, name), lambda _: 1)


_FEATURES: Mapping[str, _Feature] = {
    **{name: _column(name) for name in ("open", "high", "low", "close", "volume")},
    "log_return": _Feature(_log_return, _period_and_one),
    "range": _Feature(lambda columns, _: (columns.high - columns.low) / columns.close, lambda _: 1),
    "sma_ratio": _Feature(lambda columns, item: _ratio(columns.close, _sma(columns, item)) - 1, _period),
    "volume_ratio": _Feature(lambda columns, item: _ratio(columns.volume, _sma(columns, item, "volume")), _period),
    "sma": _Feature(_sma, _period),
    "ema": _Feature(_ema, _period, lambda item: _EMA_WARMUP * (item.whole("period") + 1)),
    "rsi": _Feature(lambda columns, item: Rsi(item.whole("period")).compute(columns)["rsi"], _period_and_one, _wilder),
    "atr": _Feature(_atr, _period_and_one, _wilder),
    "atr_ratio": _Feature(lambda columns, item: _atr(columns, item) / columns.close, _period_and_one, _wilder),
    "bb_upper": _Feature(_bands("upper"), _period),
    "bb_middle": _Feature(_bands("middle"), _period),
    "bb_lower": _Feature(_bands("lower"), _period),
    "bb_position": _Feature(_band_position, _period),
    "macd": _Feature(_macd(0), _macd_span, _macd_seeded),
    "macd_signal": _Feature(_macd(1), _macd_span, _macd_seeded),
    "macd_hist": _Feature(_macd(2), _macd_span, _macd_seeded),
    "stoch_k": _Feature(_stochastic, _k_span),
    "stoch_d": _Feature(_stochastic_d, lambda item: _k_span(item) + item.whole("d") - 1),
    "williams_r": _Feature(_williams, _period),
    "mfi": _Feature(_money_flow, _period_and_one),
}
