"""`tradingbot serve` and `tradingbot run ID…`: the same process, over all rows or over the named ones."""

import argparse
import asyncio
import os
import sys
from collections.abc import Collection
from dataclasses import replace
from importlib.util import find_spec

from bot_core.logs import configure_logging
from bot_runtime.app import build_runner
from bot_runtime.cli.subparsers import Subparsers
from bot_runtime.settings import Settings


def add_parser(subparsers: Subparsers) -> None:
    serve = subparsers.add_parser("serve", help="run every row that asks to run, in this process")
    serve.add_argument("--bots", type=_ids, metavar="ID,ID…", help="only these")
    serve.add_argument("--user", type=int, metavar="ID", help="only the bots of this user")
    serve.add_argument("--plain", action="store_true", help="log lines, also on a terminal")
    serve.set_defaults(run=run_serve)
    run = subparsers.add_parser("run", help="run the named bots, whatever else is enabled: what a pod does")
    run.add_argument("ids", nargs="+", type=int, metavar="ID")
    run.set_defaults(run=run_named)
    for parser in (serve, run):
        parser.add_argument(
            "--port", type=int, metavar="PORT", help="port of /status and the probes; default PORT or 8080"
        )
        parser.add_argument("--poll-interval", type=float, metavar="SECONDS", help="how often rows are read anyway")


def run_serve(args: argparse.Namespace) -> int:
    terminal = sys.stdout.isatty() and not args.plain and find_spec("rich") is not None
    json = _json_logs(default=False)
    return asyncio.run(_run(_settings(args), args.bots, args.user, json=json, terminal=terminal, deliver=True))


def run_named(args: argparse.Namespace) -> int:
    return asyncio.run(_run(_settings(args), args.ids, None, json=_json_logs(default=True), terminal=False))


async def _run(
    settings: Settings,
    ids: Collection[int] | None,
    user_id: int | None,
    *,
    json: bool,
    terminal: bool,
    deliver: bool = False,
) -> int:
    configure_logging(settings.log_level, json=json)
    runner, fleet = build_runner(settings, ids=ids, user_id=user_id, deliver=deliver)
    if terminal:
        from bot_runtime.cli.dashboard import shown  # noqa: PLC0415  # rich is only for terminals

        async with shown(fleet, settings, runner):
            await runner.run()
    else:
        await runner.run()
    return 0


def _settings(args: argparse.Namespace) -> Settings:
    settings = Settings.from_environment()
    if args.port is not None:
        settings = replace(settings, port=args.port)
    if args.poll_interval is not None:
        settings = replace(settings, poll_seconds=max(1.0, args.poll_interval))
    return settings


def _json_logs(*, default: bool) -> bool:
    chosen = os.environ.get("LOG_FORMAT", "").lower()
    return default if chosen not in {"json", "plain"} else chosen == "json"


def _ids(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of ids; allowed: numbers and commas") from None
