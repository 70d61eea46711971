"""`tradingbot config …`: judge the documents of rows, see which ones a bot ran, write one out. It changes nothing."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from bot_core.models.bot import BotRow
from bot_core.models.errors import TradingBotError
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_runtime.cli.tables import print_json, print_table
from bot_runtime.cli.validate import print_findings
from bot_runtime.config_manager import ConfigManager
from bot_runtime.settings import Settings

_JSON = typer.Option("--json", help="Print JSON for programs.")
_ID = typer.Argument(metavar="ID")


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Documents of rows: judge them, see those that ran, write one out.", no_args_is_help=True)
    group.command("validate")(validate)
    group.command("versions")(versions)
    group.command("export")(export)
    app.add_typer(group, name="config")


def validate(
    ids: Annotated[list[int] | None, typer.Argument(metavar="[ID]…", help="Which rows; all without.")] = None,
    as_json: Annotated[bool, _JSON] = False,  # noqa: FBT002  # an option of a command
) -> int:
    """Judge the documents of rows as their bots would. Exit 0 if all are valid, else 1."""

    async def work(store: BotStore) -> int:
        found = await ConfigManager(store).validate_all(ids or None)
        missing = sorted(set(ids or ()) - {one.bot_id for one in found})
        if as_json:
            print_json([one.to_json() for one in found])
        else:
            for one in found:
                print_findings(f"bot {one.bot_id}", one.parsed)
        if missing:
            raise TradingBotError(f"no bot has the id {', '.join(map(str, missing))}")
        return 0 if all(one.valid for one in found) else 1

    return _run(work)


def versions(bot_id: Annotated[int, _ID], as_json: Annotated[bool, _JSON] = False) -> int:  # noqa: FBT002
    """List the documents that a bot ran, oldest first, by what changed."""

    async def work(store: BotStore) -> int:
        await _row(store, bot_id)
        found = await ConfigManager(store).versions(bot_id)
        rows = [{"version": one.number, "since": one.since, "changes": one.changes} for one in found]
        full = [row | {"old": one.old, "new": one.new} for row, one in zip(rows, found, strict=True)]
        return print_table(full if as_json else rows, as_json=as_json, empty=f"bot {bot_id} never ran")

    return _run(work)


def export(bot_id: Annotated[int, _ID]) -> int:
    """Print a row's document, without the secrets that it should not hold; `bots import` reads it."""

    async def work(store: BotStore) -> int:
        print(json.dumps(ConfigManager.export(await _row(store, bot_id)), indent=2, ensure_ascii=False, default=str))
        return 0

    return _run(work)


async def _row(store: BotStore, bot_id: int) -> BotRow:
    row = await store.get(bot_id)
    if row is None:
        raise TradingBotError(f"no bot has the id {bot_id}")
    return row


def _run(work: Callable[[BotStore], Awaitable[int]]) -> int:
    async def connected() -> int:
        database = Database(Settings.from_environment().database_url, pool_size=1)
        try:
            return await work(BotStore(database, actor="command line"))
        finally:
            await database.aclose()

    return asyncio.run(connected())
