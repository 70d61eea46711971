"""Sell when the RSI falls out of overbought and the close falls back inside the upper band, on the same bar."""

from bot_runtime.domain.position import Position
from bot_runtime.exits.overbought import OverboughtExit
from bot_runtime.indicators.view import View


class RsiBbExit(OverboughtExit):
    """RSIBBExitMixin."""

    name = "RSIBBExitMixin"

    def evaluate(self, view: View, position: Position) -> str | None:  # noqa: ARG002 - the port
        return "rsi_bb_cross_exit" if self._rsi_falls_back(view) and self._close_falls_back(view) else None
