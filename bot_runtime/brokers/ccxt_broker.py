"""Live trading at Binance and every other exchange of ccxt: the broker port on ccxt's unified methods.

It sends an order at most once and never of its own accord again. Binance's requests carry a receive window that ends
before the lease does, so that one that arrives too late is refused there. Prices, positions and risk are not its work.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, assert_never

import structlog

from bot_core.models.config import BotConfig
from bot_core.models.errors import TradingBotError
from bot_runtime.brokers.base import Fence, FencedError, NotSentError, UnknownOutcomeError
from bot_runtime.brokers.ccxt_abilities import STOPS_IN_THE_BOOK
from bot_runtime.brokers.ccxt_errors import Meaning, meaning, reason
from bot_runtime.brokers.ccxt_known import KnownReports
from bot_runtime.brokers.ccxt_orders import Order
from bot_runtime.brokers.ccxt_reports import Pricing, all_listed, build_report, changed_at, fee_coins, filled
from bot_runtime.brokers.ccxt_venue import CcxtVenue, banned
from bot_runtime.domain.bar import Bar
from bot_runtime.domain.market import MarketRules
from bot_runtime.domain.money import ZERO
from bot_runtime.domain.order import OrderIntent, OrderReport, OrderStatus, OrderType, RestingOrder
from bot_runtime.venues.ccxt_client import BINANCE_FAMILY, gated

_log = structlog.get_logger(__name__)

_LONGEST_WINDOW = 5.0
_SHORTEST_WINDOW = 1.5
#: A request is also taken when its time stamp is a second ahead of the venue's clock; and something for our reading.
_AHEAD, _MARGIN = 1.0, 0.5
_SETTLE_ELSEWHERE = 10.0
_DEFAULT_FEE = Decimal("0.001")
#: Fills that a venue hasn't listed by then are not asked for again: they stay estimated.
_LISTED_BY_THEN = timedelta(minutes=10)


class CcxtBroker:
    def __init__(self, config: BotConfig, *, symbol: str) -> None:
        self._id = config.broker.type
        self._binance = self._id in BINANCE_FAMILY
        self._venue = CcxtVenue(self._id, symbol, testnet=bool(config.broker.testnet), secret=config.credentials_secret)
        self._known = KnownReports()

    @property
    def account(self) -> str:
        return self._venue.account

    @property
    def live(self) -> bool:
        return True

    @property
    def settle_seconds(self) -> float:
        return _LONGEST_WINDOW + _AHEAD + _MARGIN if self._binance else _SETTLE_ELSEWHERE

    @property
    def clock_skew(self) -> float | None:
        return self._venue.skew

    async def connect(self) -> MarketRules:
        rules = await self._venue.connect()
        return replace(rules, rests_stops=self._id in STOPS_IN_THE_BOOK)

    async def submit(self, intent: OrderIntent, fence: Fence) -> OrderReport:
        refusal = self._refusal(intent)
        if refusal is not None:
            return _rejected(intent, refusal)
        window = self._window(fence())
        asked = self._asked(intent, window)
        try:
            with gated(lambda: _hold_unless(fence() > window + _AHEAD + _MARGIN, intent.client_order_id)):
                order = await self._create(asked)
        except FencedError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever broke after the sending, the venue may have the order
            return await self._outcome(intent, error)
        return await self._report(order, intent.client_order_id)

    async def find(self, client_order_id: str) -> OrderReport | None:
        order = await self._venue.ask(self._venue.orders.find(client_order_id, _now()))
        return None if order is None else await self._report(order, client_order_id)

    async def cancel(self, client_order_id: str) -> OrderReport | None:
        try:
            await self._venue.orders.cancel(client_order_id, _now())
        except Exception as error:
            if meaning(error, binance=self._binance) is not Meaning.NO_ORDER:
                raise await self._venue.trouble(error) from error
        return await self.find(client_order_id)

    async def orders(self, prefix: str, since: datetime) -> list[OrderReport]:
        found = []
        for order in await self._venue.ask(self._venue.orders.all(since, _now())):
            name = self._venue.orders.our_id(order)
            if name.startswith(prefix) and (order["status"] == "open" or changed_at(order, (), _now()) >= since):
                found.append((name, order))
        new = [order for _, order in found if filled(order) and self._known.of(order) is None]
        # A question for each order would take longer than a lease lasts.
        fills = await self._venue.ask(self._venue.orders.newest_fills()) if len(new) > 1 else {}
        prices: dict[str, Decimal] = {}
        return [
            await self._report({**order, "trades": fills.get(str(order["id"]), order.get("trades"))}, name, prices)
            for name, order in found
        ]

    async def holdings(self) -> Decimal | None:
        balance = await self._venue.ask(self._venue.exchange.fetch_balance())
        total = (balance.get(self._venue.market["base"]) or {}).get("total")
        return ZERO if total is None else Decimal(str(total))

    def restore(self, orders: Sequence[RestingOrder]) -> None:
        """Nothing: the venue remembers."""

    async def on_bar(self, bar: Bar) -> list[OrderReport]:  # noqa: ARG002  # the venue has its own prices
        return []

    async def aclose(self) -> None:
        await self._venue.aclose()

    def _refusal(self, intent: OrderIntent) -> str | None:
        """What the venue's rules forbid; such an order is not sent."""
        if intent.type is OrderType.STOP and self._id not in STOPS_IN_THE_BOOK:
            return f"stop orders are not placed at {self._id}: its lists of orders don't show them"
        price = intent.limit_price or intent.stop_price or intent.signal_price
        return self._venue.rules.refusal(self._venue.rules.quantity(intent.quantity), price)

    def _window(self, left: float) -> float:
        """Seconds for which a request may still be taken: it ends before the lease does."""
        window = min(_LONGEST_WINDOW, left - _AHEAD - 2 * _MARGIN)
        if window < _SHORTEST_WINDOW:
            raise FencedError(f"{self._id}: the lease has {left:.1f} s left, too little to send an order")
        return window

    def _asked(self, intent: OrderIntent, window: float) -> tuple[Any, ...]:
        """What `create_order` is called with: symbol, type, side, quantity, price, parameters."""
        params: dict[str, Any] = {"clientOrderId": self._venue.orders.sent_id(intent.client_order_id)}
        if self._binance:
            params["recvWindow"] = int(window * 1000)
        kind, price = _priced(intent, self._venue.rules, params)
        quantity = float(self._venue.rules.quantity(intent.quantity))
        return self._venue.market["symbol"], kind, intent.side.value, quantity, price, params

    async def _create(self, asked: tuple[Any, ...]) -> Order:
        order: Order = await self._venue.exchange.create_order(*asked)
        if not order.get("id"):
            raise ValueError("the answer names no order")
        return order

    async def _outcome(self, intent: OrderIntent, error: Exception) -> OrderReport:
        """What a failed sending came to: a report where that is certain, an error that says so elsewhere."""
        said = f"{self._id}: {intent.client_order_id}: {reason(error)}"
        match meaning(error, binance=self._binance):
            case Meaning.LATE | Meaning.NOT_SENT:
                await self._venue.after_late(error)
                raise NotSentError(f"{said} (not sent)") from error
            case Meaning.REJECTED:
                return _rejected(intent, reason(error))
            case Meaning.KEY if banned(error):
                raise NotSentError(f"{said} (not sent)") from error
            case Meaning.KEY:
                raise self._venue.bad_key(error) from error
            case Meaning.DUPLICATE:
                return await self._the_one_that_is_there(intent, error)
            case Meaning.NO_ORDER | Meaning.UNKNOWN:
                raise UnknownOutcomeError(f"{said} ({type(error).__name__})") from error
            case other:
                assert_never(other)

    async def _the_one_that_is_there(self, intent: OrderIntent, error: Exception) -> OrderReport:
        try:
            found = await self.find(intent.client_order_id)
        except TradingBotError as trouble:
            raise UnknownOutcomeError(f"{self._id}: {intent.client_order_id}: {trouble}") from error
        if found is None:
            raise UnknownOutcomeError(f"{self._id}: {intent.client_order_id}: {reason(error)}") from error
        return found

    async def _report(
        self, order: Order, client_order_id: str, prices: dict[str, Decimal] | None = None
    ) -> OrderReport:
        """With the order's fills, where it has any; they are asked for until they are all listed.

        `prices` of the coins that fees are paid in are completed.
        """
        prices = {} if prices is None else prices
        known = self._known.of(order)
        if known is not None:
            return known
        try:
            trades = await self._trades(order)
            await self._complete(prices, trades)
        except Exception as error:  # noqa: BLE001  # the order is known; its fills are asked for again
            _log.warning("fills of an order are not known yet", order=client_order_id, reason=reason(error))
            return build_report(order, [], self._pricing({}), self._venue_time(), client_order_id)
        report = build_report(order, trades, self._pricing(prices), self._venue_time(), client_order_id)
        if all_listed(order, trades) or self._venue_time() - report.time > _LISTED_BY_THEN:
            self._known.keep(order, report)
        return report

    async def _trades(self, order: Order) -> list[Any]:
        told = list(order.get("trades") or [])
        return told if all_listed(order, told) else await self._venue.orders.fills(order)

    def _venue_time(self) -> datetime:
        return _now() + timedelta(seconds=self._venue.skew or 0)

    def _pricing(self, prices: Mapping[str, Decimal]) -> Pricing:
        fee = self._venue.market.get("taker")
        taker = _DEFAULT_FEE if fee is None else Decimal(str(fee))
        return Pricing(
            self._venue.market["base"], self._venue.market["quote"], taker, lambda coin: prices.get(coin, ZERO)
        )

    async def _complete(self, prices: dict[str, Decimal], trades: Sequence[Any]) -> None:
        for coin in fee_coins(trades, self._venue.market["base"], self._venue.market["quote"]) - prices.keys():
            price = await self._venue.price_of(coin)
            if price is None:
                _log.warning("a fee counts as nothing: its coin has no price here", coin=coin, venue=self._id)
            prices[coin] = price or ZERO


def _hold_unless(in_time: bool, client_order_id: str) -> None:  # noqa: FBT001  # asked in one place
    if not in_time:
        raise FencedError(f"{client_order_id}: the lease ran short before the order left")


def _priced(intent: OrderIntent, rules: MarketRules, params: dict[str, Any]) -> tuple[str, float | None]:
    """The order's type as ccxt names it, and its price; a trigger goes into the parameters."""
    match intent.type:
        case OrderType.MARKET:
            return "market", None
        case OrderType.LIMIT if intent.limit_price is not None:
            return "limit", float(rules.price(intent.limit_price))
        case OrderType.STOP if intent.stop_price is not None:
            params["stopLossPrice"] = float(rules.price(intent.stop_price))
            return "market", None
        case _:
            raise ValueError(f"{intent.type.value} order {intent.client_order_id} has no price")


def _rejected(intent: OrderIntent, why: str) -> OrderReport:
    return OrderReport(
        client_order_id=intent.client_order_id,
        broker_order_id="",
        status=OrderStatus.REJECTED,
        quantity=intent.quantity,
        filled=ZERO,
        average_price=None,
        commission=ZERO,
        time=_now(),
        reason=why,
    )


def _now() -> datetime:
    return datetime.now(UTC)
