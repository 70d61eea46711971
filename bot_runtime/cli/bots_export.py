"""`tradingbot bots export` and `history`: documents out of the rows, and what became of them."""

import sys
from collections.abc import Mapping, Sequence
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import typer

from bot_core.models.bot import BotRow
from bot_core.models.errors import TradingBotError
from bot_core.store.bots import BotStore
from bot_runtime.cli.connection import with_bots
from bot_runtime.cli.found import all_found
from bot_runtime.cli.options import AsJson, BotIds
from bot_runtime.cli.tables import print_json, print_table
from bot_runtime.config_manager import ConfigManager


def register(bots: typer.Typer) -> None:
    bots.command("export", help="Print rows' documents, as `bots import` reads them; secrets are left out.")(export)
    bots.command("history", help="Show how the documents of running bots have changed.")(history)


def export(
    ids: BotIds,
    *,
    output: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write bot-ID.json there instead, one file a bot.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
    json: AsJson = False,
) -> int:
    """Several documents on standard output are one object with a list `strategies`, which is a file of several bots."""
    return with_bots(lambda store: _export(store, ids, output, overwrite=overwrite, as_json=json))


def history(ids: BotIds, *, json: AsJson = False) -> int:
    return with_bots(lambda store: _history(store, ids, as_json=json))


async def _export(store: BotStore, ids: Sequence[int], output: Path | None, *, overwrite: bool, as_json: bool) -> int:
    rows = await store.all(ids)
    documents = {row.id: _document(row) for row in rows}
    if output is None:
        told = list(documents.values())
        if told:
            print_json(told[0] if len(ids) == 1 else {"strategies": told})
        return all_found(ids, list(documents))
    files = _write(documents, output, overwrite=overwrite)
    if as_json:
        print_json([{"id": row_id, "path": str(path)} for row_id, path in files.items()])
    for row_id, path in ({} if as_json else files).items():
        print(f"{row_id}  {path}")
    return all_found(ids, list(documents))


def _write(documents: Mapping[int, Any], folder: Path, *, overwrite: bool) -> dict[int, Path]:
    files = {row_id: folder / f"bot-{row_id}.json" for row_id in documents}
    there = [str(path) for path in files.values() if path.exists()]
    if there and not overwrite:
        raise TradingBotError(f"{', '.join(there)} is there already; --overwrite replaces it, and nothing was written")
    folder.mkdir(parents=True, exist_ok=True)
    for row_id, path in files.items():
        path.write_text(dumps(documents[row_id], indent=2) + "\n", encoding="utf-8")
    return files


def _document(row: BotRow) -> Any:
    if row.unreadable or not isinstance(row.config, Mapping):
        raise TradingBotError(f"bot {row.id} has no document to export: {row.unreadable or 'config is no JSON object'}")
    document = ConfigManager.export(row)
    if document != row.config:
        print(f"bot {row.id}: its document holds secrets, which are written as ***", file=sys.stderr)
    return document


async def _history(store: BotStore, ids: Sequence[int], *, as_json: bool) -> int:
    configs, rows = ConfigManager(store), await store.all(ids)
    shown = []
    for row in rows:
        for version in await configs.versions(row.id):
            line = {"bot_id": row.id, "version": version.number, "since": version.since, "changes": version.changes}
            shown.append(line | ({"old": version.old, "new": version.new} if as_json else {}))
    if rows or as_json:
        print_table(shown, as_json=as_json, empty="no document has run yet")
    return all_found(ids, [row.id for row in rows])
