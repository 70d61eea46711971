"""`tradingbot bots import` and `sample`: documents become rows."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer
from sqlalchemy import func, select

from bot_core.models.config import parse_config
from bot_core.models.errors import TradingBotError
from bot_core.schema import bots as bots_table
from bot_core.store.bots import BotStore
from bot_runtime.cli.connection import with_bots
from bot_runtime.cli.documents import json_files, read_bots
from bot_runtime.cli.options import AsJson, Documents
from bot_runtime.cli.tables import print_json
from bot_runtime.samples import SAMPLE_USER, sample_documents

_Owner: TypeAlias = Annotated[str, typer.Option(metavar="EMAIL", help="Owner; created if absent.")]


def register(bots: typer.Typer) -> None:
    bots.command("import", help="Make a row of each JSON document; prints the ids.")(import_)
    bots.command("sample", help="Insert three sample bots if there is no bot at all.")(sample)


def import_(
    paths: Documents,
    *,
    user: _Owner = SAMPLE_USER,
    json: AsJson = False,
) -> int:
    return with_bots(lambda store: _import(store, paths, user, as_json=json))


def sample(
    *,
    user: _Owner = SAMPLE_USER,
    speed: Annotated[float, typer.Option(min=0.001, metavar="BARS", help="Generated bars a second.")] = 20.0,
    json: AsJson = False,
) -> int:
    return with_bots(lambda store: _sample(store, user, speed, as_json=json))


async def _import(store: BotStore, paths: Sequence[Path], user: str, *, as_json: bool) -> int:
    found, refused = _readable(paths)
    for text in refused:
        print(f"not imported: {text}", file=sys.stderr)
    # In a folder there may be anything; a file that was named was meant, so all are imported or none.
    if not found or (refused and not any(path.is_dir() for path in paths)):
        print(f"nothing imported from {', '.join(map(str, paths))}", file=sys.stderr)
        if as_json:
            print_json({"imported": [], "refused": refused})
        return 1
    user_id = await store.user(user)
    imported = [await _insert(store, name, document, user_id, quiet=as_json) for name, document in found]
    if as_json:
        print_json({"imported": imported, "refused": refused})
    return 0


async def _insert(store: BotStore, name: str, document: Any, user_id: int, *, quiet: bool) -> dict[str, Any]:
    parsed = parse_config(document)
    row_id = await store.insert(document, user_id)
    problems = [str(problem) for problem in parsed.problems]
    if not quiet:
        print(f"{row_id}  {name}" + ("  (invalid: it won't run until it is repaired)" if parsed.error else ""))
    for problem in problems:
        print(f"   problem  {problem}", file=sys.stderr)
    return {"id": row_id, "document": name, "valid": parsed.config is not None, "problems": problems}


def _readable(paths: Sequence[Path]) -> tuple[list[tuple[str, Any]], list[str]]:
    """The bots of the files, valid or not, and why the rest holds none."""
    found: list[tuple[str, Any]] = []
    refused: list[str] = []
    for path in json_files(paths):
        try:
            bots = read_bots(path)
        except TradingBotError as error:
            refused.append(str(error))
            continue
        for name, document in bots:
            parsed = parse_config(document)
            if parsed.is_bot:
                found.append((name, document))
            else:
                refused.append(f"{name}: {parsed.problems[0]}")
    return found, refused


async def _sample(store: BotStore, user: str, speed: float, *, as_json: bool) -> int:
    async with store.database.read() as connection:
        there = await connection.scalar(select(func.count()).select_from(bots_table)) or 0
    inserted = [] if there else await _insert_samples(store, user, speed)
    if as_json:
        print_json({"inserted": inserted, "there_before": there})
    elif there:
        print(f"{there} bots are there already; no samples inserted")
    for bot in [] if as_json else inserted:
        print(f"{bot['id']}  {bot['name']}")
    return 0


async def _insert_samples(store: BotStore, user: str, speed: float) -> list[dict[str, Any]]:
    user_id = await store.user(user)
    return [
        {"id": await store.insert(document, user_id), "name": document["name"]}
        for document in sample_documents(speed=speed)
    ]
