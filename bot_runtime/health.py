"""The process over HTTP: `/healthz` `/readyz` `/metrics` `/status`. Reads boards and marks; does no work of its own.

Alive means that every loop turned lately, and nothing else: a database that is down makes a process not ready, and
never dead. While the event loop itself is blocked nobody answers; that is told for a while afterwards.
Who may read what is `http_access`'s matter.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from bot_core.logs import cleaned
from bot_core.models.errors import FatalError
from bot_runtime.engine.board import FleetBoard, Phase
from bot_runtime.engine.progress import Progress
from bot_runtime.http_access import Access, bare_headers, is_local
from bot_runtime.liveness import Liveness
from bot_runtime.metrics import exposition


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
        token: str = "",
        facts: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        """`blocked`: for how many seconds the event loop was blocked lately, 0 where it was not.

        `token` opens `/status`, `/metrics` and the reasons of the probes; empty: they are open. `facts` are what
        `/status` says of the process.
        """
        self._fleet = fleet
        self._progress = progress
        self._unready = unready
        self._host, self._port = host, port
        self.liveness = Liveness(fleet, progress, stall_seconds=stall_seconds, blocked=blocked)
        self._access = Access(token, local=is_local(host))
        self._facts = facts
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port that is listened on; of use where 0 was asked for."""
        addresses = self._runner.addresses if self._runner else []
        return int(addresses[0][1]) if addresses else self._port

    async def start(self) -> None:
        """Raise FatalError where the port is taken."""
        app = web.Application(middlewares=[self._access.middleware()])
        app.on_response_prepare.append(bare_headers)
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
                f"port {self._port} can't be listened on ({error.strerror}); choose another with --port or PORT,"
                " another address with --host or HOST"
            ) from error

    async def aclose(self) -> None:
        if self._runner is not None:
            await asyncio.shield(self._runner.cleanup())
            self._runner = None

    async def _healthz(self, request: web.Request) -> web.Response:
        verdict = self.liveness.verdict()
        body: dict[str, Any] = {"stalled": {loop: round(age, 1) for loop, age in verdict.stalled.items()}}
        body["event_loop_blocked_seconds"] = round(verdict.blocked_seconds, 1)
        told = {"alive": verdict.alive} | (body if self._access.knows(request) else {})
        return web.json_response(told, status=200 if verdict.alive else 503)

    async def _readyz(self, request: web.Request) -> web.Response:
        reason = self._unready()
        told = {"ready": reason is None} | (cleaned({"reason": reason}) if self._access.knows(request) else {})
        return web.json_response(told, status=503 if reason else 200)

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
        bots = {"bots": [board.to_json() for board in boards], "by_phase": summary, "trades": trades}
        return web.json_response(cleaned({**self._facts(), **bots}))
