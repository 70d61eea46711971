"""What the service manager (systemd) is told: ready, state in a line, alive, stopping. Runs beside the bots.

READY is sent once the rows were read. A database that is away does not put it off: READY says that the service is up,
watches the table and answers probes, and a manager that waits for more than that would kill a process that has nothing
wrong (`TimeoutStartSec`). STATUS says that the database is waited for.

WATCHDOG is sent only while `Liveness` says alive, which is what /healthz answers. While the event loop is blocked this
does not run at all, which is as it should be.
"""

import asyncio
import os
from collections.abc import Callable

import structlog

from bot_runtime.companions import Companion, pause
from bot_runtime.engine.board import FleetBoard
from bot_runtime.liveness import Liveness
from bot_runtime.system.notify import NotifySocket, watchdog_seconds
from bot_runtime.system.summary import bots_in_words

_log = structlog.get_logger(__name__)
_LOOK_SECONDS = 1.0
#: Until READY, for which others wait.
_FIRST_LOOK_SECONDS = 0.1
#: A first read that takes longer is a database that is waited for.
_FIRST_READ_SECONDS = 10.0
#: Each look while draining asks for so much more time, since how long a drain may take is a setting of the process.
_EXTENSION_SECONDS = 15


#: What is told as long as no read has come to an end.
STARTING = "starting"


class ServiceManagerLink:
    """A companion. `unread`: why rows can't be read now, or None. `stopping`: the runner drains."""

    name = "service-manager"

    def __init__(
        self,
        manager: NotifySocket,
        fleet: FleetBoard,
        liveness: Liveness,
        unread: Callable[[], str | None],
        stopping: Callable[[], bool],
        *,
        watchdog: float | None = None,
    ) -> None:
        self._manager = manager
        self._fleet = fleet
        self._liveness = liveness
        self._unread = unread
        self._stopping = stopping
        self._watchdog = watchdog
        self._look_seconds = _LOOK_SECONDS if watchdog is None else min(_LOOK_SECONDS, watchdog / 3)
        self._ready = self._withheld = self._told_stopping = False
        self._status = ""
        self._next_sign = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        clock = asyncio.get_running_loop().time
        started = clock()
        while not stop.is_set():
            self._look(clock(), waited=clock() - started)
            await pause(stop, self._look_seconds if self._ready else _FIRST_LOOK_SECONDS)
        if self._stopping():
            self._tell_stopping()

    def _look(self, now: float, *, waited: float) -> None:
        verdict = self._liveness.verdict()
        if self._stopping():
            self._tell_stopping()
        elif not self._ready and (self._unread() != STARTING or waited >= _FIRST_READ_SECONDS):
            self._ready = self._manager.send(READY=1, MAINPID=os.getpid())
        self._tell_status(self._in_words() if verdict.alive else f"not alive: {verdict}")
        if self._watchdog is not None and now >= self._next_sign:
            if verdict.alive and self._manager.send(WATCHDOG=1):
                self._next_sign = now + self._watchdog / 3
            if self._withheld is verdict.alive:
                _log.warning("watchdog_signs", given=verdict.alive, reason=str(verdict))
                self._withheld = not verdict.alive

    def _tell_stopping(self) -> None:
        if not self._told_stopping:
            self._told_stopping = self._manager.send(STOPPING=1)
        self._manager.send(EXTEND_TIMEOUT_USEC=_EXTENSION_SECONDS * 1_000_000)

    def _tell_status(self, status: str) -> None:
        if status != self._status and self._manager.send(STATUS=status):
            self._status = status

    def _in_words(self) -> str:
        unread = self._unread()
        text = f"{bots_in_words(self._fleet)}; {'database answers' if unread is None else f'waits: {unread}'}"
        return f"stopping: {text}" if self._stopping() else text


def service_manager_links(
    fleet: FleetBoard, liveness: Liveness, unread: Callable[[], str | None], stopping: Callable[[], bool]
) -> list[Companion]:
    """The link to the service manager that started this process; none where none did."""
    manager = NotifySocket.from_environment()
    if manager is None:
        return []
    return [ServiceManagerLink(manager, fleet, liveness, unread, stopping, watchdog=watchdog_seconds())]
