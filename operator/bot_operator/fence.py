"""What every write passes: leadership by a local clock. It knows no Lease and no API.

The fence closes by itself. A process that was frozen, or that can't renew its Lease, needs to notice nothing: its
first write afterwards is refused, before anybody else may write.
"""

import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.models.errors import TransientError
from bot_core.store.database import Database

#: A row that somebody holds locked is left to the next look, since each wait takes one of a few connections. Where the
#: connection goes through a pooler, only a setting of the transaction itself is sure to arrive.
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '1s'"


class NotLeaderError(TransientError):
    """This process leads no longer, or not yet: nothing was sent."""


def elapsed() -> float:
    """Seconds on a clock that never goes back and, where there is such a one, counts a suspended machine's time too."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class Fence:
    """Closed at first; `open_until` a moment on `clock`."""

    def __init__(self, clock: Callable[[], float] = elapsed) -> None:
        self.clock = clock
        self._until = -math.inf

    @classmethod
    def always_open(cls) -> "Fence":
        """For a process that has no rival."""
        fence = cls()
        fence.open_until(math.inf)
        return fence

    def open_until(self, moment: float) -> None:
        self._until = moment

    def close(self) -> None:
        self._until = -math.inf

    @property
    def seconds_left(self) -> float:
        return self._until - self.clock()

    @property
    def is_open(self) -> bool:
        return self.seconds_left > 0

    def check(self, what: str) -> None:
        """Raise NotLeaderError where this process must not write."""
        if not self.is_open:
            raise NotLeaderError(f"{what}: not sent, since this process does not lead")


class FencedDatabase(Database):
    """The database as only the leader changes it; anybody reads. Leadership that ends meanwhile commits nothing."""

    def __init__(self, url: str, fence: Fence, *, pool_size: int = 5) -> None:
        super().__init__(url, pool_size=pool_size)
        self._fence = fence

    def write(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._fenced(super().write, impatient=not self.is_sqlite)

    def autocommit(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._fenced(super().autocommit)

    @asynccontextmanager
    async def _fenced(
        self, begin: Callable[[], AbstractAsyncContextManager[AsyncConnection]], *, impatient: bool = False
    ) -> AsyncIterator[AsyncConnection]:
        self._fence.check("a change of the tables")
        async with begin() as connection:
            if impatient:
                await connection.exec_driver_sql(_LOCK_TIMEOUT)
            yield connection
            self._fence.check("a change of the tables")
