"""Buy when the close rises through the tenkan line above the Ichimoku cloud while the RSI is oversold."""

from bot_core.models.rule import RuleConfig
from bot_runtime.entries.base import StatelessEntry
from bot_runtime.entries.conditions import OversoldRsi
from bot_runtime.indicators.base import Indicator
from bot_runtime.indicators.ichimoku import Ichimoku
from bot_runtime.indicators.view import View


class RsiIchimokuEntry(StatelessEntry):
    """RSIIchimokuEntryMixin. The cloud is the one drawn over this bar, computed 26 bars ago."""

    name = "RSIIchimokuEntryMixin"

    def __init__(self, config: RuleConfig) -> None:
        self._rsi = OversoldRsi(config.whole("rsi_period"), config.number("rsi_oversold"))
        self._ichimoku = Ichimoku(
            config.whole("tenkan_period"), config.whole("kijun_period"), config.whole("senkou_period")
        )
        self.indicators: tuple[Indicator, ...] = (self._rsi.indicator, self._ichimoku)
        self.lookback = self._ichimoku.kijun

    def evaluate(self, view: View) -> str | None:
        fits = self._is_above_cloud(view) and self._crosses_tenkan(view) and self._rsi.holds(view)
        return self._signal if fits else None

    def _is_above_cloud(self, view: View) -> bool:
        close = view.close()
        return close > view.value(self._ichimoku, "span_a") and close > view.value(self._ichimoku, "span_b")

    def _crosses_tenkan(self, view: View) -> bool:
        was_below = view.close(1) <= view.value(self._ichimoku, "tenkan", 1)
        return was_below and view.close() > view.value(self._ichimoku, "tenkan")
