"""NOTIFY, the poll and cluster events become "look at bot 7" or "look at everything". It reads nothing itself."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from bot_core.store.listen import backoff_seconds

_log = structlog.get_logger(__name__)


class Looks(Protocol):
    """The look at all bots that the watcher calls for."""

    async def everything(self) -> bool: ...


class Watcher:
    """`project` is called each `status_seconds`, by itself.

    `listen` runs for ever and calls `wake`; None where the database has no NOTIFY.
    """

    def __init__(
        self,
        looks: Looks,
        add: Callable[[int], None],
        *,
        poll_seconds: float,
        status_seconds: float,
        project: Callable[[], Awaitable[None]],
        listen: Callable[[Callable[[int | None], None]], Awaitable[None]] | None = None,
    ) -> None:
        self._looks = looks
        self._add = add
        self._poll_seconds = poll_seconds
        self._status_seconds = status_seconds
        self._project = project
        self._listen = listen
        self._resync = asyncio.Event()

    def wake(self, bot_id: int | None) -> None:
        """A hint that a bot, or with None anything, may have changed."""
        if bot_id is None:
            self._resync.set()
        else:
            self._add(bot_id)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._poll())
            group.create_task(self._tick())
            if self._listen is not None:
                group.create_task(_forever(self._listen, self.wake))

    async def _poll(self) -> None:
        failures = 0
        while True:
            self._resync.clear()
            failures = 0 if await self._swept() else failures + 1
            pause = min(backoff_seconds(failures), self._poll_seconds) if failures else self._poll_seconds
            try:
                async with asyncio.timeout(pause):
                    await self._resync.wait()
            except TimeoutError:
                continue

    async def _swept(self) -> bool:
        try:
            return await self._looks.everything()
        except Exception:  # noqa: BLE001  # a bug, or a row that can't even be read: the next sweep tries again
            _log.error("sweep_failed", exc_info=True)
            return False

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._status_seconds)
            try:
                await self._project()
            except Exception:  # noqa: BLE001  # as above
                _log.error("figures_failed", exc_info=True)


async def _forever(
    listen: Callable[[Callable[[int | None], None]], Awaitable[None]], wake: Callable[[int | None], None]
) -> None:
    await listen(wake)
