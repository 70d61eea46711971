"""Asking an exchange about orders: by our id where it can be asked so, else by looking through its lists.

Raises what ccxt raises, and VenueUnavailableError where a list can't be read to its end. It knows neither bots nor
reports.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from bot_runtime.brokers.ccxt_abilities import FOUND_BY_ID, LISTED_BY_ID, NO_DASHES
from bot_runtime.brokers.ccxt_pages import every_page
from bot_runtime.venues.ccxt_client import BINANCE_FAMILY
from bot_runtime.venues.ccxt_import import ccxt_errors

Order = Mapping[str, Any]

_LOOK_BACK = timedelta(days=1)
_PAGE = 1000
_LONGEST_SPAN_MS = 24 * 3600 * 1000  # of a question to Binance


class OrderBook:
    """The orders of one market at one exchange."""

    def __init__(self, exchange: Any, symbol: str) -> None:
        self._exchange, self._symbol = exchange, symbol
        self._binance = exchange.id in BINANCE_FAMILY

    def sent_id(self, client_order_id: str) -> str:
        """Return our id as this exchange takes it."""
        return client_order_id.replace("-", "Z") if self._exchange.id in NO_DASHES else client_order_id

    def our_id(self, order: Order) -> str:
        """Return the id that we gave an order, or whatever it has in its place."""
        name = str(order.get("clientOrderId") or "")
        return name.replace("Z", "-") if self._exchange.id in NO_DASHES else name

    async def find(self, client_order_id: str, now: datetime) -> Order | None:
        """Return the order of that id; None where there is none."""
        if self._exchange.id in FOUND_BY_ID:
            return await self._ask(self.sent_id(client_order_id))
        if self._exchange.id in LISTED_BY_ID:
            listed = await self._list_one(LISTED_BY_ID[self._exchange.id], self.sent_id(client_order_id))
        else:
            listed = await self.all(now - _LOOK_BACK, now)
        return next((order for order in listed if self.our_id(order) == client_order_id), None)

    async def all(self, since: datetime, now: datetime) -> list[Order]:
        """Return orders that are open, or were made or changed since a time, and maybe some older ones; each once."""
        found = await self._open()
        if self._binance:
            found += await self._newest(since, now)
        else:
            for fetch in self._lists():
                found += await every_page(fetch, self._symbol, _ms(since - _LOOK_BACK), self._exchange.id)
        return list({str(order["id"]): order for order in found}.values())

    async def fills(self, order: Order) -> list[Any]:
        """Return the fills of an order as far as they are listed."""
        exchange, number = self._exchange, str(order["id"])
        if exchange.has.get("fetchOrderTrades"):
            return list(await exchange.fetch_order_trades(number, self._symbol))
        if exchange.has.get("fetchMyTrades"):
            trades = await exchange.fetch_my_trades(self._symbol, order.get("timestamp"))
            return [trade for trade in trades if str(trade.get("order")) == number]
        return list(order.get("trades") or [])

    async def newest_fills(self) -> dict[str, list[Any]]:
        """Return the newest fills of the market by the exchange's order ids, in one question: not all there are."""
        if not self._exchange.has.get("fetchMyTrades"):
            return {}
        limit = _PAGE if self._binance else None
        fills = await self._exchange.fetch_my_trades(self._symbol, None, limit)
        found: dict[str, list[Any]] = {}
        for fill in {str(fill["id"]): fill for fill in fills}.values():
            found.setdefault(str(fill.get("order")), []).append(fill)
        return found

    async def cancel(self, client_order_id: str, now: datetime) -> None:
        """Ask for a cancel. Raises OrderNotFound where there is no such open order."""
        if self._exchange.id in FOUND_BY_ID:
            name = self.sent_id(client_order_id)
            await self._exchange.cancel_order("", self._symbol, {"clientOrderId": name})
            return
        order = await self.find(client_order_id, now)
        if order is not None:
            await self._exchange.cancel_order(order["id"], self._symbol)

    async def _ask(self, name: str) -> Order | None:
        try:
            found: Order = await self._exchange.fetch_order("", self._symbol, {"clientOrderId": name})
        except ccxt_errors().OrderNotFound:
            return None
        return found

    async def _open(self) -> list[Order]:
        """What is open. Where orders are found by that list alone, all of it."""
        fetch = self._exchange.fetch_open_orders
        if self._exchange.id in FOUND_BY_ID | LISTED_BY_ID.keys():
            return list(await fetch(self._symbol))
        return await every_page(fetch, self._symbol, 1, self._exchange.id)

    async def _list_one(self, parameter: str, name: str) -> list[Order]:
        """The lists, narrowed to one id. The open ones are asked for first: an order may end in between."""
        found: list[Order] = []
        for fetch in (self._exchange.fetch_open_orders, *self._lists()):
            found += await fetch(self._symbol, None, None, {parameter: name})
        return found[::-1]

    def _lists(self) -> list[Any]:
        """Questions whose answers together hold every order that is over."""
        exchange = self._exchange
        for methods in (("Orders",), ("CanceledAndClosedOrders",), ("ClosedOrders", "CanceledOrders")):
            if exchange.has.get(f"fetch{methods[0]}"):
                names = [method for method in methods if exchange.has.get(f"fetch{method}")]
                return [getattr(exchange, f"fetch{method}") for method in names]
        return []

    async def _newest(self, since: datetime, now: datetime) -> list[Order]:
        """Binance lists by the time of making: its newest orders, and where those don't reach back, day by day."""
        found = list(await self._exchange.fetch_orders(self._symbol, None, _PAGE))
        reached = min((order["timestamp"] for order in found), default=0)
        start, until = _ms(since), min(reached, _ms(now))
        if len(found) < _PAGE:
            return found
        while start < until:
            end = min(start + _LONGEST_SPAN_MS, until)
            page = await self._exchange.fetch_orders(self._symbol, start, _PAGE, {"until": end})
            found += page
            last = page[-1]["timestamp"] if page else 0
            start = max(last, start + 1) if len(page) == _PAGE else end
        return found


def _ms(time: datetime) -> int:
    return int(time.timestamp() * 1000)
