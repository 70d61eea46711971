"""What a bot is between two bars, as values that survive the database unchanged. No I/O.

Decimals travel as text: the tables round prices to eight places, a resumed bot must not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from bot_runtime.domain.account import Account
from bot_runtime.domain.money import round_money
from bot_runtime.domain.position import Direction, Position

#: There only where an exit has filled in part.
_EXITED = ("exited", "exit_value", "exit_commission")


@dataclass(frozen=True)
class Snapshot:
    """The state after `cursor`, the open time of the last bar that was processed, whose close is `price`."""

    cursor: datetime | None
    rule_state: dict[str, Any]
    account: Account
    price: Decimal | None = None

    @property
    def balance(self) -> Decimal:
        return balance_of(self.account)


def balance_of(account: Account) -> Decimal:
    """Cash plus what the open position cost: the opening balance plus everything realised, commissions paid."""
    held = account.position.held * account.position.entry_price if account.position else Decimal(0)
    return round_money(account.cash + held)


def dump_account(account: Account) -> dict[str, Any]:
    position = account.position
    return {
        "cash": str(account.cash),
        "realized_pnl": str(account.realized_pnl),
        "position": None if position is None else _dump_position(position),
    }


def load_account(data: Mapping[str, Any]) -> Account:
    position = data.get("position")
    return Account(
        cash=Decimal(data["cash"]),
        realized_pnl=Decimal(data["realized_pnl"]),
        position=None if position is None else _load_position(position),
    )


def _dump_position(position: Position) -> dict[str, str]:
    return {
        "direction": str(position.direction),
        "quantity": str(position.quantity),
        "entry_price": str(position.entry_price),
        "entry_time": position.entry_time.isoformat(),
        "signal_time": position.signal_time.isoformat(),
        "entry_commission": str(position.entry_commission),
        "entry_reason": position.entry_reason,
        **{name: str(getattr(position, name)) for name in _EXITED if getattr(position, name)},
    }


def _load_position(data: Mapping[str, str]) -> Position:
    return Position(
        direction=Direction(data["direction"]),
        quantity=Decimal(data["quantity"]),
        entry_price=Decimal(data["entry_price"]),
        entry_time=datetime.fromisoformat(data["entry_time"]),
        signal_time=datetime.fromisoformat(data["signal_time"]),
        entry_commission=Decimal(data["entry_commission"]),
        entry_reason=data["entry_reason"],
        **{name: Decimal(data[name]) for name in _EXITED if name in data},
    )
