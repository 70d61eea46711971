"""Sell when the close falls below a stop that trails the highest close since the entry."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot_core.models.rule import RuleConfig
from bot_runtime.domain.position import Position
from bot_runtime.exits.base import StatefulExit
from bot_runtime.indicators.atr import Atr
from bot_runtime.indicators.base import Indicator
from bot_runtime.indicators.view import View


@dataclass(slots=True)
class _Trail:
    # Of closes only: the fill itself, an open, is none.
    highest: float | None = None


class TrailingStopExit(StatefulExit[_Trail]):
    """TrailingStopExitMixin. With an activation it sells only at that much profit or more."""

    name = "TrailingStopExitMixin"
    memory_type = _Trail

    def __init__(self, config: RuleConfig) -> None:
        self._fraction = config.number("trail_pct")
        self._activation = config.number("activation_pct")
        self._multiplier = config.number("atr_multiplier")
        self._atr = Atr(config.whole("atr_period")) if config.flag("use_atr") else None
        self.indicators: tuple[Indicator, ...] = () if self._atr is None else (self._atr,)
        self.lookback = 0 if self._atr is None else self._atr.period

    def _begin(self, entry_price: float, at_signal: Mapping[str, Any]) -> _Trail:  # noqa: ARG002 - the port
        return _Trail()

    def _judge(self, memory: _Trail, view: View, position: Position) -> str | None:
        close = view.close()
        memory.highest = close if memory.highest is None else max(memory.highest, close)
        if self._activation > 0 and close / float(position.entry_price) - 1 < self._activation:
            return None
        return "trailing_stop" if close < self._stop(memory.highest, view) else None

    def _stop(self, highest: float, view: View) -> float:
        if self._atr is None:
            return highest * (1 - self._fraction)
        return highest - view.value(self._atr, "atr") * self._multiplier
