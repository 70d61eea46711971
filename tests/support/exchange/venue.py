"""The order book of the stand-in: accepts, rests, triggers, fills and cancels orders. Pure but for its clock.

As at Binance, a client order id is taken only while an order with it is open; `strict_ids` refuses it for ever.
"""

import math
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

from support.exchange.account import ZERO, Account
from support.exchange.markets import MARKETS, PRICES, Market, VenueError

_RESTING = frozenset({"LIMIT", "STOP_LOSS", "STOP_LOSS_LIMIT"})
_STOPS = frozenset({"STOP_LOSS", "STOP_LOSS_LIMIT"})
_OPEN = frozenset({"NEW", "PARTIALLY_FILLED"})


@dataclass
class VenueFill:
    id: int
    price: Decimal
    quantity: Decimal
    commission: Decimal
    commission_asset: str
    time: int
    maker: bool = False


@dataclass
class VenueOrder:
    id: int
    client_id: str
    symbol: str
    side: str
    type: str
    quantity: Decimal
    price: Decimal | None
    stop_price: Decimal | None
    time: int
    foreign: bool = False
    status: str = "NEW"
    update_time: int = 0
    working: bool = True
    locked: Decimal = ZERO
    fills: list[VenueFill] = field(default_factory=list)

    @property
    def open(self) -> bool:
        return self.status in _OPEN

    @property
    def filled(self) -> Decimal:
        return sum((fill.quantity for fill in self.fills), ZERO)

    @property
    def quote(self) -> Decimal:
        return sum((fill.quantity * fill.price for fill in self.fills), ZERO)

    @property
    def rest(self) -> Decimal:
        return self.quantity - self.filled


@dataclass(frozen=True)
class FillPlan:
    """How the next order that executes is filled: in these parts, the first at once, each other `delay` s later.

    A delay of None waits for `advance`.
    """

    parts: tuple[Decimal, ...]
    delay: float | None = None
    first_at_once: bool = True


