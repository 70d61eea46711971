"""The gateway's stand-in as the contract suite of brokers needs it.

It takes parts of shares, which the real one would not: the rules that the adapter gives keep a bot from ordering them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from bot_runtime.brokers.base import Broker
from bot_runtime.brokers.ibkr import IbkrBroker
from bot_runtime.domain.order import OrderReport
from bot_runtime.venues import ibkr_session
from support.ibkr import GatewayStandIn
from support.live import a_live_config


class IbkrHarness:
    charges_base = False
    lacks = frozenset({"least orders"})

    def __init__(self, gateway: GatewayStandIn) -> None:
        self.gateway = gateway
        self._brokers: list[IbkrBroker] = []

    async def broker(self) -> Broker:
        broker = IbkrBroker(a_live_config("ibkr", "AAPL"))
        self._brokers.append(broker)
        await broker.connect()
        return broker

    async def move_price(self, price: Decimal) -> None:
        self.gateway.move_to(float(price))

    async def final(self, broker: Broker, client_order_id: str) -> OrderReport:
        report = await broker.find(client_order_id)
        assert report is not None
        return report

    async def in_parts(self, *parts: Decimal) -> None:
        self.gateway.parts = list(map(float, parts))

    async def advance(self) -> None:
        self.gateway.advance()

    async def place_foreign(self, client_order_id: str) -> None:
        self.gateway.place_foreign_order(client_order_id)

    async def foreign_is_open(self, client_order_id: str) -> bool:
        return not self.gateway.named(client_order_id).over

    async def spend_everything(self) -> None:
        self.gateway.faults.append("reject")

    async def aclose(self) -> None:
        for broker in self._brokers:
            await broker.aclose()


@asynccontextmanager
async def ibkr_harness(environment: pytest.MonkeyPatch) -> AsyncIterator[IbkrHarness]:
    """Put the stand-in below ib_async."""
    gateway = GatewayStandIn()
    gateway.price = 50000.0
    environment.setattr(ibkr_session, "IB", gateway.make)
    harness = IbkrHarness(gateway)
    try:
        yield harness
    finally:
        await harness.aclose()
