"""`tradingbot bots …`: what the rows say. What makes, steers and removes rows is in modules of its own."""

from collections.abc import Mapping, Sequence
from typing import Any

import typer
from sqlalchemy import select

from bot_core.models.bot import REFUSED, BotRow, desired_state
from bot_core.models.config import ParsedConfig, parse_config
from bot_core.models.halt import Halt, halt_of
from bot_core.models.problem import redacted
from bot_core.schema import trades as trades_table
from bot_core.store.bots import BotStore
from bot_core.store.events import recent_events
from bot_core.store.halts import HaltStore
from bot_runtime.cli import bots_delete, bots_export, bots_import, bots_requests, bots_trial, performance
from bot_runtime.cli.connection import with_bots
from bot_runtime.cli.found import all_found
from bot_runtime.cli.options import AsJson, BotIds
from bot_runtime.cli.tables import cents, print_json, print_table
from bot_runtime.cli.validate import print_findings

_TRADE = (
    "id",
    "bot_id",
    "symbol",
    "direction",
    "size",
    "entry_time",
    "entry_price",
    "exit_time",
    "exit_price",
    "net_pnl",
    "exit_reason",
    "status",
)


def register(app: typer.Typer) -> None:
    bots = typer.Typer(no_args_is_help=True)
    bots_import.register(bots)
    bots.command("list", help="List bots, one line each.")(list_)
    bots.command("show", help="Show everything a row says, as JSON.")(show)
    bots.command("validate", help="Check the rows' documents; exit 0 if all are valid, else 1.")(validate)
    bots.command("trades", help="Show all trades, oldest first.")(trades)
    bots.command("events", help="Show what happened, oldest first.")(events)
    bots_requests.register(bots)
    bots_export.register(bots)
    bots_delete.register(bots)
    bots_trial.register(bots)
    performance.register(bots)
    app.add_typer(bots, name="bots", help="List, show, import, export, steer and delete bots.")


def list_(*, json: AsJson = False) -> int:
    return with_bots(lambda store: _list(store, as_json=json))


def show(ids: BotIds, *, json: AsJson = False) -> int:
    """The output is JSON, with or without the option."""
    del json
    return with_bots(lambda store: _show(store, ids))


def validate(ids: BotIds, *, json: AsJson = False) -> int:
    return with_bots(lambda store: _validate(store, ids, as_json=json))


def trades(ids: BotIds, *, json: AsJson = False) -> int:
    return with_bots(lambda store: _trades(store, ids, as_json=json))


def events(ids: BotIds, *, json: AsJson = False) -> int:
    return with_bots(lambda store: _events(store, ids, as_json=json))


async def _list(store: BotStore, *, as_json: bool) -> int:
    halts = await HaltStore(store.database).active()
    rows = [_line(row, halts) for row in await store.all()]
    if not as_json:
        rows = [row | {"balance": cents(row["balance"]), "pnl": cents(row["pnl"])} for row in rows]
    return print_table(rows, as_json=as_json, empty="no bots; `tradingbot bots import` makes some")


def _line(row: BotRow, halts: Sequence[Halt]) -> dict[str, Any]:
    config = parse_config(row.config).config
    halt = halt_of(halts, row.id, row.user_id)
    return {
        "id": row.id,
        "name": row.name,
        "symbol": config.symbol if config else None,
        "status": row.status,
        "wants": desired_state(row).state,
        "halted": None if halt is None else "flatten" if halt.flatten else "yes",
        "balance": row.current_balance,
        "pnl": row.total_pnl,
        "heartbeat": row.last_heartbeat,
        "error": row.unreadable or row.extra_metadata.get("last_error") or row.extra_metadata.get(REFUSED),
    }


async def _show(store: BotStore, ids: Sequence[int]) -> int:
    rows = await store.all(ids)
    halts = await HaltStore(store.database).active()
    shown = [redacted("", row.model_dump()) | _shown_beside(row, halts) for row in rows]
    if shown:
        print_json(shown if len(ids) > 1 else shown[0])
    return all_found(ids, [row.id for row in rows])


def _shown_beside(row: BotRow, halts: Sequence[Halt]) -> dict[str, Any]:
    halt = halt_of(halts, row.id, row.user_id)
    return {"desired": desired_state(row).reason, "halted": None if halt is None else str(halt)}


async def _validate(store: BotStore, ids: Sequence[int], *, as_json: bool) -> int:
    rows = await store.all(ids)
    results = [(row, parse_config(row.config)) for row in rows]
    if as_json:
        print_json([_finding(row.id, parsed) for row, parsed in results])
    else:
        for row, parsed in results:
            print_findings(f"bot {row.id}", parsed)
    missing = all_found(ids, [row.id for row in rows])
    return missing or (0 if all(parsed.config for _, parsed in results) else 1)


def _finding(row_id: int, parsed: ParsedConfig) -> dict[str, Any]:
    return {
        "id": row_id,
        "valid": parsed.config is not None,
        "problems": [*map(str, parsed.problems)],
    }


async def _trades(store: BotStore, ids: Sequence[int], *, as_json: bool) -> int:
    columns = [trades_table.c[name] for name in _TRADE]
    query = select(*columns).where(trades_table.c.bot_id.in_(ids)).order_by(trades_table.c.id)
    async with store.database.read() as connection:
        rows = [dict(row) for row in (await connection.execute(query)).mappings()]
    if not as_json:
        rows = [row | {"net_pnl": cents(row["net_pnl"])} for row in rows]
    found = [row.id for row in await store.all(ids)]
    if found or as_json:
        print_table(rows, as_json=as_json, empty="no trades")
    return all_found(ids, found)


async def _events(store: BotStore, ids: Sequence[int], *, as_json: bool) -> int:
    rows: list[dict[str, Any]] = []
    async with store.database.read() as connection:
        for bot_id in ids:
            rows += reversed(await recent_events(connection, bot_id))
    found = [row.id for row in await store.all(ids)]
    if found or as_json:
        print_table(rows if as_json else [_event(row) for row in rows], as_json=as_json, empty="no events")
    return all_found(ids, found)


def _event(row: Mapping[str, Any]) -> dict[str, Any]:
    who, _, _ = str(row["actor"]).partition(" process:")  # JSON tells which process
    return {name: row[name] for name in ("at", "bot_id", "kind")} | {"actor": who, "message": row["message"]}
