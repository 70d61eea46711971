"""The REST interface of the stand-in, in Binance's shapes: checks key, signature and time, then asks the venue."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from support.exchange.faults import FaultKind
from support.exchange.markets import VenueError
from support.exchange.venue import Venue, VenueFill, VenueOrder

FAULT = web.RequestKey("fault", FaultKind)  # where the middleware leaves the fault of a request
_WINDOW = 5000
_LONGEST_WINDOW = 60_000
_DAY = 24 * 3600 * 1000


@dataclass(frozen=True)
class _Call:
    venue: Venue
    params: dict[str, str]
    fault: FaultKind | None

    def text(self, name: str) -> str:
        if not self.params.get(name):
            raise VenueError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        return self.params[name]

    def number(self, name: str) -> Decimal | None:
        if name not in self.params:
            return None
        try:
            value = Decimal(self.params[name])
        except InvalidOperation as error:
            raise VenueError(-1100, f"Illegal characters found in parameter '{name}'.") from error
        if value != round(value, 8):
            raise VenueError(-1111, f"Parameter '{name}' has too much precision.")
        return value

    def order(self) -> VenueOrder:
        """Return the order that the request names."""
        number = self.params.get("orderId")
        client_id = self.params.get("origClientOrderId")
        return self.venue.find(self.text("symbol"), client_id=client_id, order_id=int(number) if number else None)


def add_rest(app: web.Application, venue: Venue, keys: dict[str, str]) -> None:
    """Add every endpoint. `keys` maps an API key to its secret."""

    def route(method: str, path: str, answer: Callable[[_Call], Any], *, signed: bool = False) -> None:
        async def handle(request: web.Request) -> web.Response:
            params = await _params(request)
            if signed:
                _authorize(request, params, keys, await _total(request), venue.now())
            return web.json_response(answer(_Call(venue, params, request.get(FAULT))))

        app.router.add_route(method, path, handle)

    route("GET", "/api/v3/ping", lambda _: {})
    route("GET", "/api/v3/time", lambda call: {"serverTime": call.venue.now()})
    route("GET", "/api/v3/exchangeInfo", _exchange_info)
    route("GET", "/api/v3/ticker/price", _price)
    route("GET", "/api/v3/ticker/bookTicker", _book_ticker)
    route("GET", "/api/v3/ticker/24hr", _day)
    route("GET", "/api/v3/account", _account, signed=True)
    route("POST", "/api/v3/order", _submit, signed=True)
    route("GET", "/api/v3/order", lambda call: order_json(call.order()), signed=True)
    route("DELETE", "/api/v3/order", _cancel, signed=True)
    route("GET", "/api/v3/openOrders", _open_orders, signed=True)
    route("GET", "/api/v3/allOrders", _all_orders, signed=True)
    route("GET", "/api/v3/myTrades", _my_trades, signed=True)


async def _total(request: web.Request) -> str:
    """What is signed: the query, then the body."""
    return request.rel_url.raw_query_string + (await request.text())


async def _params(request: web.Request) -> dict[str, str]:
    query = parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True)
    return dict(query + parse_qsl(await request.text(), keep_blank_values=True))


def _authorize(request: web.Request, params: dict[str, str], keys: dict[str, str], total: str, now: int) -> None:
    key = request.headers.get("X-MBX-APIKEY", "")
    if key not in keys:
        raise VenueError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
    said, signed = params.get("signature", ""), total.rpartition("&signature=")[0]
    if not hmac.compare_digest(said, hmac.new(keys[key].encode(), signed.encode(), hashlib.sha256).hexdigest()):
        raise VenueError(-1022, "Signature for this request is not valid.")
    window = int(params.get("recvWindow", _WINDOW))
    if window > _LONGEST_WINDOW:
        raise VenueError(-1131, "recvWindow must be less than 60000")
    stamp = int(params.get("timestamp", "0"))
    if stamp >= now + 1000:
        raise VenueError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    if now - stamp > window:
        raise VenueError(-1021, "Timestamp for this request is outside of the recvWindow.")


def _exchange_info(call: _Call) -> dict[str, Any]:
    named = call.params.get("symbol")
    markets = [market.info() for market in ([call.venue.market(named)] if named else call.venue.markets.values())]
    limit = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000}
    return {"timezone": "UTC", "serverTime": call.venue.now(), "rateLimits": [limit], "symbols": markets}


def _priced(call: _Call, row: Callable[[str, Decimal], dict[str, Any]]) -> Any:
    if "symbol" not in call.params:
        return [row(*item) for item in call.venue.prices.items()]
    symbol = call.venue.market(call.params["symbol"]).symbol
    return row(symbol, call.venue.prices[symbol])


def _price(call: _Call) -> Any:
    return _priced(call, lambda symbol, price: {"symbol": symbol, "price": amount(price)})


def _book_ticker(call: _Call) -> Any:
    return _priced(
        call,
        lambda symbol, price: {
            "symbol": symbol, "bidPrice": amount(price), "bidQty": "1.0", "askPrice": amount(price), "askQty": "1.0"
        },
    )  # fmt: skip


def _day(call: _Call) -> Any:
    now = call.venue.now()
    return _priced(
        call,
        lambda symbol, price: {
            "symbol": symbol, "lastPrice": amount(price), "bidPrice": amount(price), "askPrice": amount(price),
            "openPrice": amount(price), "highPrice": amount(price), "lowPrice": amount(price), "volume": "1000",
            "quoteVolume": "1000", "openTime": now - 86_400_000, "closeTime": now,
        },
    )  # fmt: skip


def _account(call: _Call) -> dict[str, Any]:
    call.venue.settle()
    account = call.venue.account
    assets = sorted({*account.free, *account.locked})
    return {
        "makerCommission": 10, "takerCommission": 10, "canTrade": True, "canWithdraw": False, "canDeposit": False,
        "updateTime": call.venue.now(), "accountType": "SPOT", "permissions": ["SPOT"],
        "balances": [
            {"asset": asset, "free": amount(account.free[asset]), "locked": amount(account.locked[asset])}
            for asset in assets
        ],
    }  # fmt: skip


def _submit(call: _Call) -> dict[str, Any]:
    order = call.venue.submit(
        call.text("symbol"),
        call.text("side"),
        call.text("type"),
        Decimal(call.text("quantity")) if call.number("quantity") else Decimal(0),
        price=call.number("price"),
        stop_price=call.number("stopPrice"),
        client_id=call.params.get("newClientOrderId"),
    )
    fills = [] if call.fault is FaultKind.LATE_FILLS else _repeated(call, order.fills)
    told = [
        {"price": amount(fill.price), "qty": amount(fill.quantity), "commission": amount(fill.commission),
         "commissionAsset": fill.commission_asset, "tradeId": fill.id}
        for fill in fills
    ]  # fmt: skip
    return order_json(order) | {"transactTime": order.time, "fills": told}


def _cancel(call: _Call) -> dict[str, Any]:
    try:
        order = call.order()
    except VenueError as error:
        raise VenueError(-2011, "Unknown order sent.") from error
    call.venue.cancel(order)
    return order_json(order) | {"origClientOrderId": order.client_id, "clientOrderId": f"cancel-{order.id}"}


def _open_orders(call: _Call) -> list[dict[str, Any]]:
    call.venue.settle()
    symbol = call.params.get("symbol")
    return [order_json(order) for order in call.venue.orders if order.open and symbol in {None, order.symbol}]


def _all_orders(call: _Call) -> list[dict[str, Any]]:
    """From a time: orders made since, the oldest first; from an order id: that and later ones; else the newest."""
    call.venue.settle()
    found = [order for order in call.venue.orders if order.symbol == call.text("symbol")]
    limit = int(call.params.get("limit", "500"))
    if "orderId" in call.params:
        return [order_json(order) for order in found if order.id >= int(call.params["orderId"])][:limit]
    if "startTime" in call.params:
        start, end = int(call.params["startTime"]), int(call.params.get("endTime", call.venue.now()))
        if "endTime" in call.params and end - start > _DAY:
            raise VenueError(-1127, "More than 24 hours between startTime and endTime.")
        return [order_json(order) for order in found if start <= order.time <= end][:limit]
    return [order_json(order) for order in found[-limit:]]


def _my_trades(call: _Call) -> list[dict[str, Any]]:
    call.venue.settle()
    if call.fault is FaultKind.LATE_FILLS:
        return []
    symbol, number = call.text("symbol"), call.params.get("orderId")
    orders = [o for o in call.venue.orders if o.symbol == symbol and number in {None, str(o.id)}]
    return [trade_json(order, fill) for order in orders for fill in _repeated(call, order.fills)]


def _repeated(call: _Call, fills: list[VenueFill]) -> list[VenueFill]:
    return [*fills, *fills] if call.fault is FaultKind.DUPLICATE_FILLS else fills


def order_json(order: VenueOrder) -> dict[str, Any]:
    """Write an order as Binance does."""
    return {
        "symbol": order.symbol, "orderId": order.id, "orderListId": -1, "clientOrderId": order.client_id,
        "price": amount(order.price or Decimal(0)), "origQty": amount(order.quantity),
        "executedQty": amount(order.filled), "cummulativeQuoteQty": amount(order.quote), "status": order.status,
        "timeInForce": "GTC", "type": order.type, "side": order.side,
        "stopPrice": amount(order.stop_price or Decimal(0)), "icebergQty": "0.00000000", "time": order.time,
        "updateTime": order.update_time, "isWorking": order.working,
    }  # fmt: skip


def trade_json(order: VenueOrder, fill: VenueFill) -> dict[str, Any]:
    """Write a fill as Binance does."""
    return {
        "symbol": order.symbol, "id": fill.id, "orderId": order.id, "orderListId": -1, "price": amount(fill.price),
        "qty": amount(fill.quantity), "quoteQty": amount(fill.price * fill.quantity),
        "commission": amount(fill.commission), "commissionAsset": fill.commission_asset, "time": fill.time,
        "isBuyer": order.side == "BUY", "isMaker": fill.maker, "isBestMatch": True,
    }  # fmt: skip


def amount(value: Decimal) -> str:
    """Write an amount with eight digits, as Binance does."""
    return f"{value:.8f}"
