"""`tradingbot serve`: every row that asks to run, in this process."""

import asyncio
import sys
from collections.abc import Collection
from typing import Annotated, Any

import structlog
import typer

from bot_runtime.cli.run import HOST_HELP, POLL_HELP, PORT_HELP, adapted, log_to_stderr
from bot_runtime.cli.usage import UsageError, read_id
from bot_runtime.http_access import is_local
from bot_runtime.settings import THIS_MACHINE, Settings

_log = structlog.get_logger(__name__)


def register(app: typer.Typer) -> None:
    app.command("serve", help="Run every row that asks to run, in this process.")(serve)


def _id_list(text: str) -> list[int]:
    try:
        return [read_id(part.strip()) for part in text.split(",") if part.strip()]
    except UsageError as error:
        raise typer.BadParameter(f"{text!r} is no list of ids: {error}") from None


def serve(
    *,
    bots: Annotated[
        list[Any] | None,  # a list of ids each time that it is given
        typer.Option(parser=_id_list, metavar="ID,ID...", help="Only these."),
    ] = None,
    user: Annotated[str | None, typer.Option(metavar="EMAIL|ID", help="Only the bots of this user.")] = None,
    no_resume: Annotated[
        bool, typer.Option("--no-resume", help="Bots of the last process stay stopped until they are asked for.")
    ] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Log lines, also on a terminal.")] = False,
    host: Annotated[str | None, typer.Option(metavar="ADDRESS", help=f"{HOST_HELP} {THIS_MACHINE}.")] = None,
    port: Annotated[int | None, typer.Option(metavar="PORT", help=PORT_HELP)] = None,
    poll_interval: Annotated[float | None, typer.Option(metavar="SECONDS", help=POLL_HELP)] = None,
) -> int:
    settings = adapted(host, port, poll_interval, default_host=THIS_MACHINE)
    log_to_stderr(settings, json=False)
    if not is_local(settings.host) and not settings.http_token:
        text = "anyone who reaches this address reads /status and /metrics; set TRADINGBOT_HTTP_TOKEN"
        _log.warning("http_open_to_all", host=settings.host, port=settings.port, message=text)
    terminal = sys.stdout.isatty() and not plain
    ids = None if bots is None else [bot_id for given in bots for bot_id in given]
    return asyncio.run(_serve(settings, ids, user, resume=not no_resume, terminal=terminal))


async def _serve(
    settings: Settings, ids: Collection[int] | None, user: str | None, *, resume: bool, terminal: bool
) -> int:
    from bot_runtime.app import build_runner  # noqa: PLC0415  # a list of commands needs no bots in memory

    runner, fleet = build_runner(settings, ids=ids, user=user, resume=resume, deliver=True)
    if terminal:
        from bot_runtime.cli.dashboard import shown  # noqa: PLC0415  # a service without a terminal draws nothing

        async with shown(fleet, settings, runner):
            await runner.run()
    else:
        await runner.run()
    return 0
