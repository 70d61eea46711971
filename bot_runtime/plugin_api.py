"""What a plugin imports: the names here stay, whatever moves behind them. docs/plugins.md explains them.

`EntryPlugin` and `ExitPlugin` do the duties that a rule without state has no use for. A rule need not derive from
them: whatever does the duties of the ports in `entries/base.py` and `exits/base.py` is one. A feed of bars of the past
may derive from `PastFeed`.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from bot_core.models.config import BotConfig
from bot_core.models.errors import InvalidBotError, TransientError
from bot_core.models.problem import Notice
from bot_core.models.rule import RuleConfig
from bot_core.models.rule_parameters import Parameter
from bot_runtime.brokers.base import (
    Broker,
    Fence,
    FencedError,
    NotSentError,
    UnknownOutcomeError,
    VenueUnavailableError,
)
from bot_runtime.domain.bar import Bar
from bot_runtime.domain.market import MarketRules
from bot_runtime.domain.order import (
    Fill,
    OrderIntent,
    OrderReport,
    OrderStatus,
    OrderType,
    Purpose,
    RestingOrder,
    Side,
)
from bot_runtime.domain.position import Position
from bot_runtime.feeds.base import Feed, PastFeed, Sleeper
from bot_runtime.indicators.base import Columns, Floats, Indicator
from bot_runtime.indicators.view import View
from bot_runtime.strategies.base import State, Strategy

__all__ = [
    "Bar",
    "BotConfig",
    "Broker",
    "Columns",
    "EntryPlugin",
    "ExitPlugin",
    "Feed",
    "Fence",
    "FencedError",
    "Fill",
    "Floats",
    "Indicator",
    "InvalidBotError",
    "MarketRules",
    "NotSentError",
    "Notice",
    "OrderIntent",
    "OrderReport",
    "OrderStatus",
    "OrderType",
    "Parameter",
    "PastFeed",
    "Position",
    "Purpose",
    "RestingOrder",
    "RuleConfig",
    "Side",
    "Sleeper",
    "State",
    "Strategy",
    "TransientError",
    "UnknownOutcomeError",
    "VenueUnavailableError",
    "View",
]


class EntryPlugin:
    """An entry rule without state. Set `name` and `parameters`; `__init__` takes the RuleConfig, `evaluate` decides."""

    name: ClassVar[str]
    parameters: ClassVar[tuple[Parameter, ...]] = ()
    indicators: tuple[Indicator, ...] = ()
    lookback: int = 0
    memory: int = 0

    def __init__(self, config: RuleConfig) -> None:
        self.config = config

    def evaluate(self, view: View) -> str | None:
        raise NotImplementedError

    def dump_state(self) -> dict[str, Any]:
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """There is no state."""


class ExitPlugin:
    """An exit rule without state, likewise."""

    name: ClassVar[str]
    parameters: ClassVar[tuple[Parameter, ...]] = ()
    indicators: tuple[Indicator, ...] = ()
    lookback: int = 0

    def __init__(self, config: RuleConfig) -> None:
        self.config = config

    def at_signal(self, view: View) -> dict[str, Any]:  # noqa: ARG002 - the port
        return {}

    def opened(self, position: Position, at_signal: Mapping[str, Any]) -> None:
        """There is no state."""

    def evaluate(self, view: View, position: Position) -> str | None:
        raise NotImplementedError

    def closed(self) -> None:
        """There is no state."""

    def dump_state(self) -> dict[str, Any] | None:
        return None

    def load_state(self, state: Mapping[str, Any] | None) -> None:
        """There is no state."""
