"""Keeps a market's stream open: opens it again with back-off and jitter whatever happens. Judges no bar."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import structlog

from bot_core.models.errors import TransientError
from bot_core.store.listen import backoff_seconds
from bot_runtime.domain.bar import Bar
from bot_runtime.feeds.base import Sleeper
from bot_runtime.feeds.market_source import MarketSource

_log = structlog.get_logger(__name__)


class StreamListener:
    """Hands every bar of the stream to `deliver`. `up` is whether a connection stands, or is being made."""

    def __init__(self, source: MarketSource, deliver: Callable[[Bar], None], sleep: Sleeper) -> None:
        self._source = source
        self._deliver = deliver
        self._sleep = sleep
        self._failures = 0
        self._connection: asyncio.Task[None] | None = None
        self._why = ""
        self.up = False

    async def run(self) -> None:
        """Listen until cancelled; return at once where the venue has no stream."""
        while True:
            stream = self._source.stream()
            if stream is None:
                return
            self.up = True
            self._why = "the venue closed it"
            self._connection = asyncio.create_task(self._listen(stream))
            try:
                await asyncio.wait({self._connection})
                self._examine(self._connection)
            finally:
                self.up = False
                await self._close(stream)
            self._failures += 1
            tell = _log.warning if self._failures == 1 else _log.debug  # an outage is told once, not at each attempt
            tell("stream_lost", market=str(self._source.key), reason=self._why, failures=self._failures)
            await self._sleep(backoff_seconds(self._failures))

    def drop(self, why: str) -> None:
        """Give up the connection that stands: a new one is made after a pause."""
        if self._connection is not None and not self._connection.done():
            self._why = why
            self._connection.cancel()

    async def _listen(self, stream: AsyncIterator[Bar]) -> None:
        async for bar in stream:
            self._failures = 0
            self._deliver(bar)

    def _examine(self, connection: asyncio.Task[None]) -> None:
        error = None if connection.cancelled() else connection.exception()
        if isinstance(error, TransientError):
            self._why = str(error)
        elif error is not None:
            raise error

    async def _close(self, stream: AsyncIterator[Bar]) -> None:
        if self._connection is not None:
            self._connection.cancel()
            await asyncio.wait({self._connection})
        aclose = getattr(stream, "aclose", None)
        if aclose is not None:
            with suppress(Exception):  # it is thrown away: what went wrong with it was told above
                await aclose()
