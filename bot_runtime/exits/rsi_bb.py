"""Sell when the RSI falls out of overbought and the close falls back inside the upper band, on the same bar."""

from collections.abc import Mapping
from typing import Any

from bot_core.models.rule import RuleConfig
from bot_runtime.domain.position import Position
from bot_runtime.indicators.base import Indicator
from bot_runtime.indicators.rsi import Rsi
from bot_runtime.indicators.view import View
from bot_runtime.indicators.windows import BollingerBands


class RsiBbExit:
    """RSIBBExitMixin. Stateless."""

    name = "RSIBBExitMixin"

    def __init__(self, config: RuleConfig) -> None:
        self._overbought = config.number("rsi_overbought")
        self._rsi = Rsi(config.whole("rsi_period"))
        self._bands = BollingerBands(config.whole("bb_period"), config.number("bb_dev"))
        self.indicators: tuple[Indicator, ...] = (self._rsi, self._bands)
        self.lookback = max(self._rsi.period, self._bands.period)

    def at_signal(self, view: View) -> dict[str, Any]:  # noqa: ARG002 - the port
        return {}

    def opened(self, position: Position, at_signal: Mapping[str, Any]) -> None:
        """There is no state."""

    def evaluate(self, view: View, position: Position) -> str | None:  # noqa: ARG002 - the port
        rsi_fell = view.value(self._rsi, "rsi", 1) >= self._overbought > view.value(self._rsi, "rsi")
        was_out = view.close(1) >= view.value(self._bands, "upper", 1)
        is_in = view.close() < view.value(self._bands, "upper")
        return "rsi_bb_cross_exit" if rsi_fell and was_out and is_in else None

    def closed(self) -> None:
        """There is no state."""

    def dump_state(self) -> dict[str, Any] | None:
        return None

    def load_state(self, state: Mapping[str, Any] | None) -> None:
        """There is no state."""
