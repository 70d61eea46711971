"""A proxy before a real API server that breaks what a test names: answers, hangs, broken connections, cut streams.

It speaks plain HTTP to the operator and TLS, with the test's own credentials, to the server. It notes every request.
"""

import asyncio
import base64
import json
import ssl
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

HANG = "hang"
RESET = "reset"


@dataclass(frozen=True)
class Fault:
    """`kind` is HANG or RESET; without one the answer is `status`, said as the API server says it."""

    kind: str = ""
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    at: float
    method: str
    path: str
    query: Mapping[str, str]
    token: str = ""

    @property
    def writes(self) -> bool:
        """A change of anything but a Lease."""
        return self.method != "GET" and "/leases" not in self.path

    @property
    def watches(self) -> bool:
        return self.query.get("watch") == "true"


Rule = Callable[[Request], Fault | None]


class ApiProxy:
    """`async with ApiProxy(kubeconfig) as proxy`; `proxy.rule` decides what breaks."""

    def __init__(self, kubeconfig: Path) -> None:
        self._server, self._tls = _way_to(kubeconfig)
        self.rule: Rule = lambda _request: None
        self.requests: list[Request] = []
        self.port = 0
        self._streams: set[web.StreamResponse] = set()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> "ApiProxy":
        self._client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._tls, limit=0))
        application = web.Application(client_max_size=2**24)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()
        await self._client.close()

    async def listen(self) -> None:
        """Answer, on the same port as before."""
        assert self._runner is not None
        self._site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await self._site.start()
        self.port = int(self._runner.addresses[0][1])

    async def vanish(self) -> None:
        """Be as an API server that restarts: no port, and every connection broken."""
        await self._site.stop()
        self.break_connections()

    def break_connections(self) -> None:
        assert self._runner is not None
        assert self._runner.server is not None
        for connection in self._runner.server.connections:
            if connection.transport is not None:
                connection.transport.abort()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def kubeconfig(self, path: Path, token: str = "any") -> Path:
        """Write a kubeconfig that leads here."""
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": {"server": self.url}}],
            "users": [{"name": "operator", "user": {"token": token}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "operator"}}],
            "current-context": "proxy",
        }
        path.write_text(json.dumps(document))
        return path

    def writes(self, since: float = 0.0) -> list[Request]:
        return [request for request in self.requests if request.writes and request.at >= since]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        now = asyncio.get_running_loop().time()
        noted = Request(now, request.method, request.path, dict(request.query), token)
        self.requests.append(noted)
        match self.rule(noted):
            case None:
                return await self._pass_on(request)
            case Fault(kind="hang"):
                await asyncio.Event().wait()
            case Fault(kind="reset"):
                assert request.transport is not None
                request.transport.abort()
            case fault:
                return web.json_response(_status(fault.status), status=fault.status, headers=fault.headers)
        return web.Response()

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        headers = {k: v for k, v in request.headers.items() if k in {"Content-Type", "Accept"}}
        body = await request.read()
        timeout = aiohttp.ClientTimeout(total=None)
        url = f"{self._server}{request.raw_path}"
        async with self._client.request(
            request.method, url, headers=headers, data=body or None, timeout=timeout
        ) as answer:
            said = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
            await said.prepare(request)
            async for chunk in answer.content.iter_any():
                await said.write(chunk)
            await said.write_eof()
            return said


def _status(code: int) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": f"a fault: {code}"}


def _way_to(kubeconfig: Path) -> tuple[str, ssl.SSLContext]:
    document = yaml.safe_load(kubeconfig.read_text())
    cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
    context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    with tempfile.NamedTemporaryFile("w+b", suffix=".pem") as file:
        for key in ("client-certificate-data", "client-key-data"):
            file.write(base64.b64decode(user[key]))
        file.flush()
        context.load_cert_chain(file.name)
    return cluster["server"], context
