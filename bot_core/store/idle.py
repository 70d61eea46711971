"""Connections that nobody uses are closed: what a fleet of processes that each ask rarely costs the server.

The pool opens another one when it is asked for it. Must not touch a connection that is in use.
"""

import asyncio
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util.concurrency import greenlet_spawn


class IdleConnections:
    """Closes each connection of an engine's pool `seconds` after it came back, unless it was wanted again."""

    def __init__(self, engine: AsyncEngine, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[ConnectionPoolEntry, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None
        event.listen(engine.sync_engine, "checkin", self._came_back)
        event.listen(engine.sync_engine, "checkout", lambda _connection, entry, _proxy: self._forget(entry))
        event.listen(engine.sync_engine, "close", lambda _connection, entry: self._forget(entry))

    async def aclose(self) -> None:
        """Close nothing more. The pool's own end closes what is left."""
        if self._timer is not None:
            self._timer.cancel()
        if self._closing is not None:
            await asyncio.wait({self._closing})

    def _came_back(self, connection: Any, entry: ConnectionPoolEntry) -> None:
        if connection is None:
            return
        loop = asyncio.get_running_loop()
        self._since[entry] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._look)

    def _forget(self, entry: ConnectionPoolEntry) -> None:
        self._since.pop(entry, None)

    def _look(self) -> None:
        self._closing = asyncio.get_running_loop().create_task(self._close_idle())

    async def _close_idle(self) -> None:
        loop = asyncio.get_running_loop()
        while (idle := self._longest()) is not None and self._since[idle] + self._seconds <= loop.time():
            self._forget(idle)
            await greenlet_spawn(idle.close)
        idle = self._longest()
        self._timer = None if idle is None else loop.call_at(self._since[idle] + self._seconds, self._look)

    def _longest(self) -> ConnectionPoolEntry | None:
        return min(self._since, key=self._since.__getitem__, default=None)
