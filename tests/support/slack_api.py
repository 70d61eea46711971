"""A stand-in for Slack's Web API: `auth.test` and `chat.postMessage`."""

import asyncio
from typing import Any

from aiohttp import web

from support.stand_ins import Arrived, HttpStandIn, Mode

TOKEN = "xoxb-slack-token-of-tests"


class SlackApi(HttpStandIn):
    def add_routes(self, app: web.Application) -> None:
        app.router.add_post("/api/{method}", self._call)

    @property
    def api_url(self) -> str:
        return f"{self.url}/api/"

    async def _call(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"ok": False, "error": "invalid_auth"})
        if request.match_info["method"] == "auth.test":
            if self.mode is Mode.HANG:
                await asyncio.sleep(3600)
            return self.broken() if self.mode is Mode.BROKEN else web.json_response({"ok": True, "user": "bots"})
        kind = request.content_type
        given: dict[str, Any] = await request.json() if kind == "application/json" else dict(await request.post())

        def accept() -> None:
            self.arrived.append(Arrived(str(given["channel"]), str(given["text"])))

        answer = await self.outage(request, accept)
        if answer is None:
            accept()
        return answer or web.json_response({"ok": True, "channel": given["channel"], "ts": f"{len(self.arrived)}.0"})

    def busy(self) -> web.Response:
        body = {"ok": False, "error": "ratelimited"}
        return web.json_response(body, status=429, headers={"Retry-After": str(self.retry_after)})

    def rejected(self) -> web.Response:
        return web.json_response({"ok": False, "error": "channel_not_found"})
