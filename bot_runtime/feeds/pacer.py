"""One rate limiter: requests of all markets of a venue leave one after the other, with a least distance."""

import asyncio

from bot_runtime.feeds.base import Sleeper


class Pacer:
    """`await turn()` before each request; whoever comes first goes first."""

    def __init__(self, seconds: float, sleep: Sleeper = asyncio.sleep) -> None:
        self._seconds = seconds
        self._sleep = sleep
        self._free_at = 0.0

    async def turn(self) -> None:
        """Return when the next request may leave."""
        now = asyncio.get_running_loop().time()
        start = max(now, self._free_at)
        self._free_at = start + self._seconds
        if start > now:
            await self._sleep(start - now)

    def hold(self, seconds: float) -> None:
        """Let no request leave for so long: the venue asked for it."""
        self._free_at = max(self._free_at, asyncio.get_running_loop().time() + seconds)
