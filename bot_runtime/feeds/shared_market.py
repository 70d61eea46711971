"""One market that many bots read: a stream or a poll, a buffer of recent bars, and a cursor for each reader.

The stream only brings bars early. What counts is the order of the buffer: a bar that adjoins the newest one is taken,
one that leaves a gap makes the market ask the venue for what lies between, and an older one was there before. Where
no bar comes by the time that one should have closed, the venue is asked. So a bar is never made up, never repeated,
never out of order, and none is lost while the venue still has it. Readers only look: a slow one delays nobody.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from datetime import datetime

import structlog

from bot_core.models.errors import TransientError
from bot_core.store.listen import backoff_seconds
from bot_runtime.domain.bar import Bar
from bot_runtime.feeds.bar_buffer import BarBuffer
from bot_runtime.feeds.base import Sleeper
from bot_runtime.feeds.freshness import Freshness
from bot_runtime.feeds.intervals import bars_apart, interval_seconds, next_open, shifted
from bot_runtime.feeds.market_history import AFTER, PAGE, MarketHistory
from bot_runtime.feeds.market_source import MarketSource
from bot_runtime.feeds.stream_listener import StreamListener

_log = structlog.get_logger(__name__)
_KEPT_BARS = 1000
_FIRST_BARS = 100
_CHUNK = 500


@dataclass(frozen=True)
class Patience:
    """Seconds. `poll` after a bar's close the venue is asked where no stream stands, `stream` where one does.

    Both are put off by up to `spread`, by chance, or a fleet would ask in one instant. A market is stale when no bar
    came for two intervals and `stale`.
    """

    poll: float = 0.5
    stream: float = 5.0
    spread: float = 1.5
    stale: float = 30.0


class SharedMarket:
    """Must be made in a running event loop; works until `aclose`."""

    def __init__(
        self,
        source: MarketSource,
        *,
        sleep: Sleeper = asyncio.sleep,
        patience: Patience | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.source = source
        self.users = 0
        self.missing = 0
        self.failure: Exception | None = None
        self._interval = source.key.interval
        self._patience = patience or Patience()
        self._sleep = sleep
        self._chance = chance
        self._buffer = BarBuffer(_KEPT_BARS)
        self.history = MarketHistory(source, self._buffer)
        self._arrived: asyncio.Queue[Bar] = asyncio.Queue()
        self._listener = StreamListener(source, self._arrived.put_nowait, sleep)
        self._changed = asyncio.Event()
        self._misses = 0
        self._fresh = Freshness(source, self._patience.stale)
        # In a context of its own: it belongs to no bot, also not to the one that happened to come first.
        self._task = asyncio.create_task(self._run(), context=Context())

    async def newest(self) -> datetime:
        """Return the open time of the newest closed bar. Raise TransientError where the venue does not answer."""
        while True:
            changed = self._changed
            self._raise_failure()
            if self._buffer.newest is not None:
                return self._buffer.newest
            if self._fresh.error:
                raise TransientError(self._fresh.error)
            await changed.wait()

    async def begun(self) -> datetime:
        """Return the open time of the newest closed bar as soon as there is one."""
        while True:
            with suppress(TransientError):
                return await self.newest()
            await self._changed.wait()

    async def after(self, cursor: datetime) -> list[Bar]:
        """Return the next bars later than `cursor`, as soon as there are any."""
        await self.begun()
        failures = 0
        while True:
            changed = self._changed
            self._raise_failure()
            known_from = self._buffer.known_from
            found = self._buffer.after(cursor, _CHUNK)
            if known_from is not None and known_from > next_open(cursor, self._interval):
                try:
                    page = await self.history.page(cursor + AFTER)
                    found = [bar for bar in page if cursor < bar.time < known_from] or found
                except TransientError as error:
                    failures += 1
                    _log.warning("back_fill_failed", market=str(self.source.key), after=str(cursor), error=str(error))
                    await self._sleep(backoff_seconds(failures))
                    continue
            if found:
                return found
            await changed.wait()

    def trouble(self) -> str | None:
        """Return since when no bar came, and why as far as it is known; None where all is well."""
        return self._fresh.trouble(self._buffer.newest)

    async def aclose(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})
        await self.history.aclose()
        await self.source.aclose()

    async def _run(self) -> None:
        listening = None
        try:
            await self._begin()
            listening = asyncio.create_task(self._listener.run())
            await self._follow(listening)
        except Exception as error:  # noqa: BLE001 - it is raised in every reader, whose supervisor knows what to do
            self.failure = error
            self._wake()
        finally:
            if listening is not None:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)

    async def _begin(self) -> None:
        """Read the newest bars, however often it takes."""
        while self._buffer.newest is None:
            try:
                await self.source.connect()
                self._fresh.began()
                found = await self.history.last(self.source.now(), _FIRST_BARS)
                self._fresh.error = "" if found else f"{self.source.key}: the venue has no closed bar"
            except TransientError as error:
                found, self._fresh.error = [], str(error)
            self._took(found)
            if not found:
                self._missed()
                self._wake()  # who waits for the newest bar is told why there is none
                await self._sleep(backoff_seconds(self._misses))

    async def _follow(self, listening: asyncio.Task[None]) -> None:
        while True:
            waiting_for_stream = self._listener.up
            bar = await self._next(self._pause(), listening)
            if bar is None:
                await self._ask(drop_stream=waiting_for_stream and self._listener.up)
            elif self._adjoins(bar):
                self._took([bar])
            elif not self._known(bar):
                await self._ask()
                if self._adjoins(bar):  # the venue's history may lag behind its stream
                    self._took([bar])

    async def _next(self, seconds: float, listening: asyncio.Task[None]) -> Bar | None:
        """Return the next bar of the stream, None when it is time to ask the venue instead."""
        if listening.done():
            listening.result()  # raises what no retry mends; without a stream it has returned
        if not self._arrived.empty():
            return self._arrived.get_nowait()
        arrival = asyncio.ensure_future(self._arrived.get())
        alarm = asyncio.ensure_future(self._sleep(seconds))
        waiting: set[asyncio.Future[object]] = {arrival, alarm}  # type: ignore[arg-type]  # futures are invariant
        if not listening.done():
            waiting.add(listening)  # type: ignore[arg-type]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            return arrival.result() if arrival.done() else None
        finally:
            arrival.cancel()
            alarm.cancel()

    async def _ask(self, *, drop_stream: bool = False) -> None:
        """Ask the venue for every bar since the newest one."""
        before = self._buffer.newest
        try:
            await self._catch_up()
        except TransientError as error:
            self._fresh.error = str(error)
        if self._buffer.newest == before:
            self._missed()
        elif drop_stream:
            self._listener.drop("a bar closed that it did not bring")

    async def _catch_up(self) -> None:
        newest = await self.begun()
        while True:
            wanted = bars_apart(newest, self.source.now(), self._interval) + 2
            bars = await self.history.page(newest + AFTER, max(2, min(PAGE, wanted)))
            self._fresh.answered()
            self._took(bars)
            latest = await self.begun()
            if latest == newest or shifted(latest, self._interval, 2) > self.source.now():
                return
            newest = latest

    def _took(self, bars: list[Bar]) -> None:
        before = self._buffer.newest
        for bar in bars:
            newest = self._buffer.newest
            if self.source.continuous and newest is not None and bar.time > newest:
                self.missing += max(0, bars_apart(newest, bar.time, self._interval) - 1)
            self._buffer.append([bar])
        if self._buffer.newest != before:
            self._misses, self._fresh.error = 0, ""
            self._wake()
        self._fresh.tell(self._buffer.newest)

    def _missed(self) -> None:
        self._misses += 1
        self._fresh.tell(self._buffer.newest)

    def _pause(self) -> float:
        """Seconds until the venue is to be asked for the next bar."""
        now = self.source.now()
        closes = (shifted(self._buffer.newest or now, self._interval, 2) - now).total_seconds()
        if self._misses and closes <= 0:
            most = min(max(60.0, interval_seconds(self._interval) / 20), 900.0)
            return backoff_seconds(self._misses, first=1.0, most=most)
        grace = self._patience.stream if self._listener.up else self._patience.poll
        return max(0.0, closes) + grace + self._patience.spread * self._chance()

    def _known(self, bar: Bar) -> bool:
        return self._buffer.newest is not None and bar.time <= self._buffer.newest

    def _adjoins(self, bar: Bar) -> bool:
        newest = self._buffer.newest
        return newest is not None and newest < bar.time <= next_open(newest, self._interval)

    def _raise_failure(self) -> None:
        if self.failure is not None:
            raise self.failure

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
