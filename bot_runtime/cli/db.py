"""`tradingbot db upgrade`."""

import argparse
import sys
import time
from typing import TYPE_CHECKING

from bot_core.models.errors import DatabaseUnavailableError
from bot_core.store.database import parse_url, safe_url
from bot_runtime.cli.subparsers import Subparsers
from bot_runtime.settings import Settings

if TYPE_CHECKING:
    from bot_core.store.upgrade import Upgraded

_RETRY_SECONDS = 2.0


def add_parser(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("db", help="look after the database")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    up = commands.add_parser("upgrade", help="create what is missing; safe to run twice and by two at once")
    up.add_argument(
        "--wait", type=float, default=0.0, metavar="SECONDS", help="keep trying while the database does not answer"
    )
    up.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    url = Settings.from_environment().database_url
    done = _upgrade(url, args.wait)
    where = safe_url(parse_url(url))
    if done.before == done.after:
        print(f"{where} is up to date (revision {done.after})")
    else:
        print(f"{where}: upgraded from {done.before or 'nothing'} to revision {done.after}")
    if done.trigger_problem:
        print(
            f"warning: no NOTIFY trigger on trading_bots ({done.trigger_problem}); changes are found by polling",
            file=sys.stderr,
        )
    return 0


def _upgrade(url: str, wait: float) -> "Upgraded":
    from bot_core.store.upgrade import upgrade  # noqa: PLC0415  # a bot that runs needs no migrations in memory

    until = time.monotonic() + wait
    while True:
        try:
            return upgrade(url)
        except DatabaseUnavailableError as error:
            if time.monotonic() >= until:
                raise
            print(f"waiting for the database: {error}", file=sys.stderr)
            time.sleep(_RETRY_SECONDS)
