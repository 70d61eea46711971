"""The `broker` section: where orders go. Credentials are never here, only the name of what holds them."""

import difflib
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar

from pydantic import field_validator

from bot_core.models.exchanges import CCXT_EXCHANGES
from bot_core.models.extensions import Group, extension_names
from bot_core.models.section import Section
from bot_core.models.values import FLAG, MAYBE_FLAG, number, one_of, optional, text, whole

_OWN_TYPES = ("paper", "binance", "ibkr", "alpaca")
BROKER_TYPES = (*_OWN_TYPES, *CCXT_EXCHANGES)
#: Brokers whose live orders need a key; ibkr asks its own gateway.
KEYED_BROKERS = frozenset(BROKER_TYPES) - {"paper", "ibkr"}
_MOST_SEED = 2**63 - 1
_MOST_CASH = 1e11  # the balance column holds twelve digits before the point


class SimulationConfig(Section):
    """How the paper venue fills: against the order by `slippage_bps`, late, in parts, or not at all, by `seed`."""

    slippage_bps: Annotated[Decimal, number(0, 1000)] = Decimal(0)
    latency_ms: Annotated[int, whole(0, 600_000)] = 0
    partial_fill_probability: Annotated[Decimal, number(0, 1)] = Decimal(0)
    reject_probability: Annotated[Decimal, number(0, 1)] = Decimal(0)
    seed: Annotated[int | None, optional(whole(0, _MOST_SEED))] = None


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
    simulation: SimulationConfig = SimulationConfig()

    @field_validator("simulation", mode="before")
    @classmethod
    def _object(cls, value: Any) -> Any:
        if not isinstance(value, (Mapping, SimulationConfig)):
            raise ValueError('is not a JSON object; allowed: such as {"slippage_bps": 5}')  # noqa: TRY004
        return value

    @field_validator("type", mode="before")
    @classmethod
    def _known_type(cls, value: Any) -> str:
        value = value.lower() if isinstance(value, str) else value
        if isinstance(value, str) and value in BROKER_TYPES:
            return value  # plugins are asked for only where a document names one
        plugins = extension_names(Group.BROKERS)
        if not isinstance(value, str) or value not in plugins:
            aliases = "mock, file_broker and backtrader mean paper, binance_paper binance on paper"
            near = difflib.get_close_matches(str(value)[:80], BROKER_TYPES, n=1, cutoff=0.8)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(
                f"is no known broker ({aliases}){hint}; allowed: the id of a crypto exchange that ccxt knows, such as "
                f"kraken, or {', '.join((*_OWN_TYPES, *plugins))}"
            )
        return value
