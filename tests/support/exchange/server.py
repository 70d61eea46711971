"""The life of the stand-in: in the test's own process, or in one of its own that tests steer by HTTP."""

import asyncio
import importlib
import json
import subprocess
import sys
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

from aiohttp import web

from support.exchange.admin import add_admin
from support.exchange.faults import Faults
from support.exchange.middleware import Gatekeeper
from support.exchange.rest import add_rest
from support.exchange.venue import Venue

API_KEY = "stand-in-key-7Qm2"
API_SECRET = "stand-in-secret-V9x4"


class Exchange:
    """`async with Exchange() as exchange` serves `exchange.venue` at `exchange.url`.

    `restart`, `stop` and `start` keep state and port.
    """

    def __init__(self, venue: Venue | None = None, *, port: int = 0, keys: dict[str, str] | None = None) -> None:
        self.venue = venue or Venue()
        self.faults = Faults()
        self.port = port
        self._keys = keys or {API_KEY: API_SECRET}
        self._gatekeeper: Gatekeeper | None = None
        self._runner: web.AppRunner | None = None
        self._requests: list[str] = []
        self._absence: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[str]:
        """Every request so far, such as `POST /api/v3/order`."""
        return self._requests

    async def start(self) -> None:
        self._gatekeeper = Gatekeeper(self.faults)
        self._gatekeeper.requests = self._requests
        app = web.Application(middlewares=[self._gatekeeper.middleware()])
        add_rest(app, self.venue, self._keys)
        add_admin(app, self.venue, self.faults, self._gatekeeper, self._go_down)
        if find_spec("support.exchange.market_data"):
            importlib.import_module("support.exchange.market_data").add_market_data(app, self.venue)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the port and every connection; the state stays."""
        if self._runner is not None and self._gatekeeper is not None:
            self._gatekeeper.closing.set()
            await self._runner.cleanup()
            self._runner = None

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    def _go_down(self, seconds: float) -> None:
        self._absence = asyncio.create_task(self._be_absent(seconds))

    async def _be_absent(self, seconds: float) -> None:
        await asyncio.sleep(0.05)  # the answer to whoever asked for it goes out first
        await self.stop()
        await asyncio.sleep(seconds)
        await self.start()

    async def __aenter__(self) -> "Exchange":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._absence is not None:
            self._absence.cancel()
        await self.stop()


class ExchangeProcess:
    """A stand-in in a process of its own, for tests whose bots are processes too."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self, *, port: int = 0) -> None:
        tests = Path(__file__).parents[2]
        command = [sys.executable, "-m", "support.exchange", "--port", str(port)]
        self._process = subprocess.Popen(command, cwd=tests, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process = None

    def admin(self, action: str, **body: Any) -> None:
        """Call `POST /admin/<action>`, such as admin("price", symbol="BTCUSDT", price=51000)."""
        data = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/admin/{action}", data, headers, method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()

    def state(self) -> dict[str, Any]:
        """Return orders, fills, balances, prices, planned faults and the requests so far."""
        with urllib.request.urlopen(f"{self.url}/admin/state", timeout=10) as answer:
            return dict(json.load(answer))

    def __enter__(self) -> "ExchangeProcess":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


async def serve(port: int) -> None:
    """Serve until the process is ended; the first line of standard output is the address."""
    async with Exchange(port=port) as exchange:
        print(exchange.url, flush=True)
        await asyncio.Event().wait()
