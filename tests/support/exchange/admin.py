"""The other side of the stand-in, for tests in other processes: moves prices, plans faults, shows everything."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from aiohttp import web

from support.exchange.faults import Fault, FaultKind, Faults
from support.exchange.middleware import Gatekeeper
from support.exchange.rest import amount, order_json, trade_json
from support.exchange.venue import FillPlan, Venue

_Body = dict[str, Any]


def add_admin(
    app: web.Application, venue: Venue, faults: Faults, gatekeeper: Gatekeeper, go_down: Callable[[float], None]
) -> None:
    """Add POST /admin/price|fault|clear|clock|plan|advance|execute|foreign|down and GET /admin/state."""

    def act(path: str, action: Callable[[_Body], Any]) -> None:
        app.router.add_post(f"/admin/{path}", _acting(action))

    async def state(_: web.Request) -> web.Response:
        return web.json_response(_state(venue) | {"faults": faults.listed(), "requests": gatekeeper.requests})

    app.router.add_get("/admin/state", state)
    act("price", lambda body: venue.set_price(body["symbol"], Decimal(str(body["price"]))))
    act("fault", lambda body: faults.plan(Fault(**body | {"kind": FaultKind(body["kind"])})))
    act("clear", lambda _: faults.clear())
    act("clock", lambda body: setattr(venue, "clock_offset", float(body["offset"])))
    act("plan", lambda body: venue.plan_fills(_plan(body)))
    act("advance", lambda _: venue.advance())
    act("execute", lambda body: _execute(venue, body))
    act("down", lambda body: go_down(float(body["seconds"])))
    act("foreign", lambda body: _foreign(venue, body))


def _acting(action: Callable[[_Body], Any]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        action(await request.json() if request.can_read_body else {})
        return web.json_response({})

    return handle


def _plan(body: _Body) -> FillPlan:
    parts = tuple(Decimal(str(part)) for part in body["parts"])
    return FillPlan(parts, body.get("delay"), bool(body.get("first_at_once", True)))


def _execute(venue: Venue, body: _Body) -> None:
    order = venue.find(body["symbol"], client_id=body["client_id"])
    venue.execute(order, Decimal(str(body["quantity"])))


def _foreign(venue: Venue, body: _Body) -> None:
    numbers = {name: Decimal(str(body[name])) for name in ("price", "stop_price") if name in body}
    quantity, client_id = Decimal(str(body["quantity"])), body.get("client_id")
    venue.submit(
        body["symbol"], body["side"], body["type"], quantity, client_id=client_id, foreign=True, **numbers
    )  # fmt: skip


def _state(venue: Venue) -> dict[str, Any]:
    venue.settle()
    account = venue.account
    return {
        "orders": [order_json(order) | {"foreign": order.foreign} for order in venue.orders],
        "fills": [trade_json(o, fill) | {"clientOrderId": o.client_id} for o in venue.orders for fill in o.fills],
        "balances": {
            asset: {"free": amount(account.free[asset]), "locked": amount(account.locked[asset])}
            for asset in sorted({*account.free, *account.locked})
        },
        "prices": {symbol: amount(price) for symbol, price in venue.prices.items()},
    }
