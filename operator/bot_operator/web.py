"""The operator's HTTP face: /healthz, /readyz and /metrics. An answer is itself the proof that the loop turns."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from bot_operator.health import SweepHealth
from bot_operator.metrics import Metrics


def build_web(health: SweepHealth, metrics: Metrics) -> web.Application:
    async def healthz(_request: web.Request) -> web.Response:
        return _verdict(health.alive, f"the last sweep was {health.age:.0f} s ago")

    async def readyz(_request: web.Request) -> web.Response:
        return _verdict(health.ready, f"the last whole sweep was {health.age:.0f} s ago")

    async def figures(_request: web.Request) -> web.Response:
        return web.Response(body=metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", figures)])
    return application


def _verdict(good: bool, why: str) -> web.Response:  # noqa: FBT001
    return web.Response(text="ok\n" if good else f"{why}\n", status=200 if good else 503)


@asynccontextmanager
async def serving(application: web.Application, port: int) -> AsyncIterator[None]:
    """Serve on all addresses of the pod while the block runs."""
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
        yield
    finally:
        await runner.cleanup()
