"""Sell when a bar reaches for the resistance and closes below its open, ease of movement turns and the RSI falls."""

from bot_core.models.rule import RuleConfig
from bot_runtime.domain.position import Position
from bot_runtime.exits.base import StatelessExit
from bot_runtime.exits.reason import with_numbers
from bot_runtime.indicators.base import Indicator
from bot_runtime.indicators.eom import Eom
from bot_runtime.indicators.levels import SupportResistance
from bot_runtime.indicators.rsi import Rsi
from bot_runtime.indicators.view import View


class EomRejectionExit(StatelessExit):
    """EOMRejectionExitMixin. The resistance is that of this bar: it held."""

    name = "EOMRejectionExitMixin"

    def __init__(self, config: RuleConfig) -> None:
        self._threshold = config.number("resistance_threshold")
        self._overbought = config.number("rsi_overbought")
        self._levels = SupportResistance(config.whole("resistance_lookback"))
        self._eom = Eom(config.whole("eom_period"))
        self._rsi = Rsi(config.whole("rsi_period"))
        self.indicators: tuple[Indicator, ...] = (self._levels, self._eom, self._rsi)
        self.lookback = max(self._eom.period, self._rsi.period, 5 * self._levels.lookback)

    def evaluate(self, view: View, position: Position) -> str | None:  # noqa: ARG002 - the port
        high, close, resistance = view.high(), view.close(), view.value(self._levels, "resistance")
        eom, rsi = view.value(self._eom, "eom"), view.value(self._rsi, "rsi")
        is_rejected = (
            high >= resistance * self._threshold
            and close < view.open()
            and eom < 0 <= view.value(self._eom, "eom", 1)
            and self._overbought < rsi < view.value(self._rsi, "rsi", 1)
        )
        if not is_rejected:
            return None
        return with_numbers("resistance_rejection", high=high, close=close, resistance=resistance, eom=eom, rsi=rsi)
