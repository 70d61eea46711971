"""What the contract suite of brokers needs of each adapter's surroundings: a venue, its price, its other customers."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Protocol

import pytest

from bot_core.models.config import BotConfig
from bot_runtime.brokers.base import Broker
from bot_runtime.brokers.ccxt_broker import CcxtBroker
from bot_runtime.domain.order import OrderReport
from bot_runtime.venues.ccxt_client import URL_VARIABLE
from support.alpaca_harness import alpaca_harness
from support.ccxt_bots import KEY_VARIABLES, a_live_config
from support.exchange.server import Exchange
from support.exchange.venue import FillPlan
from support.ibkr_harness import ibkr_harness


class Harness(Protocol):
    """One venue. Its price is 50000 and its least order is worth more than 1; the account can pay for 1 unit.

    `in_parts` lets the next order fill in such parts: the first at once, the others by `advance`.
    `charges_base` tells whether a buyer pays the fee in what is bought. Names of abilities in `lacks` skip tests.
    """

    charges_base: bool
    lacks: frozenset[str]

    async def broker(self) -> Broker:
        """Return a new adapter, connected; called again, it is a restart with the same venue."""
        ...

    async def move_price(self, price: Decimal) -> None: ...
    async def final(self, broker: Broker, client_order_id: str) -> OrderReport:
        """Return what became of an order, once the venue has had its chance to fill it."""
        ...

    async def in_parts(self, *parts: Decimal) -> None: ...
    async def advance(self) -> None: ...
    async def place_foreign(self, client_order_id: str) -> None: ...
    async def foreign_is_open(self, client_order_id: str) -> bool: ...
    async def spend_everything(self) -> None:
        """Leave the account without money."""
        ...


class BinanceHarness:
    charges_base = True
    lacks: frozenset[str] = frozenset()

    def __init__(self, exchange: Exchange, config: BotConfig) -> None:
        self.exchange = exchange
        self._config = config
        self._brokers: list[CcxtBroker] = []

    async def broker(self) -> Broker:
        broker = CcxtBroker(self._config, symbol=self._config.symbol)
        self._brokers.append(broker)
        await broker.connect()
        return broker

    async def move_price(self, price: Decimal) -> None:
        self.exchange.venue.set_price("BTCUSDT", price)

    async def final(self, broker: Broker, client_order_id: str) -> OrderReport:
        report = await broker.find(client_order_id)
        assert report is not None
        return report

    async def in_parts(self, *parts: Decimal) -> None:
        self.exchange.venue.plan_fills(FillPlan(parts))

    async def advance(self) -> None:
        self.exchange.venue.advance()

    async def place_foreign(self, client_order_id: str) -> None:
        self.exchange.venue.submit(
            "BTCUSDT", "BUY", "LIMIT", Decimal("0.01"), price=Decimal(40000), client_id=client_order_id, foreign=True
        )

    async def foreign_is_open(self, client_order_id: str) -> bool:
        return self.exchange.venue.find("BTCUSDT", client_id=client_order_id).open

    async def spend_everything(self) -> None:
        self.exchange.venue.account.free.clear()

    async def aclose(self) -> None:
        for broker in self._brokers:
            await broker.aclose()


@asynccontextmanager
async def binance_harness(environment: pytest.MonkeyPatch) -> AsyncIterator[BinanceHarness]:
    """Serve a stand-in of Binance, with its keys in the environment."""
    for name, value in KEY_VARIABLES.items():
        environment.setenv(name, value)
    async with Exchange() as exchange:
        environment.setenv(URL_VARIABLE, exchange.url)
        harness = BinanceHarness(exchange, a_live_config())
        try:
            yield harness
        finally:
            await harness.aclose()


HARNESSES: dict[str, Callable[[pytest.MonkeyPatch], "_Opened"]] = {
    "alpaca": alpaca_harness,
    "binance": binance_harness,
    "ibkr": ibkr_harness,
}


class _Opened(Protocol):
    async def __aenter__(self) -> Harness: ...
    async def __aexit__(self, *error: object) -> bool | None: ...