class Venue:
    def __init__(
        self,
        *,
        markets: Sequence[Market] = MARKETS,
        balances: dict[str, Decimal] | None = None,
        fee: Decimal = Decimal("0.001"),
        strict_ids: bool = False,
    ) -> None:
        self.markets = {market.symbol: market for market in markets}
        self.prices = {symbol: PRICES.get(symbol, Decimal(100)) for symbol in self.markets}
        self.account = Account(balances or {"USDT": Decimal(100_000), "BTC": Decimal(1), "BNB": Decimal(10)})
        self.fee, self.strict_ids = fee, strict_ids
        self.fee_coin: str | None = None
        self.clock_offset = 0.0
        self.orders: list[VenueOrder] = []
        self.on_price: list[Callable[[str, Decimal], None]] = []
        self._plans: list[FillPlan] = []
        self._due: list[tuple[float, VenueOrder, Decimal]] = []
        self._fill_ids = 0

    def now(self) -> int:
        """Milliseconds of the venue's clock."""
        return int((time.time() + self.clock_offset) * 1000)

    def market(self, symbol: str) -> Market:
        if symbol not in self.markets:
            raise VenueError(-1121, "Invalid symbol.")
        return self.markets[symbol]

    def submit(
        self,
        symbol: str,
        side: str,
        kind: str,
        quantity: Decimal,
        *,
        price: Decimal | None = None,
        stop_price: Decimal | None = None,
        client_id: str | None = None,
        foreign: bool = False,
    ) -> VenueOrder:
        """Accept an order, or raise VenueError."""
        self.settle()
        market = self.market(symbol)
        client_id = client_id or uuid.uuid4().hex[:22]
        if any(o.client_id == client_id and (o.open or self.strict_ids) for o in self.orders):
            raise VenueError(-2010, "Duplicate order sent.")
        worth = price or stop_price or self.prices[symbol]
        market.check(quantity, worth, (price, stop_price))
        now = self.now()
        order = VenueOrder(
            len(self.orders) + 1001, client_id, symbol, side, kind, quantity, price, stop_price, now, foreign,
            update_time=now, working=kind not in _STOPS,
        )  # fmt: skip
        if kind in _STOPS and self._triggered(order):
            raise VenueError(-2010, "Stop price would trigger immediately.")
        self._lock(order, worth)
        self.orders.append(order)
        self._work(order, taker=True)
        return order

    def find(self, symbol: str, *, client_id: str | None = None, order_id: int | None = None) -> VenueOrder:
        """Return the newest order of that name."""
        self.settle()
        for order in reversed(self.orders):
            if order.symbol == symbol and (order.client_id == client_id or order.id == order_id):
                return order
        raise VenueError(-2013, "Order does not exist.")

    def cancel(self, order: VenueOrder) -> None:
        if not order.open:
            raise VenueError(-2011, "Unknown order sent.")
        self._close(order, "CANCELED")

    def set_price(self, symbol: str, price: Decimal) -> None:
        """Move the market: triggers stops, then fills limits that it reaches."""
        self.settle()
        self.market(symbol)
        self.prices[symbol] = price
        for order in [o for o in self.orders if o.open and o.symbol == symbol]:
            self._work(order, taker=False)
        for listener in self.on_price:
            listener(symbol, price)

    def plan_fills(self, plan: FillPlan) -> None:
        """Fill the next order that executes by this plan."""
        self._plans.append(plan)

    def execute(self, order: VenueOrder, quantity: Decimal, price: Decimal | None = None) -> None:
        """Fill a part of an open order by hand."""
        self._fill(order, min(quantity, order.rest), price or order.price or self.prices[order.symbol], maker=True)

    def settle(self) -> None:
        """Execute the parts of planned fills whose time has come."""
        self._execute_due(time.monotonic())

    def advance(self) -> None:
        """Execute all parts of planned fills now."""
        self._execute_due(math.inf)

    def _execute_due(self, until: float) -> None:
        due = [entry for entry in self._due if entry[0] <= until]
        self._due = [entry for entry in self._due if entry[0] > until]
        for _, order, quantity in due:
            if order.open:
                self._fill(order, min(quantity, order.rest), self.prices[order.symbol], maker=False)

    def _lock(self, order: VenueOrder, worth: Decimal) -> None:
        market = self.markets[order.symbol]
        order.locked = order.quantity * worth if order.side == "BUY" else order.quantity
        self.account.lock(market.quote if order.side == "BUY" else market.base, order.locked)

    def _triggered(self, order: VenueOrder) -> bool:
        price, stop = self.prices[order.symbol], order.stop_price
        return stop is not None and (price >= stop if order.side == "BUY" else price <= stop)

    def _reached(self, order: VenueOrder) -> bool:
        price, limit = self.prices[order.symbol], order.price
        return limit is None or (price <= limit if order.side == "BUY" else price >= limit)

    def _work(self, order: VenueOrder, *, taker: bool) -> None:
        if order.type in _STOPS and not order.working:
            if not self._triggered(order):
                return
            order.working = taker = True
        if any(entry[1] is order for entry in self._due) or not self._reached(order):
            return
        price = self.prices[order.symbol] if taker or order.price is None else order.price
        plan = self._plans.pop(0) if self._plans else None
        if plan is None:
            self._fill(order, order.rest, price, maker=not taker)
            return
        at = time.monotonic()
        for number, part in enumerate(plan.parts):
            wait = 0 if number == 0 and plan.first_at_once else math.inf if plan.delay is None else plan.delay
            at += wait
            self._due.append((at, order, order.quantity * part))
        self.settle()

    def _fill(self, order: VenueOrder, quantity: Decimal, price: Decimal, *, maker: bool) -> None:
        market, account = self.markets[order.symbol], self.account
        value = quantity * price
        share = order.locked if quantity == order.rest else order.locked * quantity / order.rest
        received, amount = (market.base, quantity) if order.side == "BUY" else (market.quote, value)
        commission, coin = self._commission(received, amount, value)
        account.spend(
            market.quote if order.side == "BUY" else market.base, share, value if order.side == "BUY" else quantity
        )
        account.free[received] += amount
        account.free[coin] -= commission
        order.locked -= share
        self._fill_ids += 1
        now = self.now()
        order.fills.append(VenueFill(self._fill_ids, price, quantity, commission, coin, now, maker))
        order.status, order.update_time = "FILLED" if order.rest == 0 else "PARTIALLY_FILLED", now

    def _commission(self, received: str, amount: Decimal, value: Decimal) -> tuple[Decimal, str]:
        if self.fee_coin is not None:
            price = self.prices.get(f"{self.fee_coin}USDT", Decimal(1))
            return _rounded(value * self.fee / price), self.fee_coin
        return _rounded(amount * self.fee), received

    def _close(self, order: VenueOrder, status: str) -> None:
        market = self.markets[order.symbol]
        self.account.unlock(market.quote if order.side == "BUY" else market.base, order.locked)
        order.locked, order.status, order.update_time = ZERO, status, self.now()
        self._due = [entry for entry in self._due if entry[1] is not order]


def _rounded(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.00000001"), ROUND_HALF_UP)
