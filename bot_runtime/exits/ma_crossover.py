"""Sell when the fast moving average of the close falls through the slow one."""

from bot_core.models.rule import RuleConfig
from bot_runtime.domain.position import Position
from bot_runtime.exits.base import StatelessExit
from bot_runtime.indicators.base import Indicator
from bot_runtime.indicators.ema import Ema
from bot_runtime.indicators.view import View
from bot_runtime.indicators.windows import Sma


class MaCrossoverExit(StatelessExit):
    """MACrossoverExitMixin, of simple or exponential averages."""

    name = "MACrossoverExitMixin"

    def __init__(self, config: RuleConfig) -> None:
        average = Ema if config.word("ma_type") == "EMA" else Sma
        self._output = config.word("ma_type").lower()
        self._fast = average(config.whole("fast_period"))
        self._slow = average(config.whole("slow_period"))
        self.indicators: tuple[Indicator, ...] = (self._fast, self._slow)
        self.lookback = max(self._fast.period, self._slow.period)

    def evaluate(self, view: View, position: Position) -> str | None:  # noqa: ARG002 - the port
        was_above = view.value(self._fast, self._output, 1) > view.value(self._slow, self._output, 1)
        is_below = view.value(self._fast, self._output) < view.value(self._slow, self._output)
        return f"{self._output}_crossover" if was_above and is_below else None
