"""The calls of ib_async's socket client that the adapters lead to, answered by a stand-in of the gateway.

Answers come in the loop's next turns, through the real wrapper, in the order in which a gateway gives them.
"""
# ruff: noqa: N802, N803, N815  # the names are those of ib_async

import asyncio
from collections.abc import Callable
from copy import copy
from datetime import UTC, datetime, timedelta
from typing import Any

from eventkit import Event
from ib_async import Contract, ContractDetails, Order, OrderState


class StandInClient:
    """The calls of ib_async's `Client` that the adapters lead to; answers come in the loop's next turns."""

    def __init__(self, wrapper: Any, gateway: Any) -> None:
        self.apiEnd = Event("apiEnd")
        self.wrapper, self.gateway = wrapper, gateway
        self.clientId = -1
        self.host, self.port = "", -1
        self._ready = False
        self._next = 1

    async def connectAsync(self, host: str, port: int, clientId: int, _timeout: float | None = 2.0) -> None:
        self.gateway.attempts += 1
        if self.gateway.down:
            raise ConnectionRefusedError(111, f"connect call failed ({host!r}, {port})")
        if clientId in self.gateway.refused_clients:
            self.wrapper.error(-1, 326, "Unable to connect as the client id is already in use.", "")
            raise TimeoutError
        self.host, self.port, self.clientId = host, port, clientId
        self._ready = True
        own = [placed.order.orderId for placed in self.gateway.book if placed.order.clientId == clientId]
        self._next = max(own, default=0) + 1
        self.gateway.clients.append(self)
        self.gateway.connections += 1
        self.wrapper.managedAccounts(",".join(self.gateway.accounts))

    def lose(self) -> None:
        """The connection goes: as `Client._onSocketDisconnected` has it."""
        if not self._ready:
            return
        self._ready = False
        self.gateway.clients.remove(self)
        self.wrapper.setEventsDone()
        self.wrapper.connectionClosed()
        self.apiEnd.emit()

    def later(self, call: Callable[..., Any], *arguments: Any) -> None:
        asyncio.get_running_loop().call_soon(call, *arguments)

    def isConnected(self) -> bool:
        return self._ready

    isReady = isConnected

    def disconnect(self) -> None:
        if self._ready:
            self._ready = False
            self.gateway.clients.remove(self)

    def connectionStats(self) -> Any:
        return type(
            "Stats", (), dict.fromkeys(("numBytesSent", "numMsgSent", "numBytesRecv", "numMsgRecv", "duration"), 0)
        )

    def serverVersion(self) -> int:
        return 178

    def getAccounts(self) -> list[str]:
        return self.gateway.accounts

    def getReqId(self) -> int:
        if not self._ready:
            raise ConnectionError("Not connected")
        self._next += 1
        return self._next - 1

    def updateReqId(self, least: int) -> None:
        self._next = max(self._next, least)

    def placeOrder(self, number: int, contract: Contract, order: Order) -> None:
        self._check()
        sent = copy(order)
        sent.orderId = number
        self.gateway.place(self, contract, sent)

    def cancelOrder(self, number: int, _time: str = "") -> None:
        self._check()
        self.gateway.cancel(self, number)

    def reqOpenOrders(self) -> None:
        self._open_orders(only_own=True)

    def reqAllOpenOrders(self) -> None:
        self._open_orders(only_own=False)

    def _open_orders(self, *, only_own: bool) -> None:
        def answer() -> None:
            for placed in self.gateway.book:
                if not placed.over and (placed.order.clientId == self.clientId or not only_own):
                    state = OrderState(status=placed.status)
                    self.wrapper.openOrder(placed.order.orderId, placed.contract, copy(placed.order), state)
                    self.wrapper.orderStatus(*self.gateway.status_of(placed))
            self.wrapper.openOrderEnd()

        self._answer(answer)

    def reqCompletedOrders(self, _api_only: bool) -> None:
        def answer() -> None:
            for placed in self.gateway.book:
                if placed.over:
                    order = copy(placed.order)  # numbers and total are lost, as the real decoder has it
                    order.orderId = order.clientId = 0
                    order.totalQuantity = order.totalQuantity - placed.filled
                    order.filledQuantity = placed.filled
                    self.wrapper.completedOrder(placed.contract, order, OrderState(status=placed.status))
            self.wrapper.completedOrdersEnd()

        self._answer(answer)

    def reqExecutions(self, number: int, _filter: Any) -> None:
        def answer() -> None:
            for placed in self.gateway.book:
                for execution in placed.executions:
                    self.wrapper.execDetails(number, placed.contract, copy(execution))
                for report in placed.commissions:
                    self.wrapper.commissionReport(copy(report))
            self.wrapper.execDetailsEnd(number)

        self._answer(answer)

    def reqPositions(self) -> None:
        def answer() -> None:
            by_number = {contract.conId: contract for contract in self.gateway.contracts}
            for number, held in self.gateway.positions.items():
                self.wrapper.position(self.gateway.accounts[0], by_number[number], held, self.gateway.price)
            self.wrapper.positionEnd()

        self._answer(answer)

    def reqContractDetails(self, number: int, contract: Contract) -> None:
        def answer() -> None:
            same = (contract.symbol, contract.secType, contract.currency)
            found = [it for it in self.gateway.contracts if (it.symbol, it.secType, it.currency) == same]
            if not found:
                self.wrapper.error(number, 200, "No security definition has been found for the request", "")
                return
            tick = 0.00005 if contract.secType == "CASH" else 0.0001
            self.wrapper.contractDetails(
                number, ContractDetails(contract=copy(found[0]), minTick=tick, timeZoneId="US/Eastern")
            )
            self.wrapper.contractDetailsEnd(number)

        self._answer(answer)

    def reqCurrentTime(self) -> None:
        now = datetime.now(UTC) + self.gateway.clock_ahead
        self._answer(lambda: self.wrapper.currentTime(int(now.timestamp())))

    def reqHistoricalData(
        self, number: int, _contract: Contract, end: str, duration: str, size: str, what: str, *_more: Any
    ) -> None:
        self.gateway.asked_bars.append((end, duration, size, what))
        last = datetime.strptime(end, "%Y%m%d %H:%M:%S UTC").replace(tzinfo=UTC)
        first = last - timedelta(days=365 if duration == "1 Y" else int(duration.removesuffix(" D")))

        def answer() -> None:
            if self.gateway.bar_error is not None:
                self.wrapper.error(number, *self.gateway.bar_error, "")
                return
            for time, bar in sorted(self.gateway.bars.items()):
                if first <= time <= last:
                    self.wrapper.historicalData(number, copy(bar))
            self.wrapper.historicalDataEnd(number, "", "")

        self._answer(answer)

    def cancelHistoricalData(self, _number: int) -> None:
        self._check()

    def _answer(self, answer: Callable[[], None]) -> None:
        self._check()
        if not self.gateway.silent:
            self.later(answer)

    def _check(self) -> None:
        if not self._ready:
            raise ConnectionError("Not connected")
