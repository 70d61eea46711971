"""`tradingbot bots …`: rows in and out of the database, for people and, with --json, for programs."""

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from bot_core.models.bot import BotRow, BotStatus, desired_state
from bot_core.models.config import ParsedConfig, parse_config
from bot_core.models.errors import TradingBotError
from bot_core.models.halt import Halt, halt_of
from bot_core.models.problem import redacted
from bot_core.schema import bots as bots_table
from bot_core.schema import trades as trades_table
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_core.store.events import recent_events
from bot_core.store.halts import HaltStore
from bot_runtime.cli.documents import json_files, read_bots
from bot_runtime.cli.subparsers import Subparsers
from bot_runtime.cli.tables import print_json, print_table
from bot_runtime.cli.validate import print_findings
from bot_runtime.samples import SAMPLE_USER, sample_documents
from bot_runtime.settings import Settings

_REQUESTS = {
    "start": BotStatus.STARTING,
    "stop": BotStatus.STOPPING,
    "restart": BotStatus.RESTARTING,
    "enable": BotStatus.ENABLED,
    "disable": BotStatus.DISABLED,
}


def add_parser(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("bots", help="list, show, import and steer bots")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    imports = commands.add_parser("import", help="make a row of each JSON document; prints the ids")
    imports.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="JSON file, or folder of JSON files")
    imports.add_argument("--user", default=SAMPLE_USER, metavar="EMAIL", help="owner; created if absent")
    imports.set_defaults(run=_with_store(_import))
    sample = commands.add_parser("sample", help="insert three sample bots if there is no bot at all")
    sample.add_argument("--user", default=SAMPLE_USER, metavar="EMAIL", help="owner; created if absent")
    sample.add_argument("--speed", type=float, default=20.0, help="generated bars a second")
    sample.set_defaults(run=_with_store(_sample))
    _add(commands, "list", "one line a bot", _list, ids=False)
    _add(commands, "show", "everything a row says", _show)
    _add(commands, "validate", "check the rows' documents", _validate)
    _add(commands, "trades", "all trades, oldest first", _trades)
    _add(commands, "events", "what happened", _events)
    for name, status in _REQUESTS.items():
        _add(commands, name, f"write the status `{status}`", _request(status))


def _add(commands: Any, name: str, text: str, work: "_Work", *, ids: bool = True) -> None:
    parser = commands.add_parser(name, help=text)
    if ids:
        parser.add_argument("ids", nargs="+", type=int, metavar="ID")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    parser.set_defaults(run=_with_store(work))


_Work = Callable[[BotStore, argparse.Namespace], Awaitable[int]]


def _with_store(work: _Work) -> Callable[[argparse.Namespace], int]:
    async def connected(args: argparse.Namespace) -> int:
        database = Database(Settings.from_environment().database_url, pool_size=1)
        try:
            return await work(BotStore(database, actor="command line"), args)
        finally:
            await database.aclose()

    return lambda args: asyncio.run(connected(args))


async def _import(store: BotStore, args: argparse.Namespace) -> int:
    found, refused = _readable(args.paths)
    for text in refused:
        print(f"not imported: {text}", file=sys.stderr)
    # In a folder there may be anything; a file that was named was meant, so all are imported or none.
    if not found or (refused and not any(path.is_dir() for path in args.paths)):
        print(f"nothing imported from {', '.join(map(str, args.paths))}", file=sys.stderr)
        return 1
    user_id = await store.user(args.user)
    for name, document in found:
        bot_id = await store.insert(document, user_id)
        parsed = parse_config(document)
        print(f"{bot_id}  {name}" + ("  (invalid: it won't run until it is repaired)" if parsed.error else ""))
        for problem in parsed.problems:
            print(f"   problem  {problem}", file=sys.stderr)
    return 0


def _readable(paths: list[Path]) -> tuple[list[tuple[str, Any]], list[str]]:
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


