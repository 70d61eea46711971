"""LISTEN for changed rows. A notification only names a bot; whoever hears it reads the row again.

Notifications are hints: after a broken connection some are missing, so every (re)connection says
"look at everything", and the poll of the caller stays the safety net.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import psycopg
import structlog
from sqlalchemy.engine import URL

from bot_core.models.errors import first_line
from bot_core.store.database import postgres_connect_args

CHANNEL = "trading_bots"
PROBE_SECONDS = 30.0
_log = structlog.get_logger(__name__)


class Listener:
    """Calls `wake(bot_id)` for each notification, and `wake(None)` after each (re)connection."""

    def __init__(self, url: URL, wake: Callable[[int | None], None], *, probe_seconds: float = PROBE_SECONDS) -> None:
        self._url = url
        self._wake = wake
        self._probe_seconds = probe_seconds

    async def run(self) -> None:
        """Listen until cancelled; reconnect with back-off and jitter whatever happens."""
        failures = 0
        while True:
            try:
                async with await self._connect() as connection:
                    failures = 0
                    self._wake(None)
                    await self._listen(connection)
            except Exception as error:  # noqa: BLE001  # whatever it was: polling serves meanwhile
                failures += 1
                _log.warning("listen_lost", error=first_line(error), retry=failures)
            await asyncio.sleep(backoff_seconds(failures))

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        dsn = self._url.set(drivername="postgresql").difference_update_query(["options"])
        connection = await psycopg.AsyncConnection.connect(
            dsn.render_as_string(hide_password=False), autocommit=True, **postgres_connect_args(self._url)
        )
        await connection.execute(f'LISTEN "{CHANNEL}"')
        return connection

    async def _listen(self, connection: psycopg.AsyncConnection[Any]) -> None:
        while True:
            async for notification in connection.notifies(timeout=self._probe_seconds):
                self._wake(int(notification.payload) if notification.payload.isdecimal() else None)
            # Silence may be a dead connection: a statement that must answer tells.
            async with asyncio.timeout(10):
                await connection.execute("SELECT 1")


def backoff_seconds(failures: int, *, first: float = 0.5, most: float = 30.0) -> float:
    """Exponential back-off with full jitter above half: 0.5, 1, 2 … 30 s, times 0.5 to 1."""
    growth: float = 2.0 ** min(max(failures - 1, 0), 16)
    return min(most, first * growth) * random.uniform(0.5, 1.0)  # noqa: S311
