"""`tradingbot halt` and `resume`: the kill switch. It writes the halt; each bot obeys within a heartbeat."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from bot_core.models.halt import Halt, HaltScope
from bot_core.store.database import Database
from bot_core.store.halts import HaltStore
from bot_core.store.users import known_bots
from bot_runtime.cli.connection import actor, user_id, with_database
from bot_runtime.cli.subparsers import Subparsers
from bot_runtime.cli.tables import print_json

_Target = tuple[HaltScope, int | None]


def add_parser(subparsers: Subparsers) -> None:
    halt = subparsers.add_parser("halt", help="stop bots from entering, until `resume`; --flatten closes positions too")
    _add_targets(halt)
    halt.add_argument("--flatten", action="store_true", help="close open positions as well")
    halt.add_argument("--reason", default="", metavar="TEXT", help="why; it is shown wherever the halt is")
    halt.add_argument("--yes", action="store_true", help="do not ask, on a terminal, before --all and --flatten")
    halt.set_defaults(run=with_database(_halt))
    resume = subparsers.add_parser("resume", help="clear the halts of exactly these bots, this user, or all bots")
    _add_targets(resume)
    resume.set_defaults(run=with_database(_resume))


def _add_targets(parser: argparse.ArgumentParser) -> None:
    whom = parser.add_mutually_exclusive_group(required=True)
    whom.add_argument("--all", action="store_true", help="every bot, those to come as well")
    whom.add_argument("--user", metavar="EMAIL|ID", help="every bot of a user")
    whom.add_argument("--bot", type=int, action="append", metavar="ID", help="one bot; may be given several times")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


async def _halt(database: Database, args: argparse.Namespace) -> int:
    targets, missing = await _targets(database, args)
    if not _agreed(args):
        print("nothing was halted", file=sys.stderr)
        return 1
    store = HaltStore(database)
    halts = [
        await store.halt(scope, target, flatten=args.flatten, reason=args.reason, by=actor())
        for scope, target in targets
    ]
    if args.json:
        print_json({"halted": [halt_json(halt) for halt in halts]})
    for halt in [] if args.json else halts:
        more = "; positions are closed" if halt.flatten else "; positions are kept, exits go on"
        print(f"{_name(halt.scope, halt.target_id)} {_are(halt.scope)} halted{more}")
    return _tell_missing(missing)


async def _resume(database: Database, args: argparse.Namespace) -> int:
    targets, missing = await _targets(database, args)
    store = HaltStore(database)
    cleared = {target: await store.resume(*target, by=actor()) for target in targets}
    standing = await store.active()
    if args.json:
        print_json({"cleared": sum(cleared.values()), "standing": [halt_json(halt) for halt in standing]})
    else:
        _tell_resumed(cleared, standing)
    return _tell_missing(missing)


def _tell_resumed(cleared: Mapping[_Target, int], standing: Sequence[Halt]) -> None:
    for (scope, target), count in cleared.items():
        name = _name(scope, target)
        print(f"{name}: halts cleared: {count}" if count else f"{name}: no halt to clear")
    for halt in standing:
        print(f"still standing: {_name(halt.scope, halt.target_id)} {halt}")


async def _targets(database: Database, args: argparse.Namespace) -> tuple[list[_Target], list[int]]:
    """Whom it is for, and the ids that are no bot's."""
    if args.all:
        return [(HaltScope.ALL, None)], []
    if args.user is not None:
        return [(HaltScope.USER, await user_id(database, args.user))], []
    ids = list(dict.fromkeys(args.bot))
    async with database.read() as connection:
        known = await known_bots(connection, ids)
    return [(HaltScope.BOT, bot_id) for bot_id in known], [bot_id for bot_id in ids if bot_id not in known]


def _agreed(args: argparse.Namespace) -> bool:
    """Ask a person at a terminal before much is done; a script is never kept waiting."""
    if args.yes or not (args.all or args.flatten) or not sys.stdin.isatty():
        return True
    whom = "ALL bots" if args.all else "these bots"
    what = "halt them and close their positions" if args.flatten else "halt them"
    return input(f"{whom}: {what}? Type yes: ").strip().lower() in {"y", "yes"}


def _tell_missing(missing: list[int]) -> int:
    for bot_id in missing:
        print(f"no bot has the id {bot_id}", file=sys.stderr)
    return 1 if missing else 0


def _name(scope: HaltScope, target: int | None) -> str:
    return {HaltScope.ALL: "all bots", HaltScope.USER: f"bots of user {target}", HaltScope.BOT: f"bot {target}"}[scope]


def _are(scope: HaltScope) -> str:
    return "is" if scope is HaltScope.BOT else "are"


def halt_json(halt: Halt) -> dict[str, Any]:
    return {
        "id": halt.id,
        "scope": halt.scope,
        "target_id": halt.target_id,
        "flatten": halt.flatten,
        "reason": halt.reason,
        "by": halt.created_by,
        "since": halt.created_at,
    }
