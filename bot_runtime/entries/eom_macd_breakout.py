"""Buy when the MACD rises through its signal near the resistance, with ease of movement and enough volume."""

from bot_core.models.rule import RuleConfig
from bot_runtime.entries.base import StatelessEntry
from bot_runtime.indicators.base import Indicator
from bot_runtime.indicators.eom import Eom
from bot_runtime.indicators.levels import SupportResistance
from bot_runtime.indicators.macd import Macd
from bot_runtime.indicators.view import View
from bot_runtime.indicators.windows import Sma


class EomMacdBreakoutEntry(StatelessEntry):
    """EOMMAcdBreakoutEntryMixin."""

    name = "EOMMAcdBreakoutEntryMixin"

    def __init__(self, config: RuleConfig) -> None:
        self._low = config.number("resistance_range_low")
        self._high = config.number("resistance_range_high")
        self._ratio = config.number("volume_threshold")
        self._levels = SupportResistance(config.whole("resistance_lookback"))
        self._macd = Macd(config.whole("macd_fast"), config.whole("macd_slow"), config.whole("macd_signal"))
        self._eom = Eom(config.whole("eom_period"))
        self._volume = Sma(config.whole("vol_sma_period"), "volume")
        self.indicators: tuple[Indicator, ...] = (self._levels, self._macd, self._eom, self._volume)
        self.lookback = max(
            self._macd.slow + self._macd.signal, self._eom.period, self._volume.period, 5 * self._levels.lookback
        )

    def evaluate(self, view: View) -> str | None:
        resistance = view.value(self._levels, "resistance")
        fits = (
            self._momentum_turns(view)
            and self._low * resistance <= view.close() <= self._high * resistance
            and view.value(self._eom, "eom") > 0
            and view.volume() >= self._ratio * view.value(self._volume, "sma")
        )
        return self._signal if fits else None

    def _momentum_turns(self, view: View) -> bool:
        was_below = view.value(self._macd, "macd", 1) <= view.value(self._macd, "signal", 1)
        is_above = view.value(self._macd, "macd") > view.value(self._macd, "signal")
        return was_below and is_above and view.value(self._macd, "hist") > view.value(self._macd, "hist", 1)
