"""Sell when the close falls to a stop that trails the highest high by a multiple of the ATR at entry."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bot_core.models.rule import RuleConfig
from bot_runtime.domain.position import Position
from bot_runtime.indicators.atr import Atr
from bot_runtime.indicators.base import Indicator
from bot_runtime.indicators.view import View


@dataclass(slots=True)
class _Trail:
    highest: float
    entry_atr: float | None
    stop: float | None = None


class AtrExit:
    """ATRExitMixin. The stop never falls; there is no take profit."""

    name = "ATRExitMixin"

    def __init__(self, config: RuleConfig) -> None:
        self._multiplier = config.number("sl_multiplier")
        self._atr = Atr(config.whole("atr_period"))
        self._trail: _Trail | None = None
        self.indicators: tuple[Indicator, ...] = (self._atr,)
        self.lookback = self._atr.period

    def at_signal(self, view: View) -> dict[str, Any]:
        atr = view.value(self._atr, "atr")
        return {"atr": None if math.isnan(atr) else atr}

    def opened(self, position: Position, at_signal: Mapping[str, Any]) -> None:
        self._trail = _Trail(highest=float(position.entry_price), entry_atr=at_signal.get("atr"))

    def evaluate(self, view: View, position: Position) -> str | None:
        if self._trail is None:
            self.opened(position, {})
        return "stop_loss" if self._trail is not None and self._is_hit(self._trail, view) else None

    def closed(self) -> None:
        self._trail = None

    def dump_state(self) -> dict[str, Any] | None:
        return None if self._trail is None else asdict(self._trail)

    def load_state(self, state: Mapping[str, Any] | None) -> None:
        self._trail = None if state is None else _Trail(**state)

    def _is_hit(self, trail: _Trail, view: View) -> bool:
        trail.highest = max(trail.highest, view.high())
        candidate = trail.highest - self._distance(trail, view)
        if not math.isnan(candidate):
            trail.stop = candidate if trail.stop is None else max(trail.stop, candidate)
        return trail.stop is not None and view.close() <= trail.stop

    def _distance(self, trail: _Trail, view: View) -> float:
        atr = trail.entry_atr or view.value(self._atr, "atr")
        return atr * self._multiplier
