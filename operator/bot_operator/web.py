"""The operator's HTTP face: /healthz, /readyz and /metrics. An answer is itself the proof that the loop turns."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from bot_operator.health import OperatorHealth
from bot_operator.metrics import Metrics


def build_web(health: OperatorHealth, metrics: Metrics) -> web.Application:
    async def healthz(_request: web.Request) -> web.Response:
        # As the bots' own: `tradingbot doctor` in the pod tells by it that this port is ours.
        told = {"alive": True} if health.alive else {"alive": False, "message": health.message}
        return web.json_response(told, status=200 if health.alive else 503)

    async def readyz(_request: web.Request) -> web.Response:
        good, role = health.ready, "leading" if health.leads else "following"
        return web.Response(text=f"ok, {role}\n" if good else f"{health.message}\n", status=200 if good else 503)

    async def figures(_request: web.Request) -> web.Response:
        return web.Response(body=metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", figures)])
    return application


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
