"""`tradingbot run ID…`: what a pod runs. Read by argparse: a process that runs bots has neither typer nor rich.

`tradingbot serve` is the same process over all rows, and runs `run_service` too.
"""

import argparse
import asyncio
import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bot_core.logs import configure_logging
from bot_runtime.cli.usage import UsageError, read_id
from bot_runtime.plugins import install
from bot_runtime.settings import Settings

if TYPE_CHECKING:
    from bot_runtime.engine.board import FleetBoard
    from bot_runtime.trading_runner import TradingRunner

HELP = "Run the named bots, whatever else is enabled: what a pod does."
PORT_HELP = "Port of /status and the probes; default: PORT, or 8080."
POLL_HELP = "How often rows are read even if nothing tells of a change."


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tradingbot run", description=HELP)
    parser.add_argument("ids", nargs="+", type=_id, metavar="ID", help="Bots, by the ids of their rows.")
    parser.add_argument("--port", type=int, metavar="PORT", help=PORT_HELP)
    parser.add_argument("--poll-interval", type=float, metavar="SECONDS", help=POLL_HELP)
    return parser


def _id(text: str) -> int:
    try:
        return read_id(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def main(arguments: Sequence[str]) -> int:
    """Return the exit code once the bots have been asked to stop. SystemExit: for help, and for what can't be read."""
    args = build_parser().parse_args(arguments)
    configure_logging("WARNING", json=False)
    install()
    return asyncio.run(_run(adapted(args.port, args.poll_interval), args.ids))


def adapted(port: int | None, poll_interval: float | None) -> Settings:
    """What the environment says, with what the command line says instead."""
    settings = Settings.from_environment()
    if port is not None:
        settings = replace(settings, port=port)
    if poll_interval is not None:
        settings = replace(settings, poll_seconds=max(1.0, poll_interval))
    return settings


def prepare(
    settings: Settings, ids: Collection[int] | None, user_id: int | None, *, json: bool
) -> "tuple[TradingRunner, FleetBoard]":
    """The service, built but not running. LOG_FORMAT wins over `json`."""
    from bot_runtime.app import build_runner  # noqa: PLC0415  # a list of commands needs no bots in memory

    chosen = os.environ.get("LOG_FORMAT", "").lower()
    configure_logging(settings.log_level, json=json if chosen not in {"json", "plain"} else chosen == "json")
    return build_runner(settings, ids=ids, user_id=user_id)


async def _run(settings: Settings, ids: Collection[int]) -> int:
    runner, _ = prepare(settings, ids, None, json=True)
    await runner.run()
    return 0
