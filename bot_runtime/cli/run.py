"""`tradingbot run ID…`: what a pod runs. Read by argparse: a process that runs bots has neither typer nor rich.

`tradingbot serve` is the same process over all rows.
"""

import argparse
import asyncio
import os
from collections.abc import Collection, Sequence
from dataclasses import replace

from bot_core.logs import configure_logging
from bot_runtime.cli.usage import UsageError, read_id
from bot_runtime.plugins import install
from bot_runtime.settings import ANY_ADDRESS, Settings

HELP = "Run the named bots, whatever else is enabled: what a pod does."
HOST_HELP = "Where to listen; default: HOST, or"
PORT_HELP = "Port of /status and the probes; default: PORT, or 8080."
POLL_HELP = "How often rows are read even if nothing tells of a change."


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tradingbot run", description=HELP)
    parser.add_argument("ids", nargs="+", type=_id, metavar="ID", help="Bots, by the ids of their rows.")
    parser.add_argument("--host", metavar="ADDRESS", help=f"{HOST_HELP} all addresses.")
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
    settings = adapted(args.host, args.port, args.poll_interval, default_host=ANY_ADDRESS)
    log_to_stderr(settings, json=True)
    return asyncio.run(_run(settings, args.ids))


def adapted(host: str | None, port: int | None, poll_interval: float | None, *, default_host: str) -> Settings:
    """What the environment says, with what the command line says instead."""
    settings = Settings.from_environment(default_host=default_host)
    if host is not None:
        settings = replace(settings, host=host)
    if port is not None:
        settings = replace(settings, port=port)
    if poll_interval is not None:
        settings = replace(settings, poll_seconds=max(1.0, poll_interval))
    return settings


def log_to_stderr(settings: Settings, *, json: bool) -> None:
    """The log of a service; LOG_FORMAT wins over `json`."""
    chosen = os.environ.get("LOG_FORMAT", "").lower()
    configure_logging(settings.log_level, json=json if chosen not in {"json", "plain"} else chosen == "json")


async def _run(settings: Settings, ids: Collection[int]) -> int:
    from bot_runtime.app import build_runner  # noqa: PLC0415  # a list of commands needs no bots in memory

    runner, _ = build_runner(settings, ids=ids, alone=False)
    await runner.run()
    return 0
