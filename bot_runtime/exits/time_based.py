"""Sell when the trade is old enough, in bars from the signal or in minutes from the fill."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot_core.models.rule import RuleConfig
from bot_runtime.domain.bar import epoch_ms
from bot_runtime.domain.position import Position
from bot_runtime.exits.base import StatefulExit
from bot_runtime.indicators.base import Indicator
from bot_runtime.indicators.view import View

_MS_PER_MINUTE = 60_000


@dataclass(slots=True)
class _Age:
    # Counted, so that no more bars need be remembered than the indicators want. None before the first evaluation.
    bars: int | None = None


class TimeBasedExit(StatefulExit[_Age]):
    """TimeBasedExitMixin. The two fills lie `max_bars` apart."""

    name = "TimeBasedExitMixin"
    memory_type = _Age
    lookback = 0

    def __init__(self, config: RuleConfig) -> None:
        self._max_bars = config.whole("max_bars")
        self._max_minutes = config.number("max_minutes") if config.flag("use_time") else None
        self.indicators: tuple[Indicator, ...] = ()

    def _begin(self, entry_price: float, at_signal: Mapping[str, Any]) -> _Age:  # noqa: ARG002 - the port
        return _Age()

    def _judge(self, memory: _Age, view: View, position: Position) -> str | None:
        memory.bars = self._first_age(view, position) if memory.bars is None else memory.bars + 1
        if self._max_minutes is None:
            return "time_limit_bars" if memory.bars >= self._max_bars else None
        minutes = (view.time - epoch_ms(position.entry_time)) / _MS_PER_MINUTE
        return "time_limit_minutes" if minutes >= self._max_minutes else None

    def _first_age(self, view: View, position: Position) -> int:
        """Return the bars since the signal; for a position adopted from before all that is kept, those kept."""
        since = view.bars_since(epoch_ms(position.signal_time))
        return view.bars_kept if since is None else since
