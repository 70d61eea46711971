"""What a perfectly informed bookkeeper says: money, position and trades from the venue's own orders, by plain sums.

It knows nothing of desks, leases and journals, so that it can be wrong in other ways than they are.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from bot_runtime.domain.order import OrderStatus, Side
from support.scripted_venue import STEP, VenueOrder

NOTHING = Decimal(0)


@dataclass
class Deal:
    """A trade: what one entry bought, and what the exits made of it. Less than one step left over is no position."""

    bought: Decimal
    paid: Decimal
    commission: Decimal
    sold: Decimal = NOTHING
    received: Decimal = NOTHING

    @property
    def held(self) -> Decimal:
        return self.bought - self.sold

    @property
    def closed(self) -> bool:
        return self.held < STEP

    @property
    def net(self) -> Decimal:
        return self.received - self.paid * self.sold / self.bought - self.commission


@dataclass
class Bookkeeping:
    cash: Decimal
    deals: list[Deal] = field(default_factory=list)

    @property
    def open_deal(self) -> Deal | None:
        return self.deals[-1] if self.deals and not self.deals[-1].closed else None

    @property
    def realized(self) -> Decimal:
        return sum((deal.net for deal in self.deals if deal.closed), NOTHING)

    @property
    def balance(self) -> Decimal:
        deal = self.open_deal
        return self.cash + (deal.paid / deal.bought * deal.held if deal else NOTHING)


def bookkeeping(orders: Iterable[VenueOrder], opening_cash: Decimal) -> Bookkeeping:
    """Book the orders that are final, in the order in which the venue took them."""
    books = Bookkeeping(opening_cash)
    for order in orders:
        if order.status is OrderStatus.OPEN or not order.filled:
            continue
        quantity = order.filled - order.base_fee
        value = quantity * order.price
        if order.intent.side is Side.BUY:
            assert books.open_deal is None, f"{order.intent.client_order_id} bought beside an open position"
            books.deals.append(Deal(quantity, value, order.commission))
            books.cash -= value + order.commission
        else:
            deal = books.open_deal
            assert deal is not None, f"{order.intent.client_order_id} sold what was not held"
            deal.sold += quantity
            deal.received += value
            deal.commission += order.commission
            books.cash += value - order.commission
    return books
