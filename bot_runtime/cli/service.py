"""`tradingbot serve`: every row that asks to run, in this process."""

import asyncio
import sys
from collections.abc import Collection
from typing import Annotated

import typer

from bot_runtime.cli.options import bot_id
from bot_runtime.cli.run import POLL_HELP, PORT_HELP, adapted, prepare
from bot_runtime.cli.usage import UsageError, read_id
from bot_runtime.settings import Settings


def register(app: typer.Typer) -> None:
    app.command("serve", help="Run every row that asks to run, in this process.")(serve)


def _id_list(text: str) -> list[int]:
    try:
        return [read_id(part.strip()) for part in text.split(",") if part.strip()]
    except UsageError as error:
        raise typer.BadParameter(f"{text!r} is no list of ids: {error}") from None


def serve(
    *,
    bots: Annotated[list[int] | None, typer.Option(parser=_id_list, metavar="ID,ID...", help="Only these.")] = None,
    user: Annotated[int | None, typer.Option(parser=bot_id, metavar="ID", help="Only the bots of this user.")] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Log lines, also on a terminal.")] = False,
    port: Annotated[int | None, typer.Option(metavar="PORT", help=PORT_HELP)] = None,
    poll_interval: Annotated[float | None, typer.Option(metavar="SECONDS", help=POLL_HELP)] = None,
) -> int:
    terminal = sys.stdout.isatty() and not plain
    return asyncio.run(_serve(adapted(port, poll_interval), bots, user, terminal=terminal))


async def _serve(settings: Settings, ids: Collection[int] | None, user_id: int | None, *, terminal: bool) -> int:
    runner, fleet = prepare(settings, ids, user_id, json=False)
    if terminal:
        from bot_runtime.cli.dashboard import shown  # noqa: PLC0415  # a service without a terminal draws nothing

        async with shown(fleet, settings, runner):
            await runner.run()
    else:
        await runner.run()
    return 0
