"""`tradingbot confirm-shrink`: let go the bots that the safety brake holds. It needs the database and nothing else."""

import sys
from typing import Annotated

import typer

from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_core.store.shrinks import Shrink, ShrinkStore
from bot_runtime.cli.confirmation import agreed
from bot_runtime.cli.connection import actor, with_database
from bot_runtime.cli.options import AsJson, Yes
from bot_runtime.cli.tables import print_json

HELP = "Show which bots the safety brake holds, and let them stop."
_NAMED = 20


def register(app: typer.Typer) -> None:
    app.command("confirm-shrink", help=HELP)(confirm_shrink)


def confirm_shrink(
    *,
    code: Annotated[
        str | None,
        typer.Argument(metavar="CODE", help="What is held, as log, Event and condition name it; default: all."),
    ] = None,
    yes: Yes = False,
    json: AsJson = False,
) -> int:
    """A confirmation counts for exactly the bots that are shown, once, for a quarter of an hour."""
    return with_database(lambda database: _confirm(database, code, yes=yes, as_json=json))


async def _confirm(database: Database, code: str | None, *, yes: bool, as_json: bool) -> int:
    store = ShrinkStore(database)
    held = [item for item in await store.standing() if item.confirmed_by is None and code in {None, item.code}]
    names = await _names(database)
    if not as_json:
        _show(held, code, names)
    confirmed = []
    for item in held:
        question = f"{item.code}: stop {len(item.bots)} bots of {item.holder}?"
        if yes or agreed(question, without_terminal=False):
            confirmed.append(await store.confirm(item.code, by=actor()))
    if as_json:
        waiting = [item for item in held if item.id not in {done.id for done in confirmed}]
        print_json({"confirmed": [item.facts() for item in confirmed], "held": [item.facts() for item in waiting]})
    elif held and not confirmed:
        print("nothing was confirmed; without a terminal, --yes says that it is meant", file=sys.stderr)
    for item in [] if as_json else confirmed:
        print(f"{item.code}: confirmed by {item.confirmed_by}; {len(item.bots)} bots of {item.holder} stop now")
    return 1 if len(confirmed) < len(held) or (code is not None and not held) else 0


async def _names(database: Database) -> dict[int, str]:
    """Names of bots whose rows are still there; none where nothing can be read, which may be why they are held."""
    try:
        return {row.id: row.name for row in await BotStore(database, actor="command line").all()}
    except Exception:  # noqa: BLE001  # a missing table of bots must not keep anybody from confirming
        return {}


def _show(held: list[Shrink], code: str | None, names: dict[int, str]) -> None:
    if not held:
        what = f"{code} is not held, or no more" if code else "the safety brake holds nothing"
        print(what, file=sys.stderr if code else sys.stdout)
    for item in held:
        print(f"{item.code}  {item.holder}  since {item.asked_at:%Y-%m-%d %H:%M:%S} UTC: {item.reason}")
        for bot_id in sorted(item.bots)[:_NAMED]:
            print(f"  bot {bot_id}  {names.get(bot_id, '(its row is gone)')}")
        if len(item.bots) > _NAMED:
            print(f"  and {len(item.bots) - _NAMED} more; --json lists all")
        if not item.asks:
            print("  (goes without a confirmation too, once a second reading says the same)")
