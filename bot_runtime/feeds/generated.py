"""A feed of made-up bars, for trials and tests: seeded, endless, faster than real time."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import WeakValueDictionary

from bot_core.models.problem import Notice
from bot_runtime.domain.bar import Bar
from bot_runtime.feeds.base import Pace, PastFeed, Sleeper
from bot_runtime.feeds.intervals import interval_seconds
from bot_runtime.feeds.options import number_option, time_option
from bot_runtime.feeds.synthetic import SyntheticMarket

_START = datetime(2024, 1, 1, tzinfo=UTC)
_END_OF_TIME = datetime(9999, 12, 31, tzinfo=UTC)
_DEFAULT_SPEED = 20
_ENDLESS = -1
_markets: WeakValueDictionary[tuple[int, str, int], SyntheticMarket] = WeakValueDictionary()


class GeneratedFeed(PastFeed):
    """`seed`, `start`, `speed` (bars per second; 0: as fast as they are taken) and `bars` (end after that many)."""

    def __init__(self, data: Mapping[str, Any], symbol: str, *, sleep: Sleeper = asyncio.sleep) -> None:
        self.interval_seconds = interval_seconds(data.get("interval", "1h"))
        seed = int(number_option(data, "seed", 0, low=-(2**53), high=2**53))
        speed = number_option(data, "speed", _DEFAULT_SPEED, low=0, high=1_000_000)
        bars = int(number_option(data, "bars", _ENDLESS, low=_ENDLESS, high=2**53))
        self._start = time_option(data, "start", _START)
        self._step = timedelta(seconds=self.interval_seconds)
        most = (_END_OF_TIME - self._start) // self._step  # the calendar ends in the year 9999, and so does the data
        self._finite = bars != _ENDLESS
        self._count = min(bars, most) if self._finite else most
        self._seconds = 1 / speed if speed else 0.0
        self._sleep = sleep
        self._market = _market(seed, symbol, self.interval_seconds)
        self.notices: tuple[Notice, ...] = ()

    @property
    def finite(self) -> bool:
        return self._finite

    def history_capacity(self, warmup: int) -> int | None:
        return warmup

    async def history(self, until: datetime, limit: int | None) -> list[Bar]:
        end = self._count_until(until)
        start = 0 if limit is None else max(0, end - limit)
        return await asyncio.to_thread(lambda: [self._bar(index) for index in range(start, end)])

    async def bars(self, after: datetime | None) -> AsyncIterator[Bar]:
        pace = Pace(self._seconds, self._sleep)
        first = 0 if after is None else self._count_until(after)
        for index in range(first, self._count):
            await pace.next_bar()
            yield self._bar(index)

    async def aclose(self) -> None:
        """Nothing is held."""

    def _count_until(self, time: datetime) -> int:
        bars = max(0, (time - self._start) // self._step + 1)
        return min(bars, self._count)

    def _bar(self, index: int) -> Bar:
        return Bar(self._start + index * self._step, *self._market.quote(index))


def _market(seed: int, symbol: str, interval_seconds: int) -> SyntheticMarket:
    """The series of that name, which all bots that read it share as long as one does."""
    name = (seed, symbol, interval_seconds)
    market = _markets.get(name)
    if market is None:
        market = _markets[name] = SyntheticMarket(*name)
    return market
