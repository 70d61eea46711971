"""`tradingbot messages`: what is queued, what was given up, another try, and a test of a channel."""

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from bot_core.logs import masked
from bot_core.models.errors import TradingBotError
from bot_core.models.queued_message import QueuedMessage
from bot_core.store.database import Database
from bot_core.store.message_list import list_messages, retry_messages
from bot_runtime.cli.connection import actor, with_database
from bot_runtime.cli.options import AsJson, MessageIds
from bot_runtime.cli.tables import print_json, print_table
from bot_runtime.cli.usage import UsageError
from bot_runtime.notifications.registry import Channels, build_channels


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True)
    group.command("list", help="List the newest messages, and why those that were given up were.")(list_)
    group.command("retry", help="Queue messages again that were given up.")(retry)
    group.command("test", help="Send one test message by a channel, past the queue.")(send_test)
    app.add_typer(group, name="messages", help="List queued messages, queue them again, test a channel.")


def list_(
    *,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that were given up.")] = False,
    pending: Annotated[bool, typer.Option("--pending", help="Only those that wait.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, metavar="N", help="Most messages.")] = 50,
    json: AsJson = False,
) -> int:
    if failed and pending:
        raise UsageError("--failed and --pending exclude each other")
    status = "FAILED" if failed else "PENDING" if pending else None
    return with_database(lambda database: _list(database, status, limit, as_json=json))


async def _list(database: Database, status: str | None, limit: int, *, as_json: bool) -> int:
    async with database.read() as connection:
        rows = [_shown(row) for row in await list_messages(connection, status, limit)]
    if not as_json:
        rows = [row | {"channels": ",".join(row["channels"])} for row in rows]
    return print_table(rows, as_json=as_json, empty="there are no such messages")


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    content = row["content"]
    return {
        "id": row["id"],
        "status": row["status"],
        "type": row["message_type"],
        "channels": [*(row["channels"] or ())],
        "to": row["recipient_id"],
        "title": content.get("title", "") if isinstance(content, dict) else str(content),
        "created_at": row["created_at"],
        "retries": row["retry_count"],
        "last_error": row["last_error"],
    }


def retry(ids: MessageIds, *, json: AsJson = False) -> int:
    return with_database(lambda database: _retry(database, ids, as_json=json))


async def _retry(database: Database, ids: Sequence[int], *, as_json: bool) -> int:
    done = await retry_messages(database, ids, by=actor())
    rest = [message_id for message_id in ids if message_id not in done]
    if as_json:
        print_json({"queued": done, "unchanged": rest})
    elif done:
        print(f"queued again: {', '.join(map(str, done))}")
    for message_id in rest:
        print(f"message {message_id} is not there, or was neither given up nor cancelled", file=sys.stderr)
    return 1 if rest else 0


def send_test(
    *,
    channel: Annotated[
        str, typer.Option(metavar="NAME", help="Channel: email, telegram, slack, webhook, apprise or a plugin's name.")
    ],
    to: Annotated[str, typer.Option(metavar="TARGET", help="Address, chat id, Slack channel or webhook's name.")] = "",
    json: AsJson = False,
) -> int:
    receipt = asyncio.run(_send_test(channel, to))
    if json:
        print_json({"channel": channel, "sent": True, "external_id": receipt})
    else:
        print(f"sent by {channel}" + (f" as {receipt}" if receipt else ""))
    return 0


async def _send_test(channel: str, to: str) -> str | None:
    channels = build_channels()
    try:
        return await _send(channels, channel, to)
    finally:
        for notifier in channels.notifiers.values():
            await notifier.aclose()


async def _send(channels: Channels, channel: str, to: str) -> str | None:
    from bot_runtime.notifications.base import Markup  # noqa: PLC0415
    from bot_runtime.notifications.companion import build_renderer  # noqa: PLC0415
    from bot_runtime.notifications.digest import Unit  # noqa: PLC0415

    notifier = channels.notifiers.get(channel)
    if notifier is None:
        names = ", ".join(sorted(channels.notifiers)) or "none"
        raise TradingBotError(channels.troubles.get(channel) or f"channel {channel!r} is not set up; set up: {names}")
    target = to or channels.defaults.get(channel, "")
    if not target and channel not in {"webhook", "apprise"}:
        raise TradingBotError(f"channel {channel} needs a target: --to")
    now = datetime.now(UTC)
    content = {"title": "Test message", "message": "This channel works.", "source": "tradingbot messages test"}
    row = QueuedMessage(0, "system", "NORMAL", (channel,), now, content=content)
    markup = Markup(getattr(notifier, "markup", Markup.TEXT))
    try:
        return (await notifier.send(build_renderer().render(Unit(row.key, target, (row,)), markup))).external_id
    except TradingBotError as error:
        raise TradingBotError(masked(f"{channel}: {error}")) from None
