"""How simulated orders fill, bar by bar. Pure; shared by backtest and paper broker, so that both trade alike.

A market order fills at the open of the next bar; a limit order when a bar reaches its price, a stop when one reaches
its trigger, both at the open where that is past it already. What is random is drawn from the order's own id: a
restart draws the same again.
"""

import random
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import assert_never

from bot_runtime.domain.bar import Bar
from bot_runtime.domain.money import CENT8, ZERO, decimal_of, round_down
from bot_runtime.domain.order import OrderIntent, OrderReport, OrderStatus, OrderType, RestingOrder, Side

_BASIS_POINTS = Decimal(10_000)
_LEAST_PART, _LARGEST_PART = 0.5, 0.95


@dataclass(frozen=True, slots=True)
class Simulation:
    """What is unlike a perfect venue. `slippage_bps` is always adverse, and none for limit orders.

    `latency_seconds` is the time from a bar's close to the arrival of an order, which fills with the first bar that
    opens after it. An order that fills in part (0.5 to 0.95 of it) has its rest filled with the next bar.
    """

    slippage_bps: Decimal = ZERO
    latency_seconds: float = 0.0
    partial_fill_probability: float = 0.0
    reject_probability: float = 0.0
    seed: int = 0


class PaperVenue:
    """Open orders of one symbol. `commission` is a fraction of the value."""

    def __init__(
        self, commission: Decimal, simulation: Simulation | None = None, *, interval_seconds: float = 0
    ) -> None:
        self._commission = commission
        self._simulation = simulation or Simulation()
        self._slippage = self._simulation.slippage_bps / _BASIS_POINTS
        delay = self._simulation.latency_seconds
        self._delay = timedelta(seconds=interval_seconds + delay) if delay else None
        self._open: dict[str, RestingOrder] = {}

    @property
    def open_orders(self) -> tuple[OrderIntent, ...]:
        return tuple(order.intent for order in self._open.values())

    def submit(self, intent: OrderIntent) -> OrderReport:
        """Take an order; the same client order id twice is the same order."""
        if intent.client_order_id not in self._open and self._draw(intent, "reject") < (
            self._simulation.reject_probability
        ):
            why = "rejected by the simulation (broker.simulation.reject_probability)"
            return self._report(RestingOrder(intent), OrderStatus.REJECTED, why)
        order = self._open.setdefault(intent.client_order_id, RestingOrder(intent))
        return self._report(order, OrderStatus.OPEN)

    def restore(self, order: RestingOrder) -> None:
        """Take an order back as the journal knows it."""
        self._open[order.intent.client_order_id] = order

    def find(self, client_order_id: str) -> OrderReport | None:
        """Report an open order; None when there is none of that id."""
        order = self._open.get(client_order_id)
        return None if order is None else self._report(order, OrderStatus.OPEN)

    def cancel(self, client_order_id: str) -> OrderReport | None:
        """Drop an order and report what had filled; None when it is not open."""
        order = self._open.pop(client_order_id, None)
        return None if order is None else self._report(order, OrderStatus.CANCELED)

    def match(self, bar: Bar) -> list[OrderReport]:
        """Fill what this bar fills of the orders that were decided on before it; reports carry the bar's time."""
        return [report for order in list(self._open.values()) if (report := self._try(order, bar)) is not None]

    def _try(self, order: RestingOrder, bar: Bar) -> OrderReport | None:
        intent = order.intent
        if (order.time or intent.signal_time) >= bar.time:
            return None  # one bar fills an order once
        if self._delay and bar.time < intent.signal_time + self._delay:
            return None
        price = self._price(intent, bar)
        if price is None:
            return None
        quantity = self._quantity(order)
        value = (order.average_price or ZERO) * order.filled + price * quantity
        filled = order.filled + quantity
        average = price if not order.filled else value / filled
        done = RestingOrder(intent, filled, average, order.commission + self._commission * quantity * price, bar.time)
        if filled < intent.quantity:
            self._open[intent.client_order_id] = done
            return self._report(done, OrderStatus.OPEN)
        del self._open[intent.client_order_id]
        return self._report(done, OrderStatus.FILLED)

    def _price(self, intent: OrderIntent, bar: Bar) -> Decimal | None:
        """What the order trades at with this bar, None where it does not."""
        buys = intent.side is Side.BUY
        match intent.type:
            case OrderType.MARKET:
                price = decimal_of(bar.open)
            case OrderType.LIMIT:
                return _limit_price(intent, bar, buys=buys)
            case OrderType.STOP:
                trigger = intent.stop_price or ZERO
                if (decimal_of(bar.high) < trigger) if buys else (decimal_of(bar.low) > trigger):
                    return None
                price = (max if buys else min)(decimal_of(bar.open), trigger)
            case _:
                assert_never(intent.type)
        return price * (1 + (self._slippage if buys else -self._slippage))

    def _quantity(self, order: RestingOrder) -> Decimal:
        left = order.intent.quantity - order.filled
        if order.filled or self._draw(order.intent, "partial") >= self._simulation.partial_fill_probability:
            return left
        part = _LEAST_PART + self._draw(order.intent, "part") * (_LARGEST_PART - _LEAST_PART)
        return round_down(left * decimal_of(part), CENT8) or left

    def _draw(self, intent: OrderIntent, what: str) -> float:
        if not (self._simulation.partial_fill_probability or self._simulation.reject_probability):
            return 1.0
        # By purpose and time, without the bot's id and the attempt: a backtest and a restart draw alike.
        name = "-".join(intent.client_order_id.split("-")[1:3])
        return random.Random(f"{self._simulation.seed}:{name}:{what}").random()  # noqa: S311

    @staticmethod
    def _report(order: RestingOrder, status: OrderStatus, reason: str = "") -> OrderReport:
        """Its time is that of the last fill; without one, that of the signal."""
        intent = order.intent
        return OrderReport(
            client_order_id=intent.client_order_id,
            broker_order_id=f"paper-{intent.client_order_id}",
            status=status,
            quantity=intent.quantity,
            filled=order.filled,
            average_price=order.average_price,
            commission=order.commission,
            time=order.time or intent.signal_time,
            reason=reason,
        )


def _limit_price(intent: OrderIntent, bar: Bar, *, buys: bool) -> Decimal | None:
    limit = intent.limit_price or ZERO
    if (decimal_of(bar.low) > limit) if buys else (decimal_of(bar.high) < limit):
        return None
    return (min if buys else max)(decimal_of(bar.open), limit)
