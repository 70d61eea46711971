"""Sell when the close falls to a stop that trails the highest high by a multiple of the ATR at entry."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot_core.models.rule import RuleConfig
from bot_runtime.domain.position import Position
from bot_runtime.exits.base import StatefulExit, defined
from bot_runtime.exits.stop import raised
from bot_runtime.indicators.atr import Atr
from bot_runtime.indicators.base import Indicator
from bot_runtime.indicators.view import View


@dataclass(slots=True)
class _Trail:
    highest: float
    entry_atr: float | None
    stop: float | None = None


class AtrExit(StatefulExit[_Trail]):
    """ATRExitMixin. There is no take profit."""

    name = "ATRExitMixin"
    memory_type = _Trail

    def __init__(self, config: RuleConfig) -> None:
        self._multiplier = config.number("sl_multiplier")
        self._atr = Atr(config.whole("atr_period"))
        self.indicators: tuple[Indicator, ...] = (self._atr,)
        self.lookback = self._atr.period

    def at_signal(self, view: View) -> dict[str, Any]:
        return {"atr": defined(view.value(self._atr, "atr"))}

    def _begin(self, entry_price: float, at_signal: Mapping[str, Any]) -> _Trail:
        return _Trail(highest=entry_price, entry_atr=at_signal.get("atr"))

    def _judge(self, memory: _Trail, view: View, position: Position) -> str | None:  # noqa: ARG002 - the port
        memory.highest = max(memory.highest, view.high())
        atr = memory.entry_atr or view.value(self._atr, "atr")
        memory.stop = raised(memory.stop, memory.highest - atr * self._multiplier)
        return "stop_loss" if memory.stop is not None and view.close() <= memory.stop else None
