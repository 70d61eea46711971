"""Sell when the close is a fixed fraction of the entry price above or below it."""

from bot_core.models.rule import RuleConfig
from bot_runtime.domain.position import Position
from bot_runtime.exits.base import StatelessExit
from bot_runtime.indicators.base import Indicator
from bot_runtime.indicators.view import View


class FixedRatioExit(StatelessExit):
    """FixedRatioExitMixin."""

    name = "FixedRatioExitMixin"
    lookback = 0

    def __init__(self, config: RuleConfig) -> None:
        self._take_profit = config.number("take_profit")
        self._stop_loss = config.number("stop_loss")
        self.indicators: tuple[Indicator, ...] = ()

    def evaluate(self, view: View, position: Position) -> str | None:
        entry = float(position.entry_price)
        gain = (view.close() - entry) / entry
        if gain >= self._take_profit:
            return "take_profit"
        return "stop_loss" if gain <= -self._stop_loss else None
