"""A live venue with an honest memory and manners on demand, for tests that must know everything about it.

`ScriptedVenue` is the venue: it remembers every order, and writes down what no program may do to it. `ScriptedBroker`
is one process's way there, an adapter of the broker port. What the next requests meet is scripted by `Reply`.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum, auto

from bot_runtime.brokers.base import (
    Fence,
    FencedError,
    NotSentError,
    UnknownOutcomeError,
    VenueUnavailableError,
)
from bot_runtime.domain.bar import Bar
from bot_runtime.domain.market import MarketRules
from bot_runtime.domain.order import OrderIntent, OrderReport, OrderStatus, OrderType, Purpose, RestingOrder, Side

SETTLE_SECONDS = 5.0
STEP = Decimal("0.01")
MARKET = MarketRules(quantity_step=STEP, price_step=STEP, min_quantity=STEP)
FEE = Decimal("0.001")


class Crash(BaseException):
    """The process is gone: nothing of it goes on."""


class Reply(Enum):
    """What a request meets. `LOST` is executed and not answered; `FLYING` is neither there nor answered yet."""

    DONE = auto()
    FILLED = auto()
    PART = auto()
    LOST = auto()
    LOST_FILLED = auto()
    LOST_PART = auto()
    FLYING = auto()
    SLOW_FLYING = auto()
    NOT_SENT = auto()
    REJECTED = auto()
    AWAY = auto()
    PAUSED = auto()
    CRASH_BEFORE = auto()
    CRASH_AFTER = auto()
    CRASH_FLYING = auto()


@dataclass
class VenueOrder:
    """An order that the venue took. It trades at one `price`; what of it has filled only grows."""

    intent: OrderIntent
    price: Decimal
    time: datetime
    base_fee_rate: Decimal
    filled: Decimal = Decimal(0)
    status: OrderStatus = OrderStatus.OPEN

    @property
    def left(self) -> Decimal:
        return self.intent.quantity - self.filled

    @property
    def base_fee(self) -> Decimal:
        return self.filled * self.base_fee_rate if self.intent.side is Side.BUY else Decimal(0)

    @property
    def commission(self) -> Decimal:
        return self.base_fee * self.price if self.base_fee else self.filled * self.price * FEE

    def report(self) -> OrderReport:
        return OrderReport(
            client_order_id=self.intent.client_order_id,
            broker_order_id=f"v-{self.intent.client_order_id}",
            status=self.status,
            quantity=self.intent.quantity,
            filled=self.filled,
            average_price=self.price if self.filled else None,
            commission=self.commission,
            time=self.time,
            base_fee=self.base_fee,
        )


@dataclass
class Clock:
    """The only clock of a test."""

    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class ScriptedVenue:
    """`away` answers nothing at all. `wrongs` are what a program did that it may never do."""

    clock: Clock
    base_fee_rate: Decimal = Decimal(0)
    price: Decimal = Decimal(100)
    away: bool = False
    orders: dict[str, VenueOrder] = field(default_factory=dict)
    flying: dict[str, tuple[OrderIntent, datetime]] = field(default_factory=dict)
    submits: deque[Reply] = field(default_factory=deque)
    cancels: deque[Reply] = field(default_factory=deque)
    late: set[str] = field(default_factory=set)
    wrongs: list[str] = field(default_factory=list)
    changes: int = 0

    @property
    def open_orders(self) -> list[VenueOrder]:
        return [order for order in self.orders.values() if order.status is OrderStatus.OPEN]

    @property
    def held(self) -> Decimal:
        """What the bot bought and has not sold."""
        signed = ((1 if o.intent.side is Side.BUY else -1, o) for o in self.orders.values())
        return sum((sign * o.filled - o.base_fee for sign, o in signed), Decimal(0))

    def arrive(self, name: str, filled: Decimal = Decimal(0)) -> None:
        """A request that was on its way gets here; one that the venue has already is turned away."""
        intent, sent = self.flying.pop(name)
        if name in self.orders:
            return
        if self.clock.now >= sent + timedelta(seconds=SETTLE_SECONDS):
            self.late.add(name)
        self.accept(intent, filled)

    def accept(self, intent: OrderIntent, filled: Decimal = Decimal(0)) -> VenueOrder:
        self.changes += 1
        price = intent.stop_price if intent.type is OrderType.STOP else intent.limit_price
        order = VenueOrder(intent, price or self.price, self.clock.now, self.base_fee_rate)
        self.orders[intent.client_order_id] = order
        self.fill(order, filled)
        self._check_live()
        return order

    def fill(self, order: VenueOrder, quantity: Decimal) -> None:
        if quantity > 0:
            self.changes += 1
            order.filled = min(order.intent.quantity, order.filled + quantity)
            order.time = self.clock.now
        if order.left == 0:
            order.status = OrderStatus.FILLED
        if self.held < 0 and not self.late:
            self.wrongs.append(f"{order.intent.client_order_id} sold more than the bot holds: {self.held} are left")

    def end(self, order: VenueOrder) -> None:
        """Cancel what is left of an open order."""
        self.changes += 1
        if order.status is OrderStatus.OPEN:
            order.status = OrderStatus.CANCELED

    def check_sent(self, intent: OrderIntent) -> None:
        """An id is sent again only when the venue certainly has not got it, and never will."""
        name = intent.client_order_id
        if name in self.orders:
            self.wrongs.append(f"{name} was sent again although the venue has it")
        if name in self.flying and self.clock.now < self.flying[name][1] + timedelta(seconds=SETTLE_SECONDS):
            self.wrongs.append(f"{name} was sent again while the first request may still arrive")

    def _check_live(self) -> None:
        live = [order for order in self.open_orders if order.intent.client_order_id not in self.late]
        stops = [order for order in live if order.intent.purpose is Purpose.PROTECTIVE]
        if len(stops) > 1 or len(live) - len(stops) > 1:
            self.wrongs.append(f"several orders are live at once: {[o.intent.client_order_id for o in live]}")
        selling = sum((order.left for order in live if order.intent.side is Side.SELL), Decimal(0))
        if selling > max(self.held, Decimal(0)) and not self.late:
            self.wrongs.append(f"{selling} are offered at once, {self.held} are held")


class ScriptedBroker:
    """One process at the venue. `may_trade` tells whether it really may, whatever the process believes."""

    account = "scripted:bot-keys"
    live = True
    settle_seconds = SETTLE_SECONDS
    clock_skew: float | None = 0.0

    def __init__(
        self, venue: ScriptedVenue, may_trade: Callable[[], bool], pause: Callable[[], Awaitable[None]]
    ) -> None:
        self._venue = venue
        self._may_trade = may_trade
        self._pause = pause

    async def connect(self) -> MarketRules:
        self._answer()
        return MARKET

    async def submit(self, intent: OrderIntent, fence: Fence) -> OrderReport:
        venue = self._venue
        reply = venue.submits.popleft() if venue.submits else Reply.DONE
        if reply is Reply.PAUSED:
            await self._pause()
        if fence() <= 0:
            raise FencedError("the lease leaves no time to send")
        match reply:
            case Reply.CRASH_BEFORE:
                raise Crash
            case Reply.AWAY:
                raise VenueUnavailableError("503")
            case Reply.NOT_SENT:
                raise NotSentError("connection refused")
        if venue.away:
            raise NotSentError("connection refused")
        if reply is Reply.SLOW_FLYING:
            venue.clock.pass_by(2 * SETTLE_SECONDS)  # between the journal and the wire
        if not self._may_trade():
            venue.wrongs.append(f"{intent.client_order_id} was sent by a fenced process")
        venue.check_sent(intent)
        return self._sent(intent, reply)

    def _sent(self, intent: OrderIntent, reply: Reply) -> OrderReport:
        venue, name = self._venue, intent.client_order_id
        if reply is Reply.REJECTED:
            return _rejection(intent, venue.clock.now)
        if reply in {Reply.FLYING, Reply.SLOW_FLYING, Reply.CRASH_FLYING}:
            venue.flying[name] = intent, venue.clock.now
            if reply is Reply.FLYING:
                raise UnknownOutcomeError("no answer in 10 s")
            raise Crash
        if name in venue.orders:
            return venue.orders[name].report()
        fills = intent.type is not OrderType.STOP
        filled = Decimal(0)
        if fills and reply in {Reply.FILLED, Reply.LOST_FILLED, Reply.CRASH_AFTER}:
            filled = intent.quantity
        elif fills and reply in {Reply.PART, Reply.LOST_PART}:
            filled = MARKET.quantity(intent.quantity / 2)
        order = venue.accept(intent, filled)
        if reply is Reply.CRASH_AFTER:
            raise Crash
        if reply in {Reply.LOST, Reply.LOST_FILLED, Reply.LOST_PART}:
            raise UnknownOutcomeError("no answer in 10 s")
        return order.report()

    async def find(self, client_order_id: str) -> OrderReport | None:
        self._answer()
        order = self._venue.orders.get(client_order_id)
        return None if order is None else order.report()

    async def cancel(self, client_order_id: str) -> OrderReport | None:
        """FILLED and PART fill before the cancel gets there; FLYING is asked for, and not done yet."""
        venue = self._venue
        reply = venue.cancels.popleft() if venue.cancels else Reply.DONE
        if reply in {Reply.AWAY, Reply.NOT_SENT}:
            raise VenueUnavailableError("503")
        self._answer()
        if not self._may_trade():
            venue.wrongs.append(f"{client_order_id} was canceled by a fenced process")
        order = venue.orders.get(client_order_id)
        if order is not None and order.status is OrderStatus.OPEN and reply is not Reply.FLYING:
            self._canceled(order, reply)
        return None if order is None else order.report()

    def _canceled(self, order: VenueOrder, reply: Reply) -> None:
        venue = self._venue
        if reply in {Reply.FILLED, Reply.LOST_FILLED}:
            venue.fill(order, order.left)
        elif reply in {Reply.PART, Reply.LOST_PART}:
            venue.fill(order, MARKET.quantity(order.left / 2))
        venue.end(order)
        if reply is Reply.CRASH_AFTER:
            raise Crash
        if reply in {Reply.LOST, Reply.LOST_FILLED, Reply.LOST_PART}:
            raise UnknownOutcomeError("no answer in 10 s")

    async def orders(self, prefix: str, since: datetime) -> list[OrderReport]:
        self._answer()
        mine = (order for name, order in self._venue.orders.items() if name.startswith(prefix))
        return [order.report() for order in mine if order.status is OrderStatus.OPEN or order.time >= since]

    async def holdings(self) -> Decimal | None:
        self._answer()
        return self._venue.held

    def restore(self, orders: Sequence[RestingOrder]) -> None:
        """The venue has a memory."""

    async def on_bar(self, _bar: Bar) -> list[OrderReport]:
        return []

    async def aclose(self) -> None:
        """Nothing is held."""

    def _answer(self) -> None:
        if self._venue.away:
            raise VenueUnavailableError("503")


def _rejection(intent: OrderIntent, now: datetime) -> OrderReport:
    nothing = Decimal(0)
    rejected = OrderStatus.REJECTED
    return OrderReport(
        intent.client_order_id, "", rejected, intent.quantity, nothing, None, nothing, now, reason="too many orders"
    )
