"""A stand-in for Alpaca's trading and data interfaces, on a port of this machine, with faults on demand.

It speaks as the documents of https://docs.alpaca.markets do; what it holds is public, for tests to look at.
"""

import asyncio
import json
import uuid
from collections import deque
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from aiohttp import web

KEY, SECRET = "PKTESTKEY1234", "alpaca-secret-5678"
_FINAL = {"filled", "canceled", "expired", "rejected", "replaced"}
SHARE = {
    "id": "b0b6dd9d-8b9b-48a9-ba46-b9d54906e415", "class": "us_equity", "symbol": "AAPL", "status": "active",
    "tradable": True, "fractionable": True,
}  # fmt: skip
WHOLE_SHARE = SHARE | {"id": "8ccae427-5dd0-45b3-b5fe-7ba5e422c766", "symbol": "BRK.B", "fractionable": False}
COIN = {
    "id": "276e2673-764b-4ab6-a611-caf665ca6340", "class": "crypto", "symbol": "BTC/USD", "status": "active",
    "tradable": True, "fractionable": True, "min_order_size": "0.0001", "min_trade_increment": "0.0001",
    "price_increment": "1",
}  # fmt: skip


class AlpacaStandIn:
    """`faults` are taken one for each new order: accept_then_hang, accept_then_500, hang, 429, 500, 503, garbage."""

    def __init__(self) -> None:
        self.assets: list[dict[str, Any]] = [SHARE, WHOLE_SHARE, COIN]
        self.account: dict[str, Any] = {"status": "ACTIVE", "crypto_tier": 1, "account_blocked": False}
        self.orders: dict[str, dict[str, Any]] = {}
        self.positions: dict[str, Decimal] = {}
        self.bars: dict[str, list[dict[str, Any]]] = {}
        self.page_size = 10_000
        self.buying_power = Decimal(1_000_000)
        self.price = Decimal(100)
        self.market_orders_fill = True
        self.parts: list[Decimal] = []
        self.coin_fee = Decimal("0.0025")
        self._in_parts = ""
        self.clock_ahead = timedelta(0)
        self.faults: deque[str] = deque()
        self.reading_fault: str = ""
        self.requests: list[tuple[str, str]] = []
        self.posted: list[dict[str, Any]] = []
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self) -> None:
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/v2/account", self._get_account)
        app.router.add_get("/v2/clock", self._get_clock)
        app.router.add_get("/v2/assets/{symbol:.+}", self._get_asset)
        app.router.add_get("/v2/orders", self._list)
        app.router.add_get("/v2/orders:by_client_order_id", self._by_name)
        app.router.add_post("/v2/orders", self._post)
        app.router.add_delete("/v2/orders/{id}", self._delete)
        app.router.add_get("/v2/positions/{asset}", self._position)
        app.router.add_get("/v2/stocks/{symbol}/bars", self._stock_bars)
        app.router.add_get("/v1beta3/crypto/us/bars", self._crypto_bars)
        self._runner = web.AppRunner(app, shutdown_timeout=0.01)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = site.name if ":0" not in site.name else f"http://127.0.0.1:{self._port()}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = None

    def named(self, client_order_id: str) -> dict[str, Any]:
        return next(order for order in self.orders.values() if order["client_order_id"] == client_order_id)

    def fill(self, client_order_id: str, quantity: Decimal | str, price: Decimal | str) -> None:
        """Execute a part of an order."""
        order = self.named(client_order_id)
        done, quantity = Decimal(order["filled_qty"]), Decimal(quantity)
        value = done * Decimal(order["filled_avg_price"] or 0) + quantity * Decimal(price)
        order |= {"filled_qty": f"{done + quantity:f}", "filled_avg_price": f"{value / (done + quantity):f}"}
        full = done + quantity == Decimal(order["qty"])
        self._change(order, "filled" if full else "partially_filled", "filled_at")
        kept = quantity * self.coin_fee if order["symbol"] == COIN["symbol"] else 0
        signed = quantity - kept if order["side"] == "buy" else -quantity
        self.positions[order["symbol"]] = self.positions.get(order["symbol"], Decimal(0)) + signed

    def move_to(self, price: Decimal | str) -> None:
        """Let the market trade at a price: marketable limits and triggered stops fill there."""
        self.price = Decimal(price)
        for order in list(self.orders.values()):
            waits = bool(self.parts) and order["client_order_id"] == self._in_parts
            if order["status"] not in _FINAL and self._fills_now(order) and not waits:
                self.fill(order["client_order_id"], Decimal(order["qty"]) - Decimal(order["filled_qty"]), self.price)

    def advance(self) -> None:
        """Fill the next part of the order that fills in parts."""
        order = self.named(self._in_parts)
        self.fill(self._in_parts, Decimal(order["qty"]) * self.parts.pop(0), self.price)

    def finish(self, client_order_id: str, status: str) -> None:
        """Let an order expire, be rejected by the exchange, be replaced by hand …"""
        self._change(self.named(client_order_id), status, {"expired": "expired_at"}.get(status, "failed_at"))

    def place_foreign_order(self, client_order_id: str = "somebody-else", symbol: str = "AAPL") -> None:
        self._accept({"client_order_id": client_order_id, "symbol": symbol, "qty": "1", "side": "buy",
                      "type": "limit", "limit_price": "1", "time_in_force": "day"})  # fmt: skip

    def _port(self) -> int:
        assert self._runner is not None
        return int(self._runner.addresses[0][1])

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append((request.method, request.path))
        keys = (request.headers.get("APCA-API-KEY-ID"), request.headers.get("APCA-API-SECRET-KEY"))
        if keys != (KEY, SECRET) and not request.path.startswith("/v1beta3/crypto/"):
            return _error(401, 40110000, "access key verification failed")
        if request.method == "GET" and self.reading_fault == "hang":
            await asyncio.Event().wait()
        if request.method == "GET" and self.reading_fault:
            return _error(int(self.reading_fault), 0, "internal server error occurred")
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _get_account(self, _request: web.Request) -> web.Response:
        return web.json_response(self.account)

    async def _get_clock(self, _request: web.Request) -> web.Response:
        return web.json_response({"timestamp": _stamp(self.clock_ahead), "is_open": True})

    async def _get_asset(self, request: web.Request) -> web.Response:
        wanted = request.match_info["symbol"]
        found = next((asset for asset in self.assets if asset["symbol"] == wanted), None)
        return _error(404, 40410000, f"asset not found for {wanted}") if found is None else web.json_response(found)

    async def _by_name(self, request: web.Request) -> web.Response:
        wanted = request.query["client_order_id"]
        found = next((order for order in self.orders.values() if order["client_order_id"] == wanted), None)
        return _error(404, 40410000, "order not found") if found is None else web.json_response(found)

    async def _list(self, request: web.Request) -> web.Response:
        query = request.query
        found = sorted(self.orders.values(), key=lambda order: order["submitted_at"])
        if query.get("status", "open") == "open":
            found = [order for order in found if order["status"] not in _FINAL]
        if "symbols" in query:
            found = [order for order in found if order["symbol"] in query["symbols"].split(",")]
        if "after" in query:
            after = datetime.fromisoformat(query["after"])
            found = [order for order in found if datetime.fromisoformat(order["submitted_at"]) > after]
        if query.get("direction", "desc") == "desc":
            found.reverse()
        return web.json_response(found[: int(query.get("limit", "50"))])

    async def _post(self, request: web.Request) -> web.Response:
        body = await request.json()
        fault = self.faults.popleft() if self.faults else ""
        if fault in {"429", "500", "503"}:
            return _error(int(fault), 0, {"429": "too many requests."}.get(fault, "internal server error occurred"))
        if fault == "hang":
            await asyncio.Event().wait()
        self.posted.append(body)
        refusal = self._refusal(body)
        if refusal is not None:
            return refusal
        order = self._accept(body)
        if fault == "accept_then_hang":
            await asyncio.Event().wait()
        if fault == "accept_then_500":
            return _error(500, 50010000, "internal server error occurred")
        return web.Response(text="<html>") if fault == "garbage" else web.json_response(order)

    async def _delete(self, request: web.Request) -> web.Response:
        order = self.orders.get(request.match_info["id"])
        if order is None:
            return _error(404, 40410000, "order not found")
        if order["status"] in _FINAL:
            return _error(422, 42210000, f'order is already in "{order["status"]}" state')
        self._change(order, "canceled", "canceled_at")
        return web.Response(status=204)

    async def _position(self, request: web.Request) -> web.Response:
        symbols = {asset["id"]: asset["symbol"] for asset in self.assets}
        held = self.positions.get(symbols.get(request.match_info["asset"], ""), Decimal(0))
        return web.json_response({"qty": f"{held:f}"}) if held else _error(404, 40410000, "position does not exist")

    async def _stock_bars(self, request: web.Request) -> web.Response:
        bars, token = self._page(request.match_info["symbol"], request)
        return web.json_response({"bars": bars, "symbol": request.match_info["symbol"], "next_page_token": token})

    async def _crypto_bars(self, request: web.Request) -> web.Response:
        symbol = request.query["symbols"]
        bars, token = self._page(symbol, request)
        return web.json_response({"bars": {symbol: bars} if bars else {}, "next_page_token": token})

    def _page(self, symbol: str, request: web.Request) -> tuple[list[dict[str, Any]] | None, str | None]:
        start = datetime.fromisoformat(request.query["start"])
        end = (
            datetime.fromisoformat(request.query["end"]) if "end" in request.query else datetime.max.replace(tzinfo=UTC)
        )
        found = [bar for bar in self.bars.get(symbol, []) if start <= datetime.fromisoformat(bar["t"]) <= end]
        first = int(request.query.get("page_token", "0"))
        last = first + min(int(request.query["limit"]), self.page_size)
        return found[first:last] or None, str(last) if last < len(found) else None

    def _refusal(self, body: dict[str, Any]) -> web.Response | None:
        if any(order["client_order_id"] == body["client_order_id"] for order in self.orders.values()):
            return _error(422, 40010001, "client_order_id must be unique")
        if all(asset["symbol"] != body["symbol"] for asset in self.assets):
            return _error(422, 42210000, f'could not find asset "{body["symbol"]}"')
        if body["side"] == "buy" and Decimal(body["qty"]) * self.price > self.buying_power:
            return _error(403, 40310000, "insufficient buying power")
        return None

    def _accept(self, body: dict[str, Any]) -> dict[str, Any]:
        now = _stamp()
        order = {"limit_price": None, "stop_price": None} | body
        order |= {"id": str(uuid.uuid4()), "status": "new", "filled_qty": "0", "filled_avg_price": None}
        order |= {"created_at": now, "submitted_at": now, "updated_at": now}
        self.orders[order["id"]] = order
        if self._fills_now(order) and self.parts:
            self._in_parts = order["client_order_id"]
            self.advance()
        elif self._fills_now(order):
            self.fill(order["client_order_id"], order["qty"], self.price)
        return order

    def _fills_now(self, order: dict[str, Any]) -> bool:
        below = self.price <= Decimal(order["limit_price"] or order["stop_price"] or 0)
        match order["type"]:
            case "market":
                return self.market_orders_fill
            case "limit":
                return below if order["side"] == "buy" else not self.price < Decimal(order["limit_price"])
            case _:
                stop = Decimal(order["stop_price"])
                return self.price <= stop if order["side"] == "sell" else self.price >= stop

    def _change(self, order: dict[str, Any], status: str, field: str) -> None:
        order |= {"status": status, "updated_at": _stamp(), field: _stamp()}


def _stamp(ahead: timedelta = timedelta(0)) -> str:
    return (datetime.now(UTC) + ahead).isoformat().replace("+00:00", "000Z")


def _error(status: int, code: int, message: str) -> web.Response:
    return web.json_response({"code": code, "message": message}, status=status, dumps=json.dumps)
