"""The feed of a live market, as the engine sees it: a cursor of its own into what the hub shares."""

from collections.abc import AsyncIterator
from datetime import datetime

from bot_core.models.problem import Notice
from bot_runtime.domain.bar import Bar
from bot_runtime.feeds.hub import MarketHub, hub_of_loop
from bot_runtime.feeds.intervals import interval_seconds
from bot_runtime.feeds.market_source import MarketKey, MarketSource, SourceFactory
from bot_runtime.feeds.pacer import Pacer
from bot_runtime.feeds.shared_market import SharedMarket


class LiveFeed:
    """Joins its market when first asked for anything. `pace_seconds`: the least time between requests to the venue."""

    finite = False
    live = True

    def __init__(
        self,
        key: MarketKey,
        factory: SourceFactory,
        *,
        pace_seconds: float = 0.0,
        hub: MarketHub | None = None,
        notices: tuple[Notice, ...] = (),
    ) -> None:
        self.key = key
        self.interval_seconds = interval_seconds(key.interval)
        self._factory = factory
        self._pace_seconds = pace_seconds
        self._hub = hub
        self._notices = notices
        self._market: SharedMarket | None = None

    @property
    def notices(self) -> tuple[Notice, ...]:
        missing = 0 if self._market is None else self._market.missing
        if not missing:
            return self._notices
        return (*self._notices, Notice("data", f"{missing} bars are missing at the venue, none was made up"))

    @property
    def clock_skew(self) -> float | None:
        """Seconds that the venue's clock is ahead of ours, None where unknown."""
        return None if self._market is None else self._market.source.clock_skew

    def source(self) -> MarketSource:
        """A source of this market that is nobody else's, for whoever only wants to ask the venue something."""
        return self._factory(Pacer(self._pace_seconds))

    def history_capacity(self, warmup: int) -> int | None:
        return warmup

    async def newest(self) -> datetime | None:
        return await self._joined().newest()

    async def history(self, until: datetime, limit: int | None) -> list[Bar]:
        market = self._joined()
        await market.newest()
        return await market.history.last(until, limit)

    async def bars(self, after: datetime | None) -> AsyncIterator[Bar]:
        """Deliver every closed bar with time > `after` (None: from now on), endlessly, whatever becomes of the venue.

        Raises only what no retry mends: InvalidBotError for a market that the venue has not got.
        """
        market = self._joined()
        cursor = await market.begun() if after is None else after
        while True:
            for bar in await market.after(cursor):
                cursor = bar.time
                yield bar

    def trouble(self) -> str | None:
        return None if self._market is None else self._market.trouble()

    async def aclose(self) -> None:
        market, self._market = self._market, None
        if market is not None and self._hub is not None:
            await self._hub.leave(market)

    def _joined(self) -> SharedMarket:
        if self._market is None:
            self._hub = self._hub or hub_of_loop()
            self._market = self._hub.join(self.key, self._factory, self._pace_seconds)
        return self._market
