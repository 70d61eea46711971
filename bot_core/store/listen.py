"""LISTEN for changed rows. A notification only names a bot; whoever hears it reads the row again.

Notifications are hints: after a broken connection some are missing, so every (re)connection says
"look at everything", and the poll of the caller stays the safety net.
"""

import asyncio
import random
import uuid
from collections.abc import Callable
from typing import Any

import psycopg
import structlog
from sqlalchemy.engine import URL

from bot_core.models.errors import FatalError, first_line
from bot_core.store.database import parse_url, postgres_connect_args

CHANNEL = "trading_bots"
PROBE_SECONDS = 30.0
_ECHO_SECONDS = 5.0
_DEAF = (
    "a pooler stands between that delivers no notifications: changes are seen by polling only;"
    " set DATABASE_LISTEN_URL to the server itself"
)
_log = structlog.get_logger(__name__)


def listen_url(text: str, usual: URL) -> URL:
    """Where to LISTEN: DATABASE_LISTEN_URL, a way to the same database past a pooler, or where it is empty the usual.

    Raises FatalError.
    """
    try:
        return parse_url(text) if text else usual
    except FatalError as error:
        raise FatalError(str(error).replace("DATABASE_URL", "DATABASE_LISTEN_URL")) from None


class Listener:
    """Calls `wake(bot_id)` for each notification, and `wake(None)` after each (re)connection."""

    def __init__(self, url: URL, wake: Callable[[int | None], None], *, probe_seconds: float = PROBE_SECONDS) -> None:
        self._url = url
        self._wake = wake
        self._probe_seconds = probe_seconds
        self._deaf = False  # told once

    async def run(self) -> None:
        """Listen until cancelled; reconnect with back-off and jitter whatever happens."""
        failures = 0
        while True:
            try:
                async with await self._connect() as connection:
                    failures = 0
                    self._wake(None)
                    await self._tell_if_deaf(connection)
                    await self._listen(connection)
            except Exception as error:  # noqa: BLE001  # whatever it was: polling serves meanwhile
                failures += 1
                _log.warning("listen_lost", error=first_line(error), retry=failures)
            await asyncio.sleep(backoff_seconds(failures))

    async def _open(self) -> psycopg.AsyncConnection[Any]:
        dsn = self._url.set(drivername="postgresql").difference_update_query(["options"])
        return await psycopg.AsyncConnection.connect(
            dsn.render_as_string(hide_password=False), autocommit=True, **postgres_connect_args(self._url)
        )

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        connection = await self._open()
        try:
            await connection.execute(f'LISTEN "{CHANNEL}"')
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _tell_if_deaf(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """A pooler in transaction mode takes LISTEN and delivers nothing: say so, once; polling serves all the same."""
        cursor = await connection.execute("SELECT pg_backend_pid()")
        found = await cursor.fetchone()
        if found is not None and found[0] == connection.info.backend_pid:
            return  # the server itself
        echo = f"tradingbot_echo_{uuid.uuid4().hex}"
        await connection.execute(f'LISTEN "{echo}"')
        async with await self._open() as other:
            await other.execute("SELECT pg_notify(%s, '')", (echo,))
        heard = False
        async for notification in connection.notifies(timeout=_ECHO_SECONDS):
            if notification.channel == echo:
                heard = True
                break
            self._heard(notification)
        await connection.execute(f'UNLISTEN "{echo}"')
        if not heard and not self._deaf:
            _log.warning("listen_in_vain", advice=_DEAF)
        self._deaf = not heard

    async def _listen(self, connection: psycopg.AsyncConnection[Any]) -> None:
        while True:
            async for notification in connection.notifies(timeout=self._probe_seconds):
                self._heard(notification)
            # Silence may be a dead connection: a statement that must answer tells.
            async with asyncio.timeout(10):
                await connection.execute("SELECT 1")

    def _heard(self, notification: psycopg.Notify) -> None:
        self._wake(int(notification.payload) if notification.payload.isdecimal() else None)


def backoff_seconds(failures: int, *, first: float = 0.5, most: float = 30.0) -> float:
    """Exponential back-off with full jitter above half: 0.5, 1, 2 … 30 s, times 0.5 to 1."""
    growth: float = 2.0 ** min(max(failures - 1, 0), 16)
    return min(most, first * growth) * random.uniform(0.5, 1.0)  # noqa: S311
