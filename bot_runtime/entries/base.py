"""The port of entry rules: when to buy. A rule sees bars and indicators only, never money."""

from collections.abc import Mapping
from typing import Any, Protocol

from bot_runtime.indicators.base import Indicator
from bot_runtime.indicators.view import View


class EntryRule(Protocol):
    """Evaluated on each close while flat. Its state outlives trades: a cooldown counts from the last signal."""

    @property
    def name(self) -> str: ...
    @property
    def indicators(self) -> tuple[Indicator, ...]: ...
    @property
    def lookback(self) -> int:
        """Return how many bars go by before the first evaluation."""
        ...

    @property
    def memory(self) -> int:
        """Return how many bars back the rule's state may reach."""
        ...

    def evaluate(self, view: View) -> str | None:
        """Return the reason of an entry signal, or None."""
        ...

    def dump_state(self) -> dict[str, Any]: ...
    def load_state(self, state: Mapping[str, Any]) -> None: ...


class StatelessEntry:
    """What a rule that remembers nothing need not say itself."""

    name: str
    memory = 0

    @property
    def _signal(self) -> str:
        return f"{self.name} signal"

    def dump_state(self) -> dict[str, Any]:
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """There is no state."""
