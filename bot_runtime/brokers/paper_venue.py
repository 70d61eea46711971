"""How simulated orders fill: a market order at the open of the next bar. Pure; shared by backtest and paper broker."""

from decimal import Decimal

from bot_runtime.domain.bar import Bar
from bot_runtime.domain.money import ZERO, decimal_of
from bot_runtime.domain.order import Fill, OrderIntent, Side

_BASIS_POINTS = Decimal(10_000)


class PaperVenue:
    """Open market orders of one symbol. `commission` is a fraction of the value, `slippage_bps` is always adverse."""

    def __init__(self, commission: Decimal, slippage_bps: Decimal = ZERO) -> None:
        self._commission = commission
        self._slippage = slippage_bps / _BASIS_POINTS
        self._open: dict[str, OrderIntent] = {}

    @property
    def open_orders(self) -> tuple[OrderIntent, ...]:
        return tuple(self._open.values())

    def submit(self, intent: OrderIntent) -> None:
        """Take an order; the same client order id twice is the same order."""
        self._open.setdefault(intent.client_order_id, intent)

    def cancel(self, client_order_id: str) -> bool:
        """Drop an order; False when it is not open."""
        return self._open.pop(client_order_id, None) is not None

    def match(self, bar: Bar) -> list[Fill]:
        """Fill, at the open, every order that was decided on before this bar; at the bar's time."""
        due = [intent for intent in self._open.values() if intent.signal_time < bar.time]
        for intent in due:
            del self._open[intent.client_order_id]
        return [self._fill(intent, bar) for intent in due]

    def _fill(self, intent: OrderIntent, bar: Bar) -> Fill:
        adverse = self._slippage if intent.side is Side.BUY else -self._slippage
        price = decimal_of(bar.open) * (1 + adverse)
        commission = self._commission * intent.quantity * price
        return Fill(intent.client_order_id, bar.time, price, intent.quantity, commission)
