"""The `broker` section: where orders go. Credentials are never here, only the name of what holds them."""

from decimal import Decimal
from typing import Annotated, Any, ClassVar

from pydantic import field_validator

from bot_core.models.extensions import Group, extension_names
from bot_core.models.section import Section
from bot_core.models.values import FLAG, MAYBE_FLAG, number, one_of, optional, text

BROKER_TYPES = ("paper", "binance", "ibkr", "alpaca")
#: Brokers whose live orders need a key; ibkr asks its own gateway.
KEYED_BROKERS = frozenset({"binance", "alpaca"})
_MOST_CASH = 1e11  # the balance column holds twelve digits before the point


class BrokerConfig(Section):
    """`cash` is the opening balance in the quote currency, `commission` a fraction of each fill's value."""

    inert: ClassVar[frozenset[str]] = frozenset(
        {
            "initial_balance", "paper_trading_config", "connection_params", "backtrader_config", "data_source",
            "notifications", "risk_management", "description", "_comment", "_warning", "_WARNING",
        }
    )  # fmt: skip

    type: str
    trading_mode: Annotated[str, one_of(("paper", "live"), "trading mode")]
    name: Annotated[str | None, optional(text())] = None
    cash: Annotated[Decimal, number(0, _MOST_CASH, above=True)] = Decimal(10000)
    commission: Annotated[Decimal, number(0, 1)] = Decimal("0.001")
    live_trading_confirmed: Annotated[bool, FLAG] = False
    testnet: Annotated[bool | None, MAYBE_FLAG] = None

    @field_validator("type", mode="before")
    @classmethod
    def _known_type(cls, value: Any) -> str:
        value = value.lower() if isinstance(value, str) else value
        if isinstance(value, str) and value in BROKER_TYPES:
            return value  # plugins are asked for only where a document names one
        plugins = extension_names(Group.BROKERS)
        if not isinstance(value, str) or value not in plugins:
            aliases = "mock, file_broker and backtrader mean paper, binance_paper binance on paper"
            raise ValueError(f"is no known broker ({aliases}); allowed: {', '.join((*BROKER_TYPES, *plugins))}")
        return value
