"""The port of exit rules: when to sell all. A rule sees bars, indicators and the position, never the account."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar, Generic, Protocol, TypeVar

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


class StatelessExit:
    """What a rule that remembers nothing need not say itself."""

    def at_signal(self, view: View) -> dict[str, Any]:  # noqa: ARG002 - the port
        return {}

    def opened(self, position: Position, at_signal: Mapping[str, Any]) -> None:
        """There is no state."""

    def closed(self) -> None:
        """There is no state."""

    def dump_state(self) -> dict[str, Any] | None:
        return None

    def load_state(self, state: Mapping[str, Any] | None) -> None:
        """There is no state."""


_Memory = TypeVar("_Memory")


class StatefulExit(ABC, Generic[_Memory]):
    """A rule with a memory of the trade, a dataclass of JSON values, from the fill of the entry to that of the exit.

    A position without a memory, as one that was adopted, begins one on its first evaluation, knowing nothing of the
    signal.
    """

    memory_type: ClassVar[type[Any]]
    _memory: _Memory | None = None

    def at_signal(self, view: View) -> dict[str, Any]:  # noqa: ARG002 - the port
        return {}

    def opened(self, position: Position, at_signal: Mapping[str, Any]) -> None:
        self._memory = self._begin(float(position.entry_price), at_signal)

    def evaluate(self, view: View, position: Position) -> str | None:
        if self._memory is None:
            self._memory = self._begin(float(position.entry_price), {})
        return self._judge(self._memory, view, position)

    def closed(self) -> None:
        self._memory = None

    def dump_state(self) -> dict[str, Any] | None:
        return None if self._memory is None else asdict(self._memory)  # type: ignore[call-overload]

    def load_state(self, state: Mapping[str, Any] | None) -> None:
        self._memory = None if state is None else self.memory_type(**state)

    @abstractmethod
    def _begin(self, entry_price: float, at_signal: Mapping[str, Any]) -> _Memory:
        """Return the memory of a trade that has just filled."""

    @abstractmethod
    def _judge(self, memory: _Memory, view: View, position: Position) -> str | None:
        """Take the bar into the memory and return the reason of an exit signal, or None."""


def defined(value: float) -> float | None:
    """Return a number as JSON has it: there is no NaN, so None stands for what is undefined."""
    return None if math.isnan(value) else value
