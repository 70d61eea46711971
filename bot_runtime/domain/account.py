"""One bot's money and position: the only mutable thing of the domain, changed by fills alone."""

from dataclasses import dataclass
from decimal import Decimal

from bot_runtime.domain.money import ZERO, round_money
from bot_runtime.domain.order import Fill, OrderIntent
from bot_runtime.domain.position import Direction, Position
from bot_runtime.domain.trade import Trade, close_trade


@dataclass(slots=True)
class Account:
    """Free cash, the open position, and the net P&L of the closed trades; amounts have eight decimals."""

    cash: Decimal
    position: Position | None = None
    realized_pnl: Decimal = ZERO

    def open(self, intent: OrderIntent, fill: Fill) -> Position:
        """Book the fill of an entry. Raise ValueError when a position is open already."""
        if self.position is not None:
            raise ValueError(
                f"entry {fill.client_order_id} filled while a position is open since {self.position.entry_time}"
            )
        self.cash = round_money(self.cash - fill.price * fill.quantity - fill.commission)
        self.position = Position(
            direction=Direction.LONG,
            quantity=fill.quantity,
            entry_price=fill.price,
            entry_time=fill.time,
            signal_time=intent.signal_time,
            entry_commission=fill.commission,
            entry_reason=intent.reason,
        )
        return self.position

    def close(self, intent: OrderIntent, fill: Fill) -> tuple[Trade, Position]:
        """Book the fill that closes the position. Raise ValueError when there is none or the quantities differ."""
        position = self.position
        if position is None:
            raise ValueError(f"exit {fill.client_order_id} filled without an open position")
        if fill.quantity != position.quantity:
            raise ValueError(
                f"exit {fill.client_order_id} filled {fill.quantity}; the position holds {position.quantity}"
            )
        trade = close_trade(position, fill, intent.reason)
        self.cash = round_money(self.cash + fill.price * fill.quantity - fill.commission)
        self.realized_pnl = round_money(self.realized_pnl + trade.net_pnl)
        self.position = None
        return trade, position

    def value(self, price: Decimal) -> Decimal:
        """Return cash plus the position at `price`."""
        held = ZERO if self.position is None else self.position.quantity * price
        return round_money(self.cash + held)
