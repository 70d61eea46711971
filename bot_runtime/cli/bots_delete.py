"""`tradingbot bots delete`: a row and its trades, for good."""

import sys
from collections.abc import Sequence

import typer

from bot_core.models.errors import TradingBotError
from bot_core.store.bots import BotStore
from bot_core.store.removal import count_trades, remove_bot
from bot_runtime.cli.confirmation import agreed
from bot_runtime.cli.connection import actor, with_bots
from bot_runtime.cli.found import all_found
from bot_runtime.cli.options import AsJson, BotIds, Yes
from bot_runtime.cli.tables import print_json


def register(bots: typer.Typer) -> None:
    bots.command("delete", help="Delete stopped bots without a position, and their trades.")(delete)


def delete(ids: BotIds, *, yes: Yes = False, json: AsJson = False) -> int:
    """Without a terminal it needs --yes: what is gone is gone."""
    return with_bots(lambda store: _delete(store, ids, yes=yes, as_json=json))


async def _delete(store: BotStore, ids: Sequence[int], *, yes: bool, as_json: bool) -> int:
    found = {row.id: row for row in await store.all(ids)}
    names = [f"{row.id} ({row.name}, {await count_trades(store.database, row.id)} trades)" for row in found.values()]
    question = f"bots {', '.join(names)}: delete them, their trades included, for good?"
    if found and not yes and not agreed(question, without_terminal=False):
        print("nothing was deleted; without a terminal, --yes says that it is meant", file=sys.stderr)
        return 1
    deleted, refused = [], {}
    for bot_id in found:
        try:
            if await remove_bot(store.database, bot_id, actor=actor()):
                deleted.append(bot_id)
        except TradingBotError as error:
            refused[bot_id] = str(error)
            print(error, file=sys.stderr)
    if as_json:
        print_json({"deleted": deleted, "refused": refused})
    for bot_id in [] if as_json else deleted:
        print(f"bot {bot_id} is deleted")
    return all_found(ids, list(found)) or (1 if refused else 0)
