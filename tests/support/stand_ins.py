"""Receivers of messages that tests stand in for: real servers in a thread of their own, with outages on demand."""

import asyncio
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from aiohttp import web

from support.postgres import free_port


class Mode(Enum):
    """What happens to the next requests."""

    FINE = auto()
    HANG = auto()  # taken by the socket, never answered, never accepted
    BROKEN = auto()  # 500, or 451 of SMTP: the server says that it did nothing
    BUSY = auto()  # 429 with a time to wait
    REJECT = auto()
    ACCEPT_THEN_DROP = auto()
    ACCEPT_THEN_HANG = auto()


@dataclass
class Arrived:
    """One message that the receiver has accepted."""

    target: str
    text: str
    title: str = ""
    identity: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def repeated(self) -> bool:
        return "(repeated: it is not known whether this arrived before)" in self.text


class LoopThread:
    """An event loop beside the test's own, since a test may wait without turning its loop."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def close(self) -> None:
        self.do(self._cancel_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

    async def _cancel_all(self) -> None:
        await asyncio.sleep(0.02)  # a connection that was just accepted leaks if its task never begins
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(10):  # what was aborted closes its socket in a later turn
            await asyncio.sleep(0)


class HttpStandIn:
    """An HTTP service at a random port. `mode` may change at any time; `refuse` closes the port, `answer` opens it.

    `listen` is 0.0.0.0 where pods are to reach it.
    """

    def __init__(self, listen: str = "127.0.0.1") -> None:
        self.port = free_port()
        self._listen = listen
        self.mode = Mode.FINE
        self.retry_after = 1
        self.arrived: list[Arrived] = []
        self.requests = 0
        self._thread = LoopThread()
        self._runner: web.AppRunner | None = None
        self.answer()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add_routes(self, app: web.Application) -> None:
        raise NotImplementedError

    def answer(self) -> None:
        self._thread.do(self._start())

    def refuse(self) -> None:
        self._thread.do(self._stop())

    def close(self) -> None:
        self.refuse()
        self._thread.close()

    async def _start(self) -> None:
        app = web.Application()
        self.add_routes(app)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._listen, self.port, reuse_address=True).start()

    async def _stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def outage(self, request: web.Request, accept: Callable[[], Any]) -> web.Response | None:
        """Do what the mode says; None where the request is to be answered as usual."""
        self.requests += 1
        match self.mode:
            case Mode.FINE:
                return None
            case Mode.HANG:
                await asyncio.sleep(3600)
            case Mode.BROKEN:
                return self.broken()
            case Mode.BUSY:
                return self.busy()
            case Mode.REJECT:
                return self.rejected()
            case Mode.ACCEPT_THEN_DROP:
                accept()
                assert request.transport is not None
                request.transport.abort()  # type: ignore[attr-defined]
                await asyncio.sleep(3600)
            case Mode.ACCEPT_THEN_HANG:
                accept()
                await asyncio.sleep(3600)
        return None

    def broken(self) -> web.Response:
        return web.json_response({"ok": False}, status=500)

    def busy(self) -> web.Response:
        return web.json_response({"ok": False}, status=429, headers={"Retry-After": str(self.retry_after)})

    def rejected(self) -> web.Response:
        return web.json_response({"ok": False}, status=400)


class WebhookReceiver(HttpStandIn):
    """Checks the signature as docs/notifications.md tells receivers to."""

    secret = "webhook-signing-secret"

    def add_routes(self, app: web.Application) -> None:
        app.router.add_route("HEAD", "/{path:.*}", self._head)
        app.router.add_post("/{path:.*}", self._take)

    async def _head(self, _: web.Request) -> web.Response:
        if self.mode is Mode.HANG:
            await asyncio.sleep(3600)
        return web.Response(status=500 if self.mode is Mode.BROKEN else 405)

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        document = json.loads(body)
        headers = dict(request.headers)

        def accept() -> None:
            text = document["text"]
            self.arrived.append(Arrived(request.path, text, document["title"], headers["Idempotency-Key"], headers))

        timestamp, sent = headers.get("X-Tradingbot-Timestamp", ""), headers.get("X-Tradingbot-Signature", "")
        wanted = hmac.new(self.secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(sent, f"v1={wanted}"):
            return web.Response(status=401)
        answer = await self.outage(request, accept)
        if answer is None:
            accept()
        return answer or web.Response(status=204, headers={"X-Request-Id": "r-1"})


class BlackHole:
    """Accepts connections and never says a word."""

    def __init__(self) -> None:
        self.port = free_port()
        self.connections = 0
        self._thread = LoopThread()
        self._server = self._thread.do(self._start())

    async def _start(self) -> asyncio.Server:
        return await asyncio.start_server(self._swallow, "127.0.0.1", self.port)

    async def _swallow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(OSError, asyncio.CancelledError):
            while await reader.read(4096):
                pass
        writer.close()

    def close(self) -> None:
        self._thread.loop.call_soon_threadsafe(self._server.close)
        self._thread.close()
