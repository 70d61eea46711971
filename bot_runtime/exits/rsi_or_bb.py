"""Sell when the RSI falls out of overbought or the close falls back inside the upper band."""

from bot_runtime.domain.position import Position
from bot_runtime.exits.overbought import OverboughtExit
from bot_runtime.indicators.view import View


class RsiOrBbExit(OverboughtExit):
    """RSIOrBBExitMixin. The reason names what crossed."""

    name = "RSIOrBBExitMixin"

    def evaluate(self, view: View, position: Position) -> str | None:  # noqa: ARG002 - the port
        crossings = {"rsi_cross": self._rsi_falls_back(view), "bb_cross": self._close_falls_back(view)}
        names = [name for name, crossed in crossings.items() if crossed]
        return f"rsi_or_bb_{'_'.join(names)}" if names else None
