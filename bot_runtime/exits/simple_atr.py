"""Sell when the close falls to a stop that trails the close by a multiple of the ATR, with a break-even."""

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
    stop: float | None


class SimpleAtrExit(StatefulExit[_Trail]):
    """SimpleATRExitMixin. The first stop is measured from the fill with the ATR of the signal bar."""

    name = "SimpleATRExitMixin"
    memory_type = _Trail

    def __init__(self, config: RuleConfig) -> None:
        self._multiplier = config.number("atr_multiplier")
        self._breakeven = config.number("breakeven_atr") if config.flag("use_breakeven") else None
        self._atr = Atr(config.whole("atr_period"))
        self.indicators: tuple[Indicator, ...] = (self._atr,)
        self.lookback = self._atr.period

    def at_signal(self, view: View) -> dict[str, Any]:
        return {"atr": defined(view.value(self._atr, "atr"))}

    def _begin(self, entry_price: float, at_signal: Mapping[str, Any]) -> _Trail:
        atr = at_signal.get("atr")
        return _Trail(stop=entry_price - atr * self._multiplier if atr else None)

    def _judge(self, memory: _Trail, view: View, position: Position) -> str | None:
        close, entry, atr = view.close(), float(position.entry_price), view.value(self._atr, "atr")
        if atr > 0:
            # The stop never falls, so to be past break-even once is to be past it for good.
            if self._breakeven is not None and close >= entry + atr * self._breakeven:
                memory.stop = raised(memory.stop, entry)
            memory.stop = raised(memory.stop, close - atr * self._multiplier)
        return "atr_trailing_stop" if memory.stop is not None and close <= memory.stop else None
