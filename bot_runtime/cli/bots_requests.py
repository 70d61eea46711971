"""`tradingbot bots start`, `stop`, `restart`, `enable`, `disable`: a request is written, whoever runs the bot obeys."""

import sys
from collections.abc import Callable, Sequence

import typer

from bot_core.models.bot import BotStatus
from bot_core.models.config import parse_config
from bot_core.models.operation import OnStop
from bot_core.store.bots import BotStore
from bot_runtime.cli.confirmation import agreed
from bot_runtime.cli.connection import with_bots
from bot_runtime.cli.found import all_found
from bot_runtime.cli.options import AsJson, BotIds, Yes
from bot_runtime.cli.tables import print_json

_REQUESTS = {
    "start": BotStatus.STARTING,
    "stop": BotStatus.STOPPING,
    "restart": BotStatus.RESTARTING,
    "enable": BotStatus.ENABLED,
    "disable": BotStatus.DISABLED,
}


_WORDS = {status: name for name, status in _REQUESTS.items()}


#: What may close a position: a bot with `on_stop: flatten` obeys these by selling.
_STOPS = frozenset({BotStatus.STOPPING, BotStatus.DISABLED})
#: What lets a bot trade that did not.
_STARTS = frozenset({BotStatus.STARTING, BotStatus.ENABLED})


def register(bots: typer.Typer) -> None:
    for name, status in _REQUESTS.items():
        command = _asking(status) if status in _STOPS | _STARTS else _other(status)
        bots.command(name, help=f"Write the status `{status}`.")(command)


def _asking(status: BotStatus) -> Callable[..., int]:
    def request(ids: BotIds, *, yes: Yes = False, json: AsJson = False) -> int:
        return with_bots(lambda store: _request(store, ids, status, ask=not yes, as_json=json))

    return request


def _other(status: BotStatus) -> Callable[..., int]:
    def request(ids: BotIds, *, json: AsJson = False) -> int:
        return with_bots(lambda store: _request(store, ids, status, ask=False, as_json=json))

    return request


async def _request(store: BotStore, ids: Sequence[int], status: BotStatus, *, ask: bool, as_json: bool) -> int:
    if ask and not await _agreed(store, ids, status):
        print("nothing was requested", file=sys.stderr)
        return 1
    found = [bot_id for bot_id in ids if await store.request(bot_id, status)]
    if as_json:
        print_json({"requested": status, "bots": found})
    for bot_id in [] if as_json else found:
        print(f"bot {bot_id}: {status} was requested")
    return all_found(ids, found)


async def _agreed(store: BotStore, ids: Sequence[int], status: BotStatus) -> bool:
    """Ask where positions may be closed, or where real money begins to be traded."""
    concerned = []
    for row in await store.all(ids):
        config = parse_config(row.config).config
        if config is not None and (
            config.broker.trading_mode == "live" if status in _STARTS else config.on_stop is OnStop.FLATTEN
        ):
            concerned.append(str(row.id))
    names = ", ".join(concerned)
    if status in _STARTS:
        question = f"real money is traded by bots {names}: {_WORDS[status]} them?"
    else:
        question = f"on_stop of bots {names} is flatten: {_WORDS[status]} them and close their positions?"
    return not concerned or agreed(question, without_terminal=True)
