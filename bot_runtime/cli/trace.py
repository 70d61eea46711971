"""`tradingbot trace ID`: everything known under a correlation id or a client order id, in the order of time."""

import re
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from bot_core.store.database import Database
from bot_core.store.trail import trail
from bot_runtime.cli.connection import with_database
from bot_runtime.cli.options import AsJson
from bot_runtime.cli.tables import print_table

_ID = re.compile(r"[A-Za-z0-9\-]{1,64}")


def register(app: typer.Typer) -> None:
    app.command("trace", help="Show all that is known under a correlation or client order id.")(trace)


def _name(text: str) -> str:
    if not _ID.fullmatch(text):
        raise typer.BadParameter(f"{text!r} is no id; allowed: up to 64 letters, digits and hyphens")
    return text


def trace(
    name: Annotated[
        str,
        typer.Argument(parser=_name, metavar="ID", help="An id, such as b7-3f2a91c0-e12 or tb7-en-1704067200000."),
    ],
    *,
    json: AsJson = False,
) -> int:
    return with_database(lambda database: _trace(database, name, as_json=json))


async def _trace(database: Database, name: str, *, as_json: bool) -> int:
    steps = [asdict(step) for step in await trail(database, name)]
    found = bool(steps)
    if not as_json:  # the id that was asked for stands in each line
        steps = [{key: value for key, value in step.items() if value != name} for step in steps]
        columns = ("at", "bot_id", "what", "text", "client_order_id", "correlation_id")
        kept = [key for key in columns if any(step.get(key) is not None for step in steps)]
        steps = [{key: step.get(key) for key in kept} for step in steps]
    if found or as_json:
        print_table(steps, as_json=as_json, empty="")
    if not found:
        print(f"nothing is known under {name}", file=sys.stderr)
    return 0 if found else 1
