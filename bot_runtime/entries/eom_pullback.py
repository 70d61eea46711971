"""Buy when a bar dips to the support and closes above its open, ease of movement turns positive and the RSI rises."""

from bot_core.models.rule import RuleConfig
from bot_runtime.entries.base import StatelessEntry
from bot_runtime.indicators.atr import Atr
from bot_runtime.indicators.base import Indicator
from bot_runtime.indicators.eom import Eom
from bot_runtime.indicators.levels import SupportResistance
from bot_runtime.indicators.rsi import Rsi
from bot_runtime.indicators.view import View
from bot_runtime.indicators.windows import AverageOf


class EomPullbackEntry(StatelessEntry):
    """EOMPullbackEntryMixin. The support is that of this bar: it held."""

    name = "EOMPullbackEntryMixin"

    def __init__(self, config: RuleConfig) -> None:
        self._threshold = config.number("support_threshold")
        self._oversold = config.number("rsi_oversold")
        self._floor = config.number("atr_floor_multiplier")
        self._levels = SupportResistance(config.whole("resistance_lookback"))
        self._eom = Eom(config.whole("eom_period"))
        self._rsi = Rsi(config.whole("rsi_period"))
        self._atr = Atr(config.whole("atr_period"))
        self._average = AverageOf(self._atr, "atr", config.whole("atr_sma_period"))
        measures = (self._eom, self._rsi, self._atr, self._average)
        self.indicators: tuple[Indicator, ...] = (self._levels, *measures)
        self.lookback = max(*(measure.period for measure in measures), 5 * self._levels.lookback)

    def evaluate(self, view: View) -> str | None:
        near_support = view.low() <= view.value(self._levels, "support") * (1 + self._threshold)
        fits = (
            near_support
            and view.close() > view.open()
            and view.value(self._eom, "eom") > 0 >= view.value(self._eom, "eom", 1)
            and view.value(self._rsi, "rsi", 1) < view.value(self._rsi, "rsi") < self._oversold
            and view.value(self._atr, "atr") > self._floor * view.value(self._average, "average")
        )
        return self._signal if fits else None
