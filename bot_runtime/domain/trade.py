"""A closed trade: two fills and what they earned."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from bot_runtime.domain.money import ZERO
from bot_runtime.domain.order import Fill
from bot_runtime.domain.position import Direction, Position

_PERCENT = 100


@dataclass(frozen=True, slots=True)
class Trade:
    """Exact amounts in quote currency; `commission` is that of both fills. Times are those of the bars that filled.

    `size` is what was sold. `dust` is what was bought beside it and is too little to be sold: `net_pnl` has its cost.
    """

    direction: Direction
    size: Decimal
    signal_time: datetime
    entry_time: datetime
    entry_price: Decimal
    entry_reason: str
    exit_time: datetime
    exit_price: Decimal
    exit_reason: str
    commission: Decimal
    dust: Decimal = ZERO

    @property
    def gross_pnl(self) -> Decimal:
        return (self.exit_price - self.entry_price) * self.size

    @property
    def net_pnl(self) -> Decimal:
        return self.gross_pnl - self.commission - self.dust * self.entry_price

    @property
    def pnl_percentage(self) -> Decimal:
        """Gross profit in per cent of the entry price."""
        return (self.exit_price - self.entry_price) / self.entry_price * _PERCENT


def close_trade(position: Position, fill: Fill, reason: str) -> Trade:
    """The trade that a position becomes when `fill` closes what was left of it. Several exits count at their mean."""
    size, price = fill.quantity, fill.price
    if position.exited:
        size = position.exited + fill.quantity
        price = (position.exit_value + fill.price * fill.quantity) / size
    return Trade(
        direction=position.direction,
        size=size,
        signal_time=position.signal_time,
        entry_time=position.entry_time,
        entry_price=position.entry_price,
        entry_reason=position.entry_reason,
        exit_time=fill.time,
        exit_price=price,
        exit_reason=reason,
        commission=position.entry_commission + position.exit_commission + fill.commission,
        dust=position.held - fill.quantity,
    )
