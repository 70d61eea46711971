"""What RSIBBEntryMixin and RSIOrBBEntryMixin have in common: two conditions and a cooldown."""

from collections.abc import Mapping
from typing import Any

from bot_core.models.rule import RuleConfig
from bot_runtime.entries.conditions import LowerBand, OversoldRsi
from bot_runtime.entries.cooldown import Cooldown
from bot_runtime.indicators.base import Indicator
from bot_runtime.indicators.view import View


class OversoldEntry:
    """Base of both; each says how its conditions combine and what the reason is."""

    name: str
    reason: str

    def __init__(self, config: RuleConfig) -> None:
        self._cooldown = Cooldown(config.whole("cooldown_bars"))
        self._rsi = OversoldRsi(
            config.whole("rsi_period"), config.number("rsi_oversold"), cross=config.flag("rsi_cross")
        )
        self._band = LowerBand(
            config.whole("bb_period"),
            config.number("bb_dev"),
            touch=config.flag("use_bb_touch"),
            reentry=config.flag("bb_reentry"),
        )
        self.indicators: tuple[Indicator, ...] = (self._rsi.indicator, self._band.indicator)
        self.lookback = max(self._rsi.indicator.period, self._band.indicator.period)
        self.memory = self._cooldown.bars

    def evaluate(self, view: View) -> str | None:
        if not self._cooldown.is_over(view) or not self._fits(view):
            return None
        self._cooldown.start(view)
        return self.reason

    def dump_state(self) -> dict[str, Any]:
        return self._cooldown.dump_state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._cooldown.load_state(state)

    def _fits(self, view: View) -> bool:
        raise NotImplementedError
