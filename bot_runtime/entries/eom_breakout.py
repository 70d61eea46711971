"""Buy when the close breaks through the resistance of the bar before with rising ease of movement and volume."""

from bot_core.models.rule import RuleConfig
from bot_runtime.entries.base import StatelessEntry
from bot_runtime.entries.conditions import BusyVolume
from bot_runtime.indicators.atr import Atr
from bot_runtime.indicators.base import Indicator
from bot_runtime.indicators.eom import Eom
from bot_runtime.indicators.levels import SupportResistance
from bot_runtime.indicators.rsi import Rsi
from bot_runtime.indicators.view import View
from bot_runtime.indicators.windows import AverageOf


class EomBreakoutEntry(StatelessEntry):
    """EOMBreakoutEntryMixin. Resistance is above the close by definition, so only that of the bar before can break."""

    name = "EOMBreakoutEntryMixin"

    def __init__(self, config: RuleConfig) -> None:
        self._threshold = config.number("breakout_threshold")
        self._filter = config.flag("use_atr_filter")
        self._overbought = config.number("rsi_overbought")
        self._levels = SupportResistance(config.whole("resistance_lookback"))
        self._eom = Eom(config.whole("eom_period"))
        self._volume = BusyVolume(config.whole("volume_sma_period"))
        self._atr = Atr(config.whole("atr_period"))
        self._average = AverageOf(self._atr, "atr", config.whole("atr_sma_period"))
        self._rsi = Rsi(config.whole("rsi_period"))
        measures = (self._eom, self._volume.indicator, self._atr, self._average, self._rsi)
        self.indicators: tuple[Indicator, ...] = (self._levels, *measures)
        # With the filter off as well: the platform waits alike.
        self.lookback = max(*(measure.period for measure in measures), 5 * self._levels.lookback)

    def evaluate(self, view: View) -> str | None:
        eom = view.value(self._eom, "eom")
        fits = (
            view.close() > view.value(self._levels, "resistance", 1) * (1 + self._threshold)
            and eom > 0
            and eom > view.value(self._eom, "eom", 1)
            and self._volume.holds(view)
            and (not self._filter or view.value(self._atr, "atr") > view.value(self._average, "average"))
            and view.value(self._rsi, "rsi") < self._overbought
        )
        return self._signal if fits else None
