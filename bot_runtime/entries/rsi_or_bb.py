"""Buy when the RSI is oversold or the close is at the lower Bollinger band."""

from collections.abc import Mapping
from typing import Any

from bot_core.models.rule import RuleConfig
from bot_runtime.entries.cooldown import Cooldown
from bot_runtime.indicators.base import Indicator
from bot_runtime.indicators.rsi import Rsi
from bot_runtime.indicators.view import View
from bot_runtime.indicators.windows import BollingerBands


class RsiOrBbEntry:
    """RSIOrBBEntryMixin."""

    name = "RSIOrBBEntryMixin"

    def __init__(self, config: RuleConfig) -> None:
        self._oversold = config.number("rsi_oversold")
        self._touch = config.flag("use_bb_touch")
        self._cross = config.flag("rsi_cross")
        self._reentry = config.flag("bb_reentry")
        self._cooldown = Cooldown(config.whole("cooldown_bars"))
        self._rsi = Rsi(config.whole("rsi_period"))
        self._bands = BollingerBands(config.whole("bb_period"), config.number("bb_dev"))
        self.indicators: tuple[Indicator, ...] = (self._rsi, self._bands)
        self.lookback = max(self._rsi.period, self._bands.period)
        self.memory = self._cooldown.bars

    def evaluate(self, view: View) -> str | None:
        if not self._cooldown.is_over(view) or not (self._rsi_fits(view) or self._band_fits(view)):
            return None
        self._cooldown.start(view)
        return f"{self.name} signal"

    def dump_state(self) -> dict[str, Any]:
        return self._cooldown.dump_state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._cooldown.load_state(state)

    def _rsi_fits(self, view: View) -> bool:
        now = view.value(self._rsi, "rsi")
        if self._cross:
            return view.value(self._rsi, "rsi", 1) <= self._oversold < now
        return now <= self._oversold

    def _band_fits(self, view: View) -> bool:
        close, lower = view.close(), view.value(self._bands, "lower")
        if self._reentry:
            return view.close(1) <= view.value(self._bands, "lower", 1) and close > lower
        return close <= lower if self._touch else close < lower
