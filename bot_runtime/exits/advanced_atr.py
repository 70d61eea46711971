"""Sell when the low reaches a stop that trails the high, closer in two steps as the profit grows.

Profits are measured in R, the distance of the first stop from the entry. The ATR is the largest of three, weighted.
"""

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
    risk: float | None
    stop: float | None
    phase: int = 0
    # None until the stop has moved for the first time, which it may on the very first bar.
    bars_since_move: int | None = None


class AdvancedAtrExit(StatefulExit[_Trail]):
    """AdvancedATRExitMixin. The low meets the stop of the bar before; then the stop moves."""

    name = "AdvancedATRExitMixin"
    memory_type = _Trail

    def __init__(self, config: RuleConfig) -> None:
        self._distances = [config.number(name) for name in ("k_init", "k_run", "k_phase2")]
        self._steps = [config.number(name) for name in ("arm_at_R", "phase2_at_R")]
        self._floor = config.number("atr_floor")
        self._trails_high = config.word("anchor") == "high"
        self._pause = config.whole("max_trail_freq")
        fast, slow = Atr(config.whole("p_fast")), Atr(config.whole("p_slow"))
        self._weights = [(fast, config.number("alpha_fast")), (slow, config.number("alpha_slow"))]
        if config.flag("use_htf_atr"):
            longer = max(fast, slow, key=lambda atr: atr.period)
            self._weights.append((longer, config.number("alpha_htf")))
        self.indicators: tuple[Indicator, ...] = tuple(dict.fromkeys((fast, slow)))
        self.lookback = max(fast.period, slow.period, 2 * config.whole("swing_lookback"))

    def at_signal(self, view: View) -> dict[str, Any]:
        return {"atr": defined(self._effective_atr(view))}

    def _begin(self, entry_price: float, at_signal: Mapping[str, Any]) -> _Trail:
        atr = at_signal.get("atr")
        risk = None if atr is None else self._distances[0] * atr
        return _Trail(highest=entry_price, risk=risk, stop=None if risk is None else entry_price - risk)

    def _judge(self, memory: _Trail, view: View, position: Position) -> str | None:
        memory.highest = max(memory.highest, view.high())
        if memory.bars_since_move is not None:
            memory.bars_since_move += 1
        if memory.stop is not None and view.low() <= memory.stop:
            return "stop_hit"
        if memory.bars_since_move is None or memory.bars_since_move >= self._pause:
            self._move(memory, view, float(position.entry_price))
        return None

    def _move(self, memory: _Trail, view: View, entry_price: float) -> None:
        atr, close = self._effective_atr(view), view.close()
        if memory.risk is None:
            memory.risk = defined(self._distances[0] * atr)
        # One step on each move at most.
        if memory.risk and memory.phase < len(self._steps):
            memory.phase += (close - entry_price) / memory.risk >= self._steps[memory.phase]
        reference = memory.highest if self._trails_high else close
        memory.stop = raised(memory.stop, reference - self._distances[memory.phase] * atr)
        memory.bars_since_move = 0

    def _effective_atr(self, view: View) -> float:
        """Return NaN while one of the ATRs is undefined."""
        weighted = [weight * view.value(atr, "atr") for atr, weight in self._weights]
        return max(self._floor, *weighted) if all(value >= 0 for value in weighted) else float("nan")
