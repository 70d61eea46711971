"""A stand-in for Telegram's Bot API, as far as a bot that sends text and reads commands needs it."""

import asyncio
import json
import time
from typing import Any

from aiohttp import web

from support.stand_ins import Arrived, HttpStandIn, Mode

TOKEN = "123456:telegram-token-of-tests"


class TelegramApi(HttpStandIn):
    """`chats_that_fail`: ids that are answered as Telegram answers for a chat that it does not know."""

    def __init__(self) -> None:
        self.updates: list[dict[str, Any]] = []
        self.chats_that_fail: set[str] = set()
        self.conflicts = 0
        self._readers = 0
        self._numbers = 100
        super().__init__()

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post("/bot{token}/{method}", self._call)

    def write(self, text: str, chat: int, *, age: float = 0.0, kind: str = "private", sender: int | None = None) -> int:
        """Somebody writes to the bot. Returns the update's id."""
        self._numbers += 1
        who = {"id": sender or chat, "is_bot": False, "first_name": "Somebody"}
        message = {
            "message_id": self._numbers,
            "date": int(time.time() - age),
            "chat": {"id": chat, "type": kind},
            "from": who,
            "text": text,
        }
        self.updates.append({"update_id": self._numbers, "message": message})
        return self._numbers

    def said_to(self, chat: int) -> list[str]:
        return [one.text for one in self.arrived if one.target == str(chat)]

    def busy(self) -> web.Response:
        body = {"ok": False, "error_code": 429, "description": "Too Many Requests"}
        return web.json_response(body | {"parameters": {"retry_after": self.retry_after}}, status=429)

    def broken(self) -> web.Response:
        return _refused(500, "Internal Server Error")

    def rejected(self) -> web.Response:
        return _refused(403, "Forbidden: bot was blocked by the user")

    async def _call(self, request: web.Request) -> web.Response:
        if request.match_info["token"] != TOKEN:
            return _refused(401, "Unauthorized")
        given = dict(await request.post())
        match request.match_info["method"]:
            case "sendMessage":
                return await self._send(request, given)
            case "getUpdates":
                return await self._updates(request, given)
            case "getMe":
                if self.mode is Mode.HANG:
                    await asyncio.sleep(3600)
                if self.mode is Mode.BROKEN:
                    return self.broken()
                return _done({"id": 1, "is_bot": True, "first_name": "Bots", "username": "bots_bot"})
        return _refused(404, "Not Found")

    async def _send(self, request: web.Request, given: dict[str, Any]) -> web.Response:
        chat, text = str(given["chat_id"]), str(given["text"])

        def accept() -> None:
            self._numbers += 1
            self.arrived.append(Arrived(chat, text, identity=str(self._numbers)))

        if chat in self.chats_that_fail:
            return _refused(400, "Bad Request: chat not found")
        if len(text.encode("utf-16-le")) // 2 > 4096:
            return _refused(400, "Bad Request: message is too long")
        answer = await self.outage(request, accept)
        if answer is not None:
            return answer
        accept()
        about = {"message_id": self._numbers, "date": int(time.time()), "chat": {"id": int(chat), "type": "private"}}
        return _done(about | {"text": text})

    async def _updates(self, request: web.Request, given: dict[str, Any]) -> web.Response:
        if self._readers:
            self.conflicts += 1
            return _refused(409, "Conflict: terminated by other getUpdates request")
        self._readers += 1
        try:
            if self.mode is Mode.HANG:
                await asyncio.sleep(3600)
            offset = int(given.get("offset", 0))
            self.updates = [update for update in self.updates if update["update_id"] >= offset]
            until = time.monotonic() + float(given.get("timeout", 0))
            while not self.updates and time.monotonic() < until and request.transport is not None:
                await asyncio.sleep(0.02)
            return _done([*self.updates])
        finally:
            self._readers -= 1


def _done(result: Any) -> web.Response:
    return web.json_response({"ok": True, "result": result})


def _refused(status: int, description: str) -> web.Response:
    body = {"ok": False, "error_code": status, "description": description}
    return web.Response(text=json.dumps(body), status=status, content_type="application/json")
