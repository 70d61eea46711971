"""Conditions that several entry rules share, each with the indicator that it reads. What is undefined holds nothing."""

from bot_runtime.indicators.rsi import Rsi
from bot_runtime.indicators.supertrend import Supertrend
from bot_runtime.indicators.view import View
from bot_runtime.indicators.windows import BollingerBands, Sma


class OversoldRsi:
    """The RSI is at or below the threshold, or with `cross` has risen through it on this bar."""

    def __init__(self, period: int, threshold: float, *, cross: bool = False) -> None:
        self.indicator = Rsi(period)
        self._threshold = threshold
        self._cross = cross

    def holds(self, view: View) -> bool:
        now = view.value(self.indicator, "rsi")
        if self._cross:
            return view.value(self.indicator, "rsi", 1) <= self._threshold < now
        return now <= self._threshold


class LowerBand:
    """The close is below the lower Bollinger band, or on it with `touch`.

    With `reentry` instead: it was at or below the band on the bar before and is above it now.
    """

    def __init__(self, period: int, deviations: float, *, touch: bool, reentry: bool = False) -> None:
        self.indicator = BollingerBands(period, deviations)
        self._touch = touch
        self._reentry = reentry

    def holds(self, view: View) -> bool:
        close, lower = view.close(), view.value(self.indicator, "lower")
        if self._reentry:
            return view.close(1) <= view.value(self.indicator, "lower", 1) and close > lower
        return close <= lower if self._touch else close < lower


class BusyVolume:
    """The volume is above a multiple of its own average."""

    def __init__(self, period: int, ratio: float = 1.0) -> None:
        self.indicator = Sma(period, "volume")
        self._ratio = ratio

    def holds(self, view: View) -> bool:
        return view.volume() > self._ratio * view.value(self.indicator, "sma")


class RisingTrend:
    """The Supertrend points up."""

    def __init__(self, period: int, multiplier: float) -> None:
        self.indicator = Supertrend(period, multiplier)

    def holds(self, view: View) -> bool:
        return view.value(self.indicator, "direction") > 0
