"""`tradingbot messages`: what is queued, what was given up, another try, and a test of a channel."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import typer

from bot_core.logs import masked
from bot_core.models.errors import TradingBotError
from bot_core.models.queued_message import QueuedMessage
from bot_core.store.database import Database
from bot_core.store.message_list import list_messages, retry_messages
from bot_runtime.cli.connection import actor
from bot_runtime.cli.tables import print_json, print_table
from bot_runtime.notifications.registry import Channels, build_channels
from bot_runtime.settings import Settings

_Result = TypeVar("_Result")
_AsJson = Annotated[bool, typer.Option("--json", help="print JSON for programs")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="queued messages: list, retry, test a channel")
    group.command("list", help="the newest messages, and why those that were given up were")(_list)
    group.command("retry", help="queue messages that were given up again")(_retry)
    group.command("test", help="send one test message by a channel, past the queue")(_test)
    app.add_typer(group, name="messages")


def _list(
    *,
    failed: Annotated[bool, typer.Option("--failed", help="only those that were given up")] = False,
    pending: Annotated[bool, typer.Option("--pending", help="only those that wait")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="how many")] = 50,
    as_json: _AsJson = False,
) -> int:
    if failed and pending:
        print("tradingbot: choose one of --failed and --pending", file=sys.stderr)
        return 2
    status = "FAILED" if failed else "PENDING" if pending else None

    async def read(database: Database) -> list[dict[str, Any]]:
        async with database.read() as connection:
            return await list_messages(connection, status, limit)

    return print_table(
        [_shown(row) for row in _with_database(read)], as_json=as_json, empty="there are no such messages"
    )


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    content = row["content"]
    return {
        "id": row["id"],
        "status": row["status"],
        "type": row["message_type"],
        "channels": ",".join(row["channels"] or ()),
        "to": row["recipient_id"],
        "title": content.get("title", "") if isinstance(content, dict) else str(content),
        "created_at": row["created_at"],
        "retries": row["retry_count"],
        "last_error": row["last_error"],
    }


def _retry(
    ids: Annotated[list[int], typer.Argument(metavar="ID…", help="ids of messages, as `list` shows them")],
    *,
    as_json: _AsJson = False,
) -> int:
    done = _with_database(lambda database: retry_messages(database, ids, by=actor()))
    rest = [message_id for message_id in ids if message_id not in done]
    if as_json:
        print_json({"queued": done, "unchanged": rest})
    elif done:
        print(f"queued again: {', '.join(map(str, done))}")
    for message_id in rest:
        print(f"message {message_id} is not there, or was neither given up nor cancelled", file=sys.stderr)
    return 1 if rest else 0


def _test(
    *,
    channel: Annotated[str, typer.Option(help="email, telegram, slack, webhook, apprise or a plugin's name")],
    to: Annotated[str, typer.Option(help="address, chat id, Slack channel or webhook's name")] = "",
    as_json: _AsJson = False,
) -> int:
    receipt = asyncio.run(_send_test(channel, to))
    if as_json:
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


def _with_database(work: Callable[[Database], Awaitable[_Result]]) -> _Result:
    async def connected() -> _Result:
        database = Database(Settings.from_environment().database_url, pool_size=1)
        try:
            return await work(database)
        finally:
            await database.aclose()

    return asyncio.run(connected())
