"""Alpaca's stand-in as the contract suite of brokers needs it: coins, of which the buyer pays a fee of 0.1 %."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from bot_runtime.brokers.alpaca import AlpacaBroker
from bot_runtime.brokers.base import Broker
from bot_runtime.domain.order import OrderReport
from support.alpaca import COIN, KEY, SECRET, AlpacaStandIn
from support.live import a_live_config

_TIER_OF_A_TENTH_PERCENT = 8


class AlpacaHarness:
    charges_base = True
    lacks = frozenset({"least orders"})  # the venue refuses them in words of its own

    def __init__(self, venue: AlpacaStandIn) -> None:
        self.venue = venue
        self._brokers: list[AlpacaBroker] = []

    async def broker(self) -> Broker:
        broker = AlpacaBroker(a_live_config("alpaca", "BTCUSD"))
        self._brokers.append(broker)
        await broker.connect()
        return broker

    async def move_price(self, price: Decimal) -> None:
        self.venue.move_to(price)

    async def final(self, broker: Broker, client_order_id: str) -> OrderReport:
        report = await broker.find(client_order_id)
        assert report is not None
        return report

    async def in_parts(self, *parts: Decimal) -> None:
        self.venue.parts = list(parts)

    async def advance(self) -> None:
        self.venue.advance()

    async def place_foreign(self, client_order_id: str) -> None:
        self.venue.place_foreign_order(client_order_id, COIN["symbol"])

    async def foreign_is_open(self, client_order_id: str) -> bool:
        return bool(self.venue.named(client_order_id)["status"] == "new")

    async def spend_everything(self) -> None:
        self.venue.buying_power = Decimal(0)

    async def aclose(self) -> None:
        for broker in self._brokers:
            await broker.aclose()


@asynccontextmanager
async def alpaca_harness(environment: pytest.MonkeyPatch) -> AsyncIterator[AlpacaHarness]:
    """Serve a stand-in of Alpaca, with its keys in the environment."""
    venue = AlpacaStandIn()
    venue.price, venue.coin_fee = Decimal(50000), Decimal("0.001")
    venue.account["crypto_tier"] = _TIER_OF_A_TENTH_PERCENT
    await venue.start()
    environment.setenv("TRADINGBOT_ALPACA_URL", venue.url)
    environment.setenv("BOT_KEYS_API_KEY", KEY)
    environment.setenv("BOT_KEYS_API_SECRET", SECRET)
    harness = AlpacaHarness(venue)
    try:
        yield harness
    finally:
        await harness.aclose()
        await venue.stop()
