"""What a venue allows for one market: the grid of quantities and prices, and the smallest order."""

from dataclasses import dataclass
from decimal import Decimal

from bot_runtime.domain.money import CENT8, ZERO, round_down


@dataclass(frozen=True, slots=True)
class MarketRules:
    """`quantity_step` and `price_step` in base and quote units; the least quantity, and the least value of an order.

    `max_quantity` is the most that one order may hold. `rests_stops` says whether the venue keeps stop orders for us.
    """

    quantity_step: Decimal = CENT8
    price_step: Decimal = CENT8
    min_quantity: Decimal = ZERO
    min_notional: Decimal = ZERO
    rests_stops: bool = True
    max_quantity: Decimal | None = None

    def quantity(self, quantity: Decimal) -> Decimal:
        """Round a quantity down to what may be ordered at once; the rest of a greater one takes further orders."""
        most = quantity if self.max_quantity is None else min(quantity, self.max_quantity)
        return round_down(most, self.quantity_step)

    def price(self, price: Decimal) -> Decimal:
        """Round a price down to the grid."""
        return round_down(price, self.price_step)

    def sells(self, held: Decimal, price: Decimal) -> bool:
        """Whether what is held, or what of it the steps allow, can be sold at about this price."""
        quantity = self.quantity(held)
        return quantity > ZERO and self.refusal(quantity, price) is None

    def refusal(self, quantity: Decimal, price: Decimal) -> str | None:
        """Why the venue would refuse an order of this size at about this price, or None."""
        if quantity < self.min_quantity:
            return f"quantity {quantity:f} is below the venue's least, {self.min_quantity:f}"
        if quantity * price < self.min_notional:
            return f"the order is worth {quantity * price:f}, the venue's least is {self.min_notional:f}"
        return None
