"""The port of feeds: where bars come from. A feed delivers closed bars in order; it never decides or repeats one.

One clock: a bot's time on bars of the past is the time of its bars.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Protocol, TypeAlias

from bot_core.models.problem import Notice
from bot_runtime.domain.bar import Bar

# All waiting of a feed goes through one of these: tests put a clock of their own in its place.
Sleeper: TypeAlias = Callable[[float], Awaitable[None]]


class PastFeed:
    """What feeds of bars of the past have in common: a bot begins at the first bar, and none is ever late."""

    live = False

    async def newest(self) -> datetime | None:
        return None

    def trouble(self) -> str | None:
        return None


class Feed(Protocol):
    """Duties beside what the signatures say.

    `history` and `newest`, one of which is asked before any bar, raise InvalidBotError for data that no retry mends and
    TransientError for what one may. `bars` goes on after any bar that it has delivered before, ends when the data does,
    and may be cancelled in every wait.
    """

    @property
    def interval_seconds(self) -> int: ...
    @property
    def finite(self) -> bool:
        """Return whether `bars` ends by itself."""
        ...

    @property
    def live(self) -> bool:
        """Return whether the bars are of now: a bar that closed long ago is late, and no order is sent on it."""
        ...

    @property
    def notices(self) -> tuple[Notice, ...]:
        """Return what is odd about the data read so far."""
        ...

    def history_capacity(self, warmup: int) -> int | None:
        """Return the capacity of the history for rules that need `warmup` bars; None to keep every bar."""
        ...

    async def newest(self) -> datetime | None:
        """Return the open time of the newest closed bar where a new bot begins after it; None: at the first bar."""
        ...

    async def history(self, until: datetime, limit: int | None) -> list[Bar]:
        """Return the last `limit` (None: all) closed bars with time <= `until`, oldest first."""
        ...

    def bars(self, after: datetime | None) -> AsyncIterator[Bar]:
        """Deliver every bar with time > `after` (None: from the first), in order, at the feed's pace."""
        ...

    def trouble(self) -> str | None:
        """Return what is wrong with the data right now, such as a feed that is stale; None where all is well."""
        ...

    async def aclose(self) -> None: ...


class Pace:
    """Waits between bars. Yields to the event loop even where no time is to pass."""

    def __init__(self, seconds: float, sleep: Sleeper = asyncio.sleep) -> None:
        self._seconds = seconds
        self._sleep = sleep
        self._first = True

    async def next_bar(self) -> None:
        """Return when the next bar is due; the first one is due at once."""
        await self._sleep(0 if self._first else self._seconds)
        self._first = False
