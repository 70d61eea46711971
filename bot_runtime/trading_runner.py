"""The life of the process: wait for the database, run the bots, stop them in order when asked to.

It owns signals, the HTTP server and the listener; what runs is the StrategyManager's matter.
"""

import asyncio
import signal
from contextlib import suppress

import structlog

from bot_core.store.listen import Listener
from bot_runtime.engine.board import Phase
from bot_runtime.engine.bot_instance import Surroundings
from bot_runtime.health import HealthServer
from bot_runtime.settings import Settings
from bot_runtime.strategy_manager import StrategyManager

_log = structlog.get_logger(__name__)


class TradingRunner:
    def __init__(self, settings: Settings, around: Surroundings, manager: StrategyManager) -> None:
        self._settings = settings
        self._around = around
        self._manager = manager
        self.stop = asyncio.Event()
        self.health = HealthServer(
            around.fleet,
            around.progress,
            unready=self.unready,
            host=settings.host,
            port=settings.port,
            stall_seconds=settings.stall_seconds,
        )

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT, then drain. A second signal ends the process at once."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)
        await self.health.start()
        _log.info("serving", database=self._around.database.safe_url, port=self.health.port)
        listening = asyncio.create_task(self._listen())
        try:
            await self._manager.run(self.stop)
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening
            await self._manager.shutdown()
            await self.health.aclose()
            await self._around.database.aclose()
            _log.info("stopped")

    def unready(self) -> str | None:
        """Why this process should not be counted on now, or None."""
        if self.stop.is_set():
            return "stopping"
        if not self._manager.reading:
            return "the database does not answer" if self._manager.read_failures else "starting"
        waiting = [
            board for board in self._around.fleet.bots.values() if board.phase in {Phase.STARTING, Phase.WAITING}
        ]
        waiting += [board for board in self._around.fleet.bots.values() if board.message.startswith("the database")]
        if waiting:
            return f"bot {waiting[0].bot_id}: {waiting[0].message or waiting[0].phase}"
        return None

    async def _listen(self) -> None:
        if not self._around.database.is_sqlite:
            await Listener(self._around.database.url, self._manager.wake).run()

    def _signalled(self, number: signal.Signals) -> None:
        if self.stop.is_set():
            _log.warning("second_signal", signal=number.name, message="leaving without draining")
            raise SystemExit(1)
        _log.info("signalled", signal=number.name, bots=self._manager.running)
        self.stop.set()
