"""The process over HTTP: `/healthz` `/readyz` `/metrics` `/status`. Reads boards and marks; does no work of its own.

Alive means that every loop turned lately, and nothing else: a database that is down makes a process not ready, and
never dead. While the event loop itself is blocked nobody answers; that is told for a while afterwards.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from bot_core.models.errors import FatalError
from bot_runtime.engine.board import FleetBoard, Phase
from bot_runtime.engine.progress import Progress
from bot_runtime.metrics import exposition

#: Seconds after which a bot's loop that stood still turns again, if it ever does: noticed, cancelled, built anew.
_MENDED = 20.0


class HealthServer:
    def __init__(
        self,
        fleet: FleetBoard,
        progress: Progress,
        *,
        unready: Callable[[], str | None],
        host: str,
        port: int,
        stall_seconds: float,
        blocked: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`blocked`: for how many seconds the event loop was blocked lately, 0 where it was not."""
        self._fleet = fleet
        self._progress = progress
        self._unready = unready
        self._host, self._port = host, port
        self._stall_seconds = stall_seconds
        self._blocked = blocked
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port that is listened on; of use where 0 was asked for."""
        addresses = self._runner.addresses if self._runner else []
        return int(addresses[0][1]) if addresses else self._port

    async def start(self) -> None:
        """Raise FatalError where the port is taken."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/status", self._status)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self.aclose()
            raise FatalError(
                f"port {self._port} can't be listened on ({error.strerror}); choose another with --port or PORT"
            ) from error

    async def aclose(self) -> None:
        if self._runner is not None:
            await asyncio.shield(self._runner.cleanup())
            self._runner = None

    async def _healthz(self, _: web.Request) -> web.Response:
        overdue = self._overdue()
        blocked = self._blocked()
        body: dict[str, Any] = {"stalled": {loop: round(age, 1) for loop, age in overdue.items()}}
        body["event_loop_blocked_seconds"] = round(blocked, 1)
        alive = not overdue and not blocked
        return web.json_response({"alive": alive} | body, status=200 if alive else 503)

    def _overdue(self) -> dict[str, float]:
        """A bot's loop has the time in addition in which it is cancelled and built again from inside."""
        overdue = self._progress.overdue(self._stall_seconds)
        bots = {f"bot-{bot_id}" for bot_id in self._fleet.bots}
        return {loop: age for loop, age in overdue.items() if loop not in bots or age > self._stall_seconds + _MENDED}

    async def _readyz(self, _: web.Request) -> web.Response:
        reason = self._unready()
        return web.json_response({"ready": reason is None, "reason": reason}, status=503 if reason else 200)

    async def _metrics(self, _: web.Request) -> web.Response:
        body = await asyncio.to_thread(exposition, self._fleet, self._progress)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _status(self, _: web.Request) -> web.Response:
        boards = sorted(self._fleet.bots.values(), key=lambda board: board.bot_id)
        trades = [
            {"time": line.at.isoformat(), "bot_id": line.bot_id, "symbol": line.symbol, "text": line.text}
            for line in self._fleet.trades
        ]
        summary = {phase.value: sum(board.phase is phase for board in boards) for phase in Phase}
        return web.json_response({"bots": [board.to_json() for board in boards], "by_phase": summary, "trades": trades})
