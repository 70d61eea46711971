"""Sell when the MACD falls through its signal as the close breaks through the support of the bar before, on volume."""

from bot_core.models.rule import RuleConfig
from bot_runtime.domain.position import Position
from bot_runtime.exits.base import StatelessExit
from bot_runtime.exits.reason import with_numbers
from bot_runtime.indicators.base import Indicator
from bot_runtime.indicators.eom import Eom
from bot_runtime.indicators.levels import SupportResistance
from bot_runtime.indicators.macd import Macd
from bot_runtime.indicators.view import View
from bot_runtime.indicators.windows import Sma


class EomMacdBreakdownExit(StatelessExit):
    """EOMMAcdBreakdownExitMixin. Support is below the close by definition; only that of the bar before can break."""

    name = "EOMMAcdBreakdownExitMixin"

    def __init__(self, config: RuleConfig) -> None:
        self._threshold = config.number("support_threshold")
        self._levels = SupportResistance(config.whole("resistance_lookback"))
        self._macd = Macd(*(config.whole(f"macd_{name}_period") for name in ("fast", "slow", "signal")))
        self._eom = Eom(config.whole("eom_period"))
        self._volume = Sma(config.whole("vol_ma_period"), "volume")
        self.indicators: tuple[Indicator, ...] = (self._levels, self._macd, self._eom, self._volume)
        self.lookback = max(
            self._macd.slow + self._macd.signal, self._eom.period, self._volume.period, 5 * self._levels.lookback
        )

    def evaluate(self, view: View, position: Position) -> str | None:  # noqa: ARG002 - the port
        close, support = view.close(), view.value(self._levels, "support", 1)
        breaks = (
            self._momentum_turns(view)
            and close < support * (1 - self._threshold)
            and view.value(self._eom, "eom") < 0
            and view.volume() > view.value(self._volume, "sma")
        )
        if not breaks:
            return None
        macd, signal = view.value(self._macd, "macd"), view.value(self._macd, "signal")
        return with_numbers("macd_breakdown", close=close, support=support, macd=macd, signal=signal)

    def _momentum_turns(self, view: View) -> bool:
        was_above = view.value(self._macd, "macd", 1) >= view.value(self._macd, "signal", 1)
        is_below = view.value(self._macd, "macd") < view.value(self._macd, "signal")
        return was_above and is_below and view.value(self._macd, "hist") < view.value(self._macd, "hist", 1)
