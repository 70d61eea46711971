"""What runs beside the bots of a process: delivery of messages, figures, the watch over resources, the service manager.

A companion that fails is started again with back-off and says so. It never ends the process, and no bot notices.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from bot_core.logs import masked
from bot_core.models.errors import first_line
from bot_core.store.listen import backoff_seconds

_log = structlog.get_logger(__name__)
#: A companion that ran for so long before it failed begins its back-off anew.
_HEALTHY_SECONDS = 60.0
_CLOSE_SECONDS = 5.0


class Companion(Protocol):
    """Runs until `stop` is set, then lets go of what it holds. Whatever it raises is logged, and it is run again."""

    @property
    def name(self) -> str:
        """What it is called in the log."""
        ...

    async def run(self, stop: asyncio.Event) -> None: ...


@dataclass
class _State:
    """How one companion is, for people who look."""

    name: str
    state: str = "not started"
    failures: int = 0
    error: str | None = None


class Companions:
    """`start` inside the loop; `aclose` sets them off and waits a few seconds for them."""

    def __init__(self, companions: Sequence[Companion]) -> None:
        self._companions = list(companions)
        self._states = [_State(one.name) for one in companions]
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def add(self, *companions: Companion) -> None:
        """Before `start`."""
        self._companions.extend(companions)
        self._states.extend(_State(one.name) for one in companions)

    def start(self) -> None:
        pairs = zip(self._companions, self._states, strict=True)
        self._tasks = [asyncio.create_task(self._supervise(one, state), name=one.name) for one, state in pairs]

    def to_json(self) -> list[dict[str, Any]]:
        """Each one's name, state (`running`, `failed`, `ended`), failures in a row and last error."""
        return [vars(state).copy() for state in self._states]

    async def aclose(self) -> None:
        self._stop.set()
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=_CLOSE_SECONDS)
        for task in late:
            task.cancel()
        if late:
            _log.warning("companions_cut_short", names=sorted(task.get_name() for task in late))
            await asyncio.wait(late, timeout=_CLOSE_SECONDS)

    async def _supervise(self, companion: Companion, told: _State) -> None:
        clock = asyncio.get_running_loop().time
        failures = 0
        while not self._stop.is_set():
            started = clock()
            told.state = "running"
            try:
                await companion.run(self._stop)
            except Exception as error:  # noqa: BLE001  # whatever it was, the bots go on
                failures = 1 if clock() - started > _HEALTHY_SECONDS else failures + 1
                _log.error("companion_failed", name=companion.name, error=str(error), retry=failures, exc_info=error)
                told.state, told.failures, told.error = "failed", failures, masked(first_line(error))
                await pause(self._stop, backoff_seconds(failures))
            else:
                told.state = "ended"
                return


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until `stop` is set."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
