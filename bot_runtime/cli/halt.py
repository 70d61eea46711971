"""`tradingbot halt` and `resume`: the kill switch. It writes the halt; each bot obeys within a heartbeat."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeAlias

import typer

from bot_core.models.halt import Halt, HaltScope
from bot_core.store.database import Database
from bot_core.store.halts import HaltStore
from bot_core.store.users import known_bots
from bot_runtime.cli.confirmation import agreed
from bot_runtime.cli.connection import actor, user_id, with_database
from bot_runtime.cli.found import tell_missing
from bot_runtime.cli.options import AsJson, Yes, bot_id
from bot_runtime.cli.tables import print_json
from bot_runtime.cli.usage import require_one

_Target = tuple[HaltScope, int | None]


def register(app: typer.Typer) -> None:
    app.command("halt", help="Stop entries until `resume`; --flatten closes positions as well.")(halt)
    app.command("resume", help="Clear the halts of exactly these bots, this user, or all bots.")(resume)


_All: TypeAlias = Annotated[bool, typer.Option("--all", help="Every bot, those to come as well.")]
_User: TypeAlias = Annotated[str | None, typer.Option(metavar="EMAIL|ID", help="Every bot of a user.")]
_Bots: TypeAlias = Annotated[
    list[int] | None,
    typer.Option("--bot", parser=bot_id, metavar="ID", help="One bot; may be given several times."),
]


@dataclass(frozen=True, slots=True)
class _Whom:
    everybody: bool
    user: str | None
    bots: list[int]

    @classmethod
    def of(cls, everybody: bool, user: str | None, bots: Sequence[int] | None) -> "_Whom":  # noqa: FBT001
        require_one(all=everybody, user=user, bot=bots)
        return cls(everybody, user, list(dict.fromkeys(bots or ())))

    def __str__(self) -> str:
        if self.everybody:
            return "ALL bots"
        if self.user is not None:
            return f"bots of user {self.user}"
        return f"bot{'s' if len(self.bots) > 1 else ''} {', '.join(map(str, self.bots))}"


def halt(
    *,
    everybody: _All = False,
    user: _User = None,
    bots: _Bots = None,
    flatten: Annotated[bool, typer.Option("--flatten", help="Close open positions as well.")] = False,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it is shown wherever the halt is.")] = "",
    yes: Yes = False,
    json: AsJson = False,
) -> int:
    whom = _Whom.of(everybody, user, bots)
    what = "halt and close positions" if flatten else "halt"
    question = f"{whom}: {what}?"
    much = everybody or flatten
    return with_database(
        lambda database: _halt(
            database, whom, flatten=flatten, reason=reason, as_json=json, question="" if yes or not much else question
        )
    )


def resume(
    *, everybody: _All = False, user: _User = None, bots: _Bots = None, yes: Yes = False, json: AsJson = False
) -> int:
    whom = _Whom.of(everybody, user, bots)
    if everybody and not yes and not agreed("the halt of ALL bots: clear it?", without_terminal=True):
        print("nothing was resumed", file=sys.stderr)
        return 1
    return with_database(lambda database: _resume(database, whom, as_json=json))


async def _halt(database: Database, whom: _Whom, *, flatten: bool, reason: str, as_json: bool, question: str) -> int:
    targets, missing = await _targets(database, whom)
    # A script is never kept waiting, and an emergency stop must work without a terminal.
    if question and targets and not agreed(question, without_terminal=True):
        print("nothing was halted", file=sys.stderr)
        return 1
    store = HaltStore(database)
    halts = [await store.halt(scope, target, flatten=flatten, reason=reason, by=actor()) for scope, target in targets]
    if as_json:
        print_json({"halted": [halt.facts() for halt in halts]})
    for halt in [] if as_json else halts:
        more = "; positions are closed" if halt.flatten else "; positions are kept, exits go on"
        print(f"{name_of(halt.scope, halt.target_id)} {_are(halt.scope)} halted{more}")
    return tell_missing(missing)


async def _resume(database: Database, whom: _Whom, *, as_json: bool) -> int:
    targets, missing = await _targets(database, whom)
    store = HaltStore(database)
    cleared = {target: await store.resume(*target, by=actor()) for target in targets}
    standing = await store.active()
    if as_json:
        print_json({"cleared": sum(cleared.values()), "standing": [halt.facts() for halt in standing]})
    else:
        _tell_resumed(cleared, standing)
    return tell_missing(missing)


def _tell_resumed(cleared: Mapping[_Target, int], standing: Sequence[Halt]) -> None:
    for (scope, target), count in cleared.items():
        name = name_of(scope, target)
        print(f"{name}: halts cleared: {count}" if count else f"{name}: no halt to clear")
    for halt in standing:
        print(f"still standing: {name_of(halt.scope, halt.target_id)} {halt}")


async def _targets(database: Database, whom: _Whom) -> tuple[list[_Target], list[int]]:
    """Whom it is for, and the ids that are no bot's."""
    if whom.everybody:
        return [(HaltScope.ALL, None)], []
    if whom.user is not None:
        return [(HaltScope.USER, await user_id(database, whom.user))], []
    async with database.read() as connection:
        known = await known_bots(connection, whom.bots)
    return [(HaltScope.BOT, bot_id) for bot_id in known], [bot_id for bot_id in whom.bots if bot_id not in known]


def name_of(scope: HaltScope, target: int | None) -> str:
    return {HaltScope.ALL: "all bots", HaltScope.USER: f"bots of user {target}", HaltScope.BOT: f"bot {target}"}[scope]


def _are(scope: HaltScope) -> str:
    return "is" if scope is HaltScope.BOT else "are"
