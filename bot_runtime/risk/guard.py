"""Placeholder until the guard is merged."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from bot_core.models.operation import SchedulingConfig
from bot_core.models.risk import RiskConfig, TradingConfig
from bot_runtime.domain.account import Account
from bot_runtime.domain.bar import Bar
from bot_runtime.domain.position import Position
from bot_runtime.domain.trade import Trade


@dataclass(frozen=True, slots=True)
class Refusal:
    limit: str
    message: str


class RiskGuard:
    def __init__(
        self, risk: RiskConfig, trading: TradingConfig, scheduling: SchedulingConfig, opening_cash: Decimal
    ) -> None:
        self.watches = False
        self.limits_entries = False
        self._risk = risk

    def opened(self, position: Position) -> None: ...
    def closed(self, trade: Trade, account: Account) -> None: ...
    def on_bar(self, bar: Bar, account: Account) -> None: ...
    def exit(self, bar: Bar, position: Position) -> str | None:
        return None

    def stop_price(self, position: Position) -> Decimal | None:
        return None

    def stop_reason(self, position: Position) -> str:
        return "stop_loss"

    def admit(self, quantity: Decimal, price: Decimal, time: datetime, account: Account) -> Decimal | Refusal:
        return quantity

    def dump_state(self) -> dict[str, Any]:
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None: ...
