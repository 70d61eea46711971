"""A stand-in for IB Gateway below the real ib_async: its `IB` and `Wrapper` run, only the socket's client is replaced.

The gateway keeps orders as the real one does, and tells the wrappers of its clients what the decoder would.
"""

import itertools
from collections import deque
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ib_async import IB, BarData, CommissionReport, Contract, Execution, Order, OrderState

from support.ibkr_client import StandInClient

_OVER = {"Filled", "Cancelled", "Inactive"}
AAPL = Contract(secType="STK", conId=265598, symbol="AAPL", exchange="SMART", currency="USD", localSymbol="AAPL")
BRK_B = Contract(secType="STK", conId=72063691, symbol="BRK B", exchange="SMART", currency="USD")
EURUSD = Contract(secType="CASH", conId=12087792, symbol="EUR", exchange="IDEALPRO", currency="USD")


@dataclass
class Placed:
    """An order in the gateway's book."""

    contract: Contract
    order: Order
    status: str = "PreSubmitted"
    filled: float = 0.0
    value: float = 0.0
    executions: list[Execution] = field(default_factory=list)
    commissions: list[CommissionReport] = field(default_factory=list)

    @property
    def over(self) -> bool:
        return self.status in _OVER


class GatewayStandIn:
    """`faults` are taken one for each new order: silence, accept_silently, drop, accept_then_drop, duplicate_id,
    reject, read_only, tif_preset."""

    def __init__(self) -> None:
        self.accounts = ["U1234567"]
        self.contracts = [AAPL, BRK_B, EURUSD]
        self.book: list[Placed] = []
        self.positions: dict[int, float] = {}
        self.bars: dict[datetime, BarData] = {}
        self.bar_error: tuple[int, str] | None = None
        self.asked_bars: list[tuple[str, str, str, str]] = []
        self.price = 100.0
        self.market_orders_fill = True
        self.market_open = True
        self.parts: list[float] = []
        self._in_parts: Placed | None = None
        self.commission: float | None = 1.0
        self.commission_currency = "USD"
        self.clock_ahead = timedelta(0)
        self.faults: deque[str] = deque()
        self.down = self.silent = False
        self.refused_clients: set[int] = set()
        self.clients: list[StandInClient] = []
        self.connections = self.attempts = 0
        self._numbers = itertools.count(1)
        self._executions = itertools.count(1)

    def make(self) -> IB:
        """What `ib_async.IB()` gives, connected to this gateway."""
        ib = IB()
        ib.client = StandInClient(ib.wrapper, self)  # type: ignore[assignment]
        ib.client.apiEnd += ib.disconnectedEvent
        return ib

    def named(self, reference: str) -> Placed:
        return next(placed for placed in self.book if placed.order.orderRef == reference)

    def references(self) -> list[str]:
        return [placed.order.orderRef for placed in self.book]

    def fill(self, reference: str, quantity: float, price: float) -> None:
        self._execute(self.named(reference), quantity, price)

    def advance(self) -> None:
        """Fill the next part of the order that fills in parts."""
        placed = self._in_parts
        assert placed is not None
        part = round(placed.order.totalQuantity * self.parts.pop(0), 8)
        self._execute(placed, part, self.price)

    def move_to(self, price: float) -> None:
        self.price = price
        for placed in self.book:
            waits = bool(self.parts) and placed is self._in_parts
            if not placed.over and self._fills_now(placed) and not waits:
                self._execute(placed, placed.order.totalQuantity - placed.filled, price)

    def drop_connections(self) -> None:
        for client in list(self.clients):
            client.lose()

    def tell_all(self, code: int, message: str) -> None:
        for client in self.clients:
            client.wrapper.error(-1, code, message, "")

    def place_foreign_order(self, reference: str = "somebody-else", client_id: int = 99) -> Placed:
        order = Order(action="BUY", totalQuantity=1.0, orderType="LMT", lmtPrice=1.0, orderRef=reference)
        order.clientId, order.orderId, order.permId = client_id, 7, next(self._numbers)
        self.book.append(Placed(AAPL, order, "Submitted"))
        return self.book[-1]

    def forget(self) -> None:
        """Midnight: orders that are over, and executions, are no longer known."""
        self.book = [placed for placed in self.book if not placed.over]

    def place(self, client: StandInClient, contract: Contract, order: Order) -> None:
        fault = self.faults.popleft() if self.faults else ""
        if fault in ("silence", "drop"):
            return client.later(client.lose) if fault == "drop" else None
        refusals = {
            "duplicate_id": (103, "Duplicate order id"),
            "reject": (201, "Order rejected - reason: insufficient funds"),
            "read_only": (321, "Error validating request: the API interface is currently in Read-Only mode."),
        }
        if fault in refusals:
            return client.later(client.wrapper.error, order.orderId, *refusals[fault], "")
        kept = copy(order)
        kept.permId, kept.clientId = next(self._numbers), client.clientId
        placed = Placed(contract, kept)
        self.book.append(placed)
        if fault == "accept_then_drop":
            return client.later(client.lose)
        if fault == "tif_preset":
            client.later(client.wrapper.error, order.orderId, 10349, "Order TIF was set to DAY", "")
        if fault != "accept_silently":
            client.later(self._accept, placed)
        return None

    def cancel(self, client: StandInClient, number: int) -> None:
        owned = [
            placed for placed in self.book if (placed.order.clientId, placed.order.orderId) == (client.clientId, number)
        ]
        if not owned:
            client.later(
                client.wrapper.error, number, 10147, f"OrderId {number} that needs to be cancelled is not found", ""
            )
        elif owned[0].over:
            said = f"OrderId {number} that needs to be cancelled can not be cancelled, state: {owned[0].status}."
            client.later(client.wrapper.error, number, 10148, said, "")
        else:
            owned[0].status = "Cancelled"
            client.later(self._tell_status, owned[0])
            client.later(client.wrapper.error, number, 202, "Order Canceled - reason:", "")

    def _accept(self, placed: Placed) -> None:
        self._tell_order(placed)
        if not self.market_open:
            self._tell(placed, lambda to: to.error(placed.order.orderId, 399, "will not be placed until the open", ""))
            return
        placed.status = "Submitted" if placed.order.orderType != "STP" else "PreSubmitted"
        self._tell_status(placed)
        if self._fills_now(placed) and self.parts:
            self._in_parts = placed
            self.advance()
        elif self._fills_now(placed):
            self._execute(placed, placed.order.totalQuantity, self.price)

    def _fills_now(self, placed: Placed) -> bool:
        order, buys = placed.order, placed.order.action == "BUY"
        match order.orderType:
            case "MKT":
                return self.market_orders_fill
            case "LMT":
                return self.price <= float(order.lmtPrice or 0) if buys else self.price >= float(order.lmtPrice or 0)
            case _:
                return self.price >= float(order.auxPrice or 0) if buys else self.price <= float(order.auxPrice or 0)

    def _execute(self, placed: Placed, quantity: float, price: float) -> None:
        order = placed.order
        placed.filled += quantity
        placed.value += quantity * price
        execution = Execution(
            execId=f"0000e0d5.{next(self._executions):08x}.01.01", time=datetime.now(UTC), acctNumber=self.accounts[0],
            side="BOT" if order.action == "BUY" else "SLD", shares=quantity, price=price, permId=order.permId,
            clientId=order.clientId, orderId=order.orderId, orderRef=order.orderRef,
        )  # fmt: skip
        placed.executions.append(execution)
        held = self.positions.get(placed.contract.conId, 0.0)
        self.positions[placed.contract.conId] = held + (quantity if order.action == "BUY" else -quantity)
        placed.status = "Filled" if placed.filled >= order.totalQuantity else "Submitted"
        self._tell(placed, lambda to: to.execDetails(-1, placed.contract, execution))
        self._tell_status(placed)
        if self.commission is not None:
            self.charge(placed, execution)

    def charge(self, placed: Placed, execution: Execution) -> None:
        report = CommissionReport(execution.execId, self.commission or 0.0, self.commission_currency)
        placed.commissions.append(report)
        self._tell(placed, lambda to: to.commissionReport(copy(report)))

    def _tell_order(self, placed: Placed) -> None:
        state = OrderState(status=placed.status)
        self._tell(placed, lambda to: to.openOrder(placed.order.orderId, placed.contract, copy(placed.order), state))
        self._tell_status(placed)

    def _tell_status(self, placed: Placed) -> None:
        self._tell(placed, lambda to: to.orderStatus(*self.status_of(placed)))

    def _tell(self, placed: Placed, message: Callable[[Any], None]) -> None:
        for client in self.clients:
            if client.clientId == placed.order.clientId:
                message(client.wrapper)

    def status_of(self, placed: Placed) -> tuple[Any, ...]:
        order, mean = placed.order, placed.value / placed.filled if placed.filled else 0.0
        left = order.totalQuantity - placed.filled
        return (order.orderId, placed.status, placed.filled, left, mean, order.permId, 0, 0.0, order.clientId, "")
