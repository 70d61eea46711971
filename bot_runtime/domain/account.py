"""One bot's money and position: the only mutable thing of the domain, changed by fills alone."""

from dataclasses import dataclass, replace
from decimal import Decimal

from bot_runtime.domain.market import MarketRules
from bot_runtime.domain.money import ZERO, round_money
from bot_runtime.domain.order import Fill, OrderIntent
from bot_runtime.domain.position import Direction, Position
from bot_runtime.domain.trade import Trade, close_trade

_ANY_MARKET = MarketRules()


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

    def close(
        self, intent: OrderIntent, fill: Fill, market: MarketRules = _ANY_MARKET
    ) -> tuple[Trade | None, Position]:
        """Book the fill of an exit; return the trade, or None when a part of the position is left, and the position.

        What `market` would not let us sell at the price of the fill is dust, no position: its cost is the trade's.
        Raise ValueError for a fill of more than is held.
        """
        position = self.position
        if position is None:
            raise ValueError(f"exit {fill.client_order_id} filled without an open position")
        if fill.quantity > position.held:
            raise ValueError(f"exit {fill.client_order_id} filled {fill.quantity}; the position holds {position.held}")
        self.cash = round_money(self.cash + fill.price * fill.quantity - fill.commission)
        if market.sells(position.held - fill.quantity, fill.price):
            self.position = replace(
                position,
                exited=position.exited + fill.quantity,
                exit_value=position.exit_value + fill.price * fill.quantity,
                exit_commission=position.exit_commission + fill.commission,
            )
            return None, self.position
        trade = close_trade(position, fill, intent.reason)
        self.realized_pnl = round_money(self.realized_pnl + trade.net_pnl)
        self.position = None
        return trade, position

    def value(self, price: Decimal) -> Decimal:
        """Return cash plus the position at `price`."""
        held = ZERO if self.position is None else self.position.held * price
        return round_money(self.cash + held)
