"""Closed bars of the past of one market, read through its buffer: whatever lies there is not asked for again.

Requests for the same bars that are under way are shared. Nothing is made up: what the venue has not got is missing.
"""

import asyncio
from datetime import datetime, timedelta

from bot_runtime.domain.bar import EPOCH, Bar
from bot_runtime.feeds.bar_buffer import BarBuffer
from bot_runtime.feeds.intervals import bars_apart, interval_seconds, is_closed, next_open
from bot_runtime.feeds.market_source import MarketSource

PAGE = 1000
#: One second after a bar's open lies no other bar's: all later bars are asked for from there.
AFTER = timedelta(seconds=1)
# So long without a bar, in time and in bars, and the market did not exist yet: no stock exchange rests as long.
_SILENCE = timedelta(days=10)
_SILENT_BARS = 50
_WIDER = 4


class MarketHistory:
    """Raises what the source does: TransientError where the venue does not answer, InvalidBotError."""

    def __init__(self, source: MarketSource, buffer: BarBuffer) -> None:
        self._source = source
        self._buffer = buffer
        self._interval = source.key.interval
        self._asked: dict[tuple[datetime, int], asyncio.Task[list[Bar]]] = {}
        self._reaching = asyncio.Lock()
        self._beginning: datetime | None = None

    async def page(self, start: datetime, limit: int = PAGE) -> list[Bar]:
        """Return up to about `limit` bars from `start` on; one request for all who ask for the same at once."""
        key = (start, limit)
        task = self._asked.get(key)
        if task is None:
            task = asyncio.create_task(self._source.closed_bars(start, limit))
            self._asked[key] = task
            task.add_done_callback(lambda done: self._answered(key, done))
        return await asyncio.shield(task)

    async def between(self, start: datetime, before: datetime) -> list[Bar]:
        """Return all bars from `start` up to `before`, page by page."""
        found: list[Bar] = []
        while start < before:
            page = await self.page(start, min(PAGE, bars_apart(start, before, self._interval) + 1))
            kept = [bar for bar in page if start <= bar.time < before]
            found += kept
            if not kept or len(kept) < len(page) or not self._closes_after(kept[-1]):
                break
            start = kept[-1].time + AFTER
        return found

    async def last(self, until: datetime, limit: int | None) -> list[Bar]:
        """Return the last `limit` (None: all) bars with time <= `until`."""
        if limit is None:
            return await self.between(EPOCH, until + AFTER)
        self._buffer.widen(limit)
        async with self._reaching:  # who comes second finds in the buffer what the first one asked for
            found = self._buffer.until(until, limit)
            if len(found) == limit:
                return found
            known_from = self._buffer.known_from
            end = until + AFTER if known_from is None else min(until + AFTER, known_from)
            older, start = await self._reach_back(end, limit - len(found))
            self._buffer.prepend(older, start, end)
            return [*older, *found][-limit:]

    async def aclose(self) -> None:
        tasks = list(self._asked.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _reach_back(self, end: datetime, missing: int) -> tuple[list[Bar], datetime]:
        """Return at least `missing` bars before `end` where there are so many, and from when on they are complete.

        Reaches further each time: a stock exchange gives few bars for a span of nights and holidays.
        """
        older: list[Bar] = []
        start, span = end, missing + 1  # one more: `end` may lie within a bar that is open
        while len(older) < missing and start > (self._beginning or EPOCH):
            earlier = self._before(start, span)
            found = await self.between(earlier, start)
            if not found and start - earlier >= max(_SILENCE, self._nominal(_SILENT_BARS)):
                self._beginning = start
            older[:0] = found
            start, span = earlier, span * _WIDER
        return older, start

    def _closes_after(self, bar: Bar) -> bool:
        return is_closed(next_open(bar.time, self._interval), self._interval, self._source.now())

    def _before(self, time: datetime, bars: int) -> datetime:
        return max(EPOCH, time - min(self._nominal(bars), time - EPOCH))

    def _nominal(self, bars: int) -> timedelta:
        return timedelta(seconds=min(bars * interval_seconds(self._interval), 10**10))

    def _answered(self, key: tuple[datetime, int], done: asyncio.Task[list[Bar]]) -> None:
        self._asked.pop(key, None)
        if not done.cancelled():
            done.exception()  # seen, also where nobody waits any more
