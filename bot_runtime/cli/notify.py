"""`tradingbot notify`: delivers messages and reads commands, without bots. What runs beside the operator."""

import asyncio
from contextlib import suppress
from typing import Annotated

import typer

from bot_core.models.errors import TradingBotError
from bot_core.store.leases import process_holder
from bot_runtime.cli.run import HOST_HELP, PORT_HELP, adapted, log_to_stderr
from bot_runtime.companions import Companions
from bot_runtime.engine.board import FleetBoard
from bot_runtime.engine.progress import Progress
from bot_runtime.health import HealthServer
from bot_runtime.notifications.companion import build_dispatcher
from bot_runtime.settings import THIS_MACHINE, Settings
from bot_runtime.system.stop_signals import on_stop_signals

_NO_CHANNEL = (
    "no channel can be used here: set SMTP_SERVER, TELEGRAM_BOT_TOKEN, SLACK_BOT_TOKEN, WEBHOOK_URL or APPRISE_URLS "
    "(docs/notifications.md), and see the log for those that are set up wrongly"
)
_LOOP = "dispatcher"


def register(app: typer.Typer) -> None:
    app.command("notify", help="Deliver queued messages, read Telegram's commands; runs no bot.")(notify)


def notify(
    *,
    host: Annotated[str | None, typer.Option(metavar="ADDRESS", help=f"{HOST_HELP} {THIS_MACHINE}.")] = None,
    port: Annotated[int | None, typer.Option(metavar="PORT", help=PORT_HELP)] = None,
) -> int:
    # Figures and probes of a process that has tokens are for this machine, unless somebody says more.
    settings = adapted(host, port, None, default_host=THIS_MACHINE)
    log_to_stderr(settings, json=False)
    return asyncio.run(_deliver(settings))


async def _deliver(settings: Settings) -> int:
    dispatcher = build_dispatcher(settings.database_url, process_holder(), lease_seconds=settings.lease_seconds)
    if dispatcher is None:
        raise TradingBotError(_NO_CHANNEL)
    progress, stop = Progress(), asyncio.Event()
    dispatcher.turn = lambda: progress.mark(_LOOP)
    health = HealthServer(
        FleetBoard(),
        progress,
        unready=lambda: dispatcher.trouble,
        host=settings.host,
        port=settings.port,
        stall_seconds=settings.stall_seconds,
        token=settings.http_token,
    )
    on_stop_signals(lambda _: stop.set())
    await health.start()
    companions = Companions([dispatcher])
    companions.start()
    try:
        await stop.wait()
    finally:
        with suppress(asyncio.CancelledError):
            await companions.aclose()
        await health.aclose()
    return 0
