"""`tradingbot trace ID`: everything known under a correlation id or a client order id, in the order of time."""

import asyncio
import re
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from bot_core.store.database import Database
from bot_core.store.trail import trail
from bot_runtime.cli.tables import print_table
from bot_runtime.settings import Settings

_ID = re.compile(r"[A-Za-z0-9\-]{1,64}")
_USAGE = 2


def register(app: typer.Typer) -> None:
    app.command("trace", help="Everything known under a correlation id or a client order id.")(trace)


def trace(
    name: Annotated[str, typer.Argument(metavar="ID", help="Such as b7-3f2a91c0-e12 or tb7-en-1704067200000.")],
    *,
    json: Annotated[bool, typer.Option("--json", help="JSON for programs.")] = False,
) -> int:
    if not _ID.fullmatch(name):
        print(f"{name!r} is no id; allowed: up to 64 letters, digits and hyphens", file=sys.stderr)
        return _USAGE
    return asyncio.run(_trace(name, as_json=json))


async def _trace(name: str, *, as_json: bool) -> int:
    database = Database(Settings.from_environment().database_url, pool_size=1)
    try:
        steps = [asdict(step) for step in await trail(database, name)]
    finally:
        await database.aclose()
    if not as_json:  # the id that was asked for stands in each line
        steps = [{key: value for key, value in step.items() if value != name} for step in steps]
        columns = ("at", "bot_id", "what", "text", "client_order_id", "correlation_id")
        kept = [key for key in columns if any(key in step for step in steps)]
        steps = [{key: step.get(key) for key in kept} for step in steps]
    return print_table(steps, as_json=as_json, empty=f"nothing is known under {name}")
