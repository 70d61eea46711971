"""The strategy port: what the kernel asks of a strategy. A strategy decides; it never sizes, orders or books."""

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

from bot_runtime.domain.position import Position
from bot_runtime.indicators.base import Indicator
from bot_runtime.indicators.view import View

# What survives a restart: JSON, with floats that read back as the same bits.
State: TypeAlias = dict[str, Any]


class Strategy(Protocol):
    """Duties, in the order in which the kernel calls them for each bar.

    `enter` when flat, `exit` when in position: evaluate on the close, return the reason of a signal or None.
    `opened` when an entry has filled, before the next bar; `closed` when an exit has.
    """

    @property
    def name(self) -> str: ...
    @property
    def entry_name(self) -> str: ...
    @property
    def exit_name(self) -> str: ...
    @property
    def indicators(self) -> tuple[Indicator, ...]: ...
    @property
    def first_bar(self) -> int:
        """Return the index (0-based) of the first bar of the data that may be evaluated."""
        ...

    @property
    def warmup(self) -> int:
        """Return how many bars must be remembered for values that no longer depend on where history began."""
        ...

    def enter(self, view: View) -> str | None: ...
    def opened(self, position: Position) -> None: ...
    def exit(self, view: View, position: Position) -> str | None: ...
    def closed(self) -> None: ...
    def dump_state(self) -> State: ...
    def load_state(self, state: Mapping[str, Any]) -> None: ...
