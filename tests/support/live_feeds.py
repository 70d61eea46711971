"""Live feeds against stand-ins: a venue whose clock stands still until the test moves it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from bot_runtime.domain.bar import Bar
from bot_runtime.feeds.hub import MarketHub
from bot_runtime.feeds.live_feed import LiveFeed
from bot_runtime.feeds.registry import build_feed
from support.exchange.market_data import MarketData, market_data_of
from support.exchange.server import Exchange

NOW = datetime(2024, 3, 5, 12, 0, 10, tzinfo=UTC)
SYMBOL = "BTCUSDT"


async def hurried(seconds: float) -> None:
    """Wait no longer than an instant: for feeds that poll."""
    await asyncio.sleep(min(seconds, 0.01))


async def eventually(condition: Callable[[], Any], what: str, timeout: float = 10) -> None:
    try:
        async with asyncio.timeout(timeout):
            while not condition():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"{what} did not happen in {timeout:g} s") from None


async def take(bars: AsyncIterator[Bar], count: int, timeout: float = 10) -> list[Bar]:
    async with asyncio.timeout(timeout):
        return [await anext(bars) for _ in range(count)]


class World:
    """One exchange, one process of bots with its hub."""

    def __init__(self, exchange: Exchange, hub: MarketHub) -> None:
        self.exchange = exchange
        self.market: MarketData = market_data_of(exchange.venue)
        self.hub = hub
        self.feeds: list[LiveFeed] = []

    def feed(self, interval: str = "1m", symbol: str = SYMBOL, **data: Any) -> LiveFeed:
        section = {"data_source": "binance", "interval": interval, **data}
        feed = build_feed(section, symbol, hub=self.hub)
        assert isinstance(feed, LiveFeed)
        self.feeds.append(feed)
        return feed

    def asked(self, path: str = "/api/v3/klines") -> int:
        return self.exchange.requests.count(f"GET {path}")

    async def aclose(self) -> None:
        for feed in self.feeds:
            await feed.aclose()


@asynccontextmanager
async def live_world(monkeypatch: Any, *, hub: MarketHub | None = None) -> AsyncIterator[World]:
    """Serve an exchange whose clock stands at NOW, and point the feeds of this process at it."""
    async with Exchange() as exchange:
        monkeypatch.setenv("TRADINGBOT_EXCHANGE_URL", exchange.url)
        monkeypatch.setenv("TRADINGBOT_EXCHANGE_WS_URL", exchange.url.replace("http", "ws"))
        world = World(exchange, hub or MarketHub())
        world.market.hold(NOW)
        try:
            yield world
        finally:
            await world.aclose()
