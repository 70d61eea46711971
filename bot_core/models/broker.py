"""The `broker` section: where orders go. Credentials are never here, only the name of what holds them."""

from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

BROKER_TYPES = ("paper", "binance", "binance_paper", "alpaca", "ibkr", "backtrader", "mock", "file_broker")


class BrokerConfig(BaseModel):
    """`cash` is the opening balance in the quote currency, `commission` a fraction of each fill's value."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str
    trading_mode: str
    name: str | None = None
    cash: Decimal = Field(default=Decimal(10000), gt=0)
    commission: Decimal = Field(default=Decimal("0.001"), ge=0, le=1)
    live_trading_confirmed: bool = False

    @field_validator("cash", "commission", mode="before")
    @classmethod
    def _exact_decimals(cls, value: Any) -> Any:
        return Decimal(repr(value)) if isinstance(value, float) else value

    @field_validator("type")
    @classmethod
    def _known_type(cls, value: str) -> str:
        if value.lower() not in BROKER_TYPES:
            raise ValueError(f"is no known broker; allowed: {', '.join(BROKER_TYPES)}")
        return value.lower()

    @field_validator("trading_mode")
    @classmethod
    def _paper_only(cls, value: str) -> str:
        match value.lower():
            case "paper":
                return "paper"
            case "live":
                raise ValueError("live trading is not available in this version; allowed: paper")
            case _:
                raise ValueError("is no trading mode; allowed: paper, live")
