"""The life of the process: wait for the database, run the bots, stop them in order when asked to.

It owns signals, the HTTP server and the listener; what runs is the StrategyManager's matter.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

import structlog

from bot_core.store.listen import Listener, listen_url
from bot_runtime.companions import Companion, Companions
from bot_runtime.engine.assembly import Surroundings
from bot_runtime.engine.board import Phase
from bot_runtime.health import HealthServer
from bot_runtime.process_status import ProcessStatus
from bot_runtime.settings import Settings
from bot_runtime.strategy_manager import StrategyManager
from bot_runtime.system.stop_signals import on_stop_signals
from bot_runtime.watchdog import Watchdog

_log = structlog.get_logger(__name__)
_NOT_YET = frozenset({Phase.STARTING, Phase.WAITING})
_CLOSE_SECONDS = 3.0


class TradingRunner:
    def __init__(
        self,
        settings: Settings,
        around: Surroundings,
        manager: StrategyManager,
        companions: Sequence[Companion] = (),
    ) -> None:
        self._settings = settings
        self._around = around
        self._listen_to = listen_url(settings.listen_url, around.database.url)
        self._manager = manager
        self.companions = Companions(companions)
        self.stop = asyncio.Event()
        self.watchdog = Watchdog(settings.stall_seconds, exit_when_blocked=settings.exit_when_blocked)
        status = ProcessStatus(
            rows=manager.rows, brokers=around.brokers, companions=self.companions, unready=self.unready
        )
        around.fleet.process.blocked = lambda: self.watchdog.lately_blocked_seconds
        self.health = HealthServer(
            around.fleet,
            around.progress,
            unready=self.unready,
            host=settings.host,
            port=settings.port,
            stall_seconds=settings.stall_seconds,
            blocked=lambda: self.watchdog.lately_blocked_seconds,
            token=settings.http_token,
            facts=status.to_json,
        )

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT, then drain. A second signal ends the process at once."""
        on_stop_signals(self._signalled)
        await self.health.start()
        self.watchdog.start()
        self.companions.start()
        _log.info("serving", database=self._around.database.safe_url, port=self.health.port)
        listening = asyncio.create_task(self._listen())
        async with AsyncExitStack() as cleanup:
            cleanup.callback(_log.info, "stopped")
            cleanup.callback(self.watchdog.stop)
            cleanup.push_async_callback(_within, _CLOSE_SECONDS, self._around.database.aclose)
            cleanup.push_async_callback(self.companions.aclose)
            cleanup.push_async_callback(self._around.brokers.aclose)
            cleanup.push_async_callback(self.health.aclose)
            cleanup.push_async_callback(self._manager.shutdown)
            cleanup.push_async_callback(_ended, listening)
            await self._manager.run(self.stop)

    def unready(self) -> str | None:
        """Why this process should not be counted on now, or None."""
        if self.stop.is_set():
            return "stopping"
        if self._manager.rows.reason is not None:
            return self._manager.rows.reason
        for board in self._around.fleet.bots.values():
            if board.phase in _NOT_YET or (board.phase is Phase.RUNNING and board.database_away):
                return f"bot {board.bot_id}: {board.shown_message or board.phase}"
            trouble = board.venue_trouble or board.feed_trouble
            if board.phase is Phase.RUNNING and trouble:
                return f"bot {board.bot_id}: {trouble}"
        return None

    async def _listen(self) -> None:
        """Not where connections are to be few: each bot's heartbeat tells of changes as well, only later."""
        settings = self._settings
        if not self._around.database.is_sqlite and (settings.listen_url or not settings.idle_seconds):
            await Listener(self._listen_to, self._manager.wake).run()

    def _signalled(self, number: signal.Signals) -> None:
        if self.stop.is_set():
            _log.warning("second_signal", signal=number.name, message="leaving without draining")
            os._exit(1)  # at once, whatever a database that hangs would have us wait for; the tables know how to go on
        _log.info("signalled", signal=number.name, bots=self._manager.running)
        self.stop.set()


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled() and task.exception() is not None:
        _log.error("listener_died", error=str(task.exception()))


async def _within(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Do it, unless it takes longer: connections to a server that hangs end with the process anyway."""
    try:
        async with asyncio.timeout(seconds):
            await work()
    except TimeoutError:
        _log.warning("not_closed_in_time", seconds=seconds)
