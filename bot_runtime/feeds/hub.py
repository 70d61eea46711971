"""The markets that the bots of a process read, each one once, and the rate limiters of their venues.

The first reader of a market opens it, the last one closes it. Must know no venue.
"""

import asyncio
from weakref import WeakKeyDictionary

from bot_runtime.feeds.base import Sleeper
from bot_runtime.feeds.market_source import MarketKey, SourceFactory
from bot_runtime.feeds.pacer import Pacer
from bot_runtime.feeds.shared_market import Patience, SharedMarket


class MarketHub:
    """Serves one event loop."""

    def __init__(self, *, sleep: Sleeper = asyncio.sleep, patience: Patience | None = None) -> None:
        self._sleep = sleep
        self._patience = patience
        self._markets: dict[MarketKey, SharedMarket] = {}
        self._pacers: dict[str, Pacer] = {}

    def join(self, key: MarketKey, factory: SourceFactory, pace_seconds: float = 0.0) -> SharedMarket:
        """Return the market, opened where it was not. Pair each call with `leave`."""
        market = self._markets.get(key)
        if market is None or market.failure is not None:  # one that failed is closed by the last of its readers
            pacer = self._pacers.setdefault(key.venue, Pacer(pace_seconds, self._sleep))
            market = SharedMarket(factory(pacer), sleep=self._sleep, patience=self._patience)
            self._markets[key] = market
        market.users += 1
        return market

    async def leave(self, market: SharedMarket) -> None:
        """Give up a share in a market."""
        market.users -= 1
        if market.users == 0:
            if self._markets.get(market.source.key) is market:
                del self._markets[market.source.key]
            await market.aclose()

    @property
    def markets(self) -> tuple[SharedMarket, ...]:
        return tuple(self._markets.values())


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, MarketHub] = WeakKeyDictionary()


def hub_of_loop() -> MarketHub:
    """Return the hub of the running event loop."""
    return _hubs.setdefault(asyncio.get_running_loop(), MarketHub())
