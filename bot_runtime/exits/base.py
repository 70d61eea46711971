"""The port of exit rules: when to sell all. A rule sees bars, indicators and the position, never the account."""

from collections.abc import Mapping
from typing import Any, Protocol

from bot_runtime.domain.position import Position
from bot_runtime.indicators.base import Indicator
from bot_runtime.indicators.view import View


class ExitRule(Protocol):
    """Its state begins when an entry fills and is cleared when the position is closed."""

    @property
    def name(self) -> str: ...
    @property
    def indicators(self) -> tuple[Indicator, ...]: ...
    @property
    def lookback(self) -> int:
        """Return how many bars go by before the first evaluation."""
        ...

    def at_signal(self, view: View) -> dict[str, Any]:
        """Return, as JSON, what the rule wants to know of the bar of the entry signal."""
        ...

    def opened(self, position: Position, at_signal: Mapping[str, Any]) -> None:
        """Begin a trade. `at_signal` is empty for a position that was adopted."""
        ...

    def evaluate(self, view: View, position: Position) -> str | None:
        """Return the reason of an exit signal, or None."""
        ...

    def closed(self) -> None: ...
    def dump_state(self) -> dict[str, Any] | None: ...
    def load_state(self, state: Mapping[str, Any] | None) -> None: ...