async def _sample(store: BotStore, args: argparse.Namespace) -> int:
    async with store.database.read() as connection:
        count = await connection.scalar(select(func.count()).select_from(bots_table))
    if count:
        print(f"{count} bots are there already; no samples inserted")
        return 0
    user_id = await store.user(args.user)
    for document in sample_documents(speed=args.speed):
        print(f"{await store.insert(document, user_id)}  {document['name']}")
    return 0


async def _list(store: BotStore, args: argparse.Namespace) -> int:
    rows = []
    halts = await HaltStore(store.database).active()
    for row in await store.all():
        config = parse_config(row.config).config
        halt = halt_of(halts, row.id, row.user_id)
        rows.append(
            {
                "id": row.id,
                "name": row.name,
                "symbol": config.symbol if config else None,
                "status": row.status,
                "wants": desired_state(row).state,
                "halted": None if halt is None else "flatten" if halt.flatten else "yes",
                "balance": row.current_balance,
                "pnl": row.total_pnl,
                "heartbeat": row.last_heartbeat,
                "error": row.unreadable or row.extra_metadata.get("last_error"),
            }
        )
    return print_table(rows, as_json=args.json, empty="no bots; `tradingbot bots import` makes some")


async def _show(store: BotStore, args: argparse.Namespace) -> int:
    rows = await store.all(args.ids)
    halts = await HaltStore(store.database).active()
    shown = [redacted("", row.model_dump()) | _shown_beside(row, halts) for row in rows]
    if shown:
        print_json(shown if len(args.ids) > 1 else shown[0])
    return _all_found(args.ids, [row.id for row in rows])


def _shown_beside(row: BotRow, halts: Sequence[Halt]) -> dict[str, Any]:
    halt = halt_of(halts, row.id, row.user_id)
    return {"desired": desired_state(row).reason, "halted": None if halt is None else str(halt)}


async def _validate(store: BotStore, args: argparse.Namespace) -> int:
    rows = await store.all(args.ids)
    results = [(row, parse_config(row.config)) for row in rows]
    if args.json:
        print_json([_finding(row.id, parsed) for row, parsed in results])
    else:
        for row, parsed in results:
            print_findings(f"bot {row.id}", parsed)
    missing = _all_found(args.ids, [row.id for row in rows])
    return missing or (0 if all(parsed.config for _, parsed in results) else 1)


def _finding(bot_id: int, parsed: ParsedConfig) -> dict[str, Any]:
    return {
        "id": bot_id,
        "valid": parsed.config is not None,
        "problems": [*map(str, parsed.problems)],
    }


async def _trades(store: BotStore, args: argparse.Namespace) -> int:
    names = ("id", "bot_id", "symbol", "direction", "size", "entry_time", "entry_price", "exit_time", "exit_price")
    columns = [trades_table.c[name] for name in (*names, "net_pnl", "exit_reason", "status")]
    query = select(*columns).where(trades_table.c.bot_id.in_(args.ids)).order_by(trades_table.c.id)
    async with store.database.read() as connection:
        rows = [dict(row) for row in (await connection.execute(query)).mappings()]
    return print_table(rows, as_json=args.json, empty="no trades")


async def _events(store: BotStore, args: argparse.Namespace) -> int:
    rows: list[dict[str, Any]] = []
    async with store.database.read() as connection:
        for bot_id in args.ids:
            rows += reversed(await recent_events(connection, bot_id))
    shown = [{name: row[name] for name in ("at", "bot_id", "kind", "actor", "message")} for row in rows]
    return print_table(rows if args.json else shown, as_json=args.json, empty="no events")


def _request(status: BotStatus) -> _Work:
    async def work(store: BotStore, args: argparse.Namespace) -> int:
        found = [bot_id for bot_id in args.ids if await store.request(bot_id, status)]
        if args.json:
            print(json.dumps({"requested": status, "bots": found}))
        else:
            for bot_id in found:
                print(f"bot {bot_id}: {status} was requested")
        return _all_found(args.ids, found)

    return work


def _all_found(asked: list[int], found: list[int]) -> int:
    missing = [bot_id for bot_id in asked if bot_id not in found]
    for bot_id in missing:
        print(f"no bot has the id {bot_id}", file=sys.stderr)
    return 1 if missing else 0
