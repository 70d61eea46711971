"""Queued messages, and a dispatcher in this process with all its channels at stand-ins."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select

from bot_core.schema import delivery_status, messages
from bot_core.store.database import Database
from bot_runtime.notifications.companion import build_renderer
from bot_runtime.notifications.dispatcher import Dispatcher, DispatchRhythm
from bot_runtime.notifications.metrics import NotificationFigures
from bot_runtime.notifications.registry import build_channels
from support import slack_api, telegram_api
from support.mail import MailServer
from support.slack_api import SlackApi
from support.stand_ins import Arrived, WebhookReceiver
from support.telegram_api import TelegramApi

QUICK = DispatchRhythm(poll=0.05, candidate=0.1, figures=0.2, reclaim=0.5, extra=0.1, retry=0.02)
TARGETS = {
    "email": {"email_receiver": "owner@example.com"},
    "telegram": {"telegram_chat_id": "4242"},
    "slack": {"slack_channel": "#bots"},
    "webhook": {},
}


@dataclass
class Receivers:
    mail: MailServer
    telegram: TelegramApi
    slack: SlackApi
    webhook: WebhookReceiver

    def environment(self) -> dict[str, str]:
        return {
            "SMTP_SERVER": "127.0.0.1",
            "SMTP_PORT": str(self.mail.port),
            "SMTP_FROM": "bots@example.com",
            "SMTP_SECURITY": "none",
            "TELEGRAM_BOT_TOKEN": telegram_api.TOKEN,
            "TELEGRAM_API_URL": self.telegram.url,
            "SLACK_BOT_TOKEN": slack_api.TOKEN,
            "SLACK_API_URL": self.slack.api_url,
            "WEBHOOK_URL": f"{self.webhook.url}/hooks/webhook-path-secret",
            "WEBHOOK_SECRET": self.webhook.secret,
        }

    def of(self, channel: str) -> Any:
        return {"email": self.mail}.get(channel) or getattr(self, channel, None)

    def arrived(self) -> dict[str, list[Arrived]]:
        return {name: self.of(name).arrived for name in TARGETS}


@contextmanager
def receivers() -> Iterator[Receivers]:
    all_of_them = Receivers(MailServer(), TelegramApi(), SlackApi(), WebhookReceiver())
    try:
        yield all_of_them
    finally:
        for name in TARGETS:
            all_of_them.of(name).close()


async def queue(database: Database, channel: str, text: str = "a trade", **changes: Any) -> int:
    """One row, as the bots write them; its text is its title as well."""
    values: dict[str, Any] = {
        "message_type": "trade_entry",
        "priority": "HIGH",
        "channels": [channel],
        "recipient_id": "1",
        "content": {"title": text, "message": f"text of {text}", "source": "trading_bot"},
        "metadata": {"bot_name": "a bot"} | TARGETS.get(channel, {}),
        "created_at": datetime.now(UTC),
        "scheduled_for": datetime.now(UTC),
        "status": "PENDING",
    }
    values |= {key: value for key, value in changes.items() if key != "more"}
    values["metadata"] = values["metadata"] | changes.get("more", {})
    async with database.write() as connection:
        return int((await connection.execute(insert(messages).values(values).returning(messages.c.id))).scalar_one())


async def rows(database: Database) -> list[dict[str, Any]]:
    async with database.read() as connection:
        return [dict(row) for row in (await connection.execute(select(messages).order_by(messages.c.id))).mappings()]


async def deliveries(database: Database) -> list[dict[str, Any]]:
    async with database.read() as connection:
        found = await connection.execute(select(delivery_status).order_by(delivery_status.c.id))
        return [dict(row) for row in found.mappings()]


async def statuses(database: Database) -> list[str]:
    return [row["status"] for row in await rows(database)]


def a_dispatcher(
    database: Database, environment: dict[str, str], holder: str = "dispatcher-under-test", **changes: Any
) -> Dispatcher:
    channels = build_channels(environment)
    assert not channels.troubles
    options: dict[str, Any] = {"renderer": build_renderer({}), "defaults": channels.defaults, "rhythm": QUICK}
    figures = changes.pop("figures", NotificationFigures())
    return Dispatcher(database, holder, channels.notifiers, figures, **(options | changes))


@asynccontextmanager
async def dispatching(dispatcher: Dispatcher) -> AsyncIterator[Dispatcher]:
    stop = asyncio.Event()
    task = asyncio.create_task(dispatcher.run(stop))
    try:
        yield dispatcher
        assert not task.done() or task.exception() is None
    finally:
        stop.set()
        with suppress(asyncio.CancelledError):
            await task


async def eventually(condition: Any, what: str, timeout: float = 15) -> Any:
    """Wait, in this loop, until a condition (which may be awaited) holds."""
    value = None
    try:
        async with asyncio.timeout(timeout):
            while True:
                value = condition()
                if asyncio.iscoroutine(value):
                    value = await value
                if value:
                    return value
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"{what} did not happen in {timeout} s (last: {value!r})") from None
