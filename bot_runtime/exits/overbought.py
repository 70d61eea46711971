"""What RSIBBExitMixin and RSIOrBBExitMixin have in common: two crossings on the close of one bar."""

from bot_core.models.rule import RuleConfig
from bot_runtime.exits.base import StatelessExit
from bot_runtime.indicators.base import Indicator
from bot_runtime.indicators.rsi import Rsi
from bot_runtime.indicators.view import View
from bot_runtime.indicators.windows import BollingerBands


class OverboughtExit(StatelessExit):
    """Base of both; each says how the crossings combine."""

    def __init__(self, config: RuleConfig) -> None:
        self._overbought = config.number("rsi_overbought")
        self._rsi = Rsi(config.whole("rsi_period"))
        self._bands = BollingerBands(config.whole("bb_period"), config.number("bb_dev"))
        self.indicators: tuple[Indicator, ...] = (self._rsi, self._bands)
        self.lookback = max(self._rsi.period, self._bands.period)

    def _rsi_falls_back(self, view: View) -> bool:
        return view.value(self._rsi, "rsi", 1) >= self._overbought > view.value(self._rsi, "rsi")

    def _close_falls_back(self, view: View) -> bool:
        was_out = view.close(1) >= view.value(self._bands, "upper", 1)
        return was_out and view.close() < view.value(self._bands, "upper")
