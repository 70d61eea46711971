"""Sell when the close breaks through the support of the bar before with falling ease of movement and volume."""

from bot_core.models.rule import RuleConfig
from bot_runtime.domain.position import Position
from bot_runtime.exits.base import StatelessExit
from bot_runtime.exits.reason import with_numbers
from bot_runtime.indicators.atr import Atr
from bot_runtime.indicators.base import Indicator
from bot_runtime.indicators.eom import Eom
from bot_runtime.indicators.levels import SupportResistance
from bot_runtime.indicators.view import View
from bot_runtime.indicators.windows import Sma


class EomBreakdownExit(StatelessExit):
    """EOMBreakdownExitMixin. Support is below the close by definition, so only that of the bar before can break."""

    name = "EOMBreakdownExitMixin"

    def __init__(self, config: RuleConfig) -> None:
        self._threshold = config.number("breakdown_threshold")
        self._levels = SupportResistance(config.whole("resistance_lookback"))
        self._eom = Eom(config.whole("eom_period"))
        self._volume = Sma(config.whole("vol_ma_period"), "volume")
        self._atr = Atr(config.whole("atr_period"))
        self.indicators: tuple[Indicator, ...] = (self._levels, self._eom, self._volume, self._atr)
        self.lookback = max(self._eom.period, self._volume.period, self._atr.period, 5 * self._levels.lookback)

    def evaluate(self, view: View, position: Position) -> str | None:  # noqa: ARG002 - the port
        close, support = view.close(), view.value(self._levels, "support", 1)
        eom, volume = view.value(self._eom, "eom"), view.volume()
        average = view.value(self._volume, "sma")
        breaks = (
            close < support * (1 - self._threshold)
            and eom < 0
            and eom < view.value(self._eom, "eom", 1)
            and volume > average
            and view.value(self._atr, "atr") > view.value(self._atr, "atr", 1)
        )
        if not breaks:
            return None
        return with_numbers("breakdown_momentum", close=close, support=support, eom=eom, volume=volume, vol_sma=average)
