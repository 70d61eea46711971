"""`tradingbot bots start`, `stop`, `restart`, `enable`, `disable`: a request is written, whoever runs the bot obeys."""

from collections.abc import Callable, Sequence

import typer

from bot_core.models.bot import BotStatus
from bot_core.store.bots import BotStore
from bot_runtime.cli.connection import with_bots
from bot_runtime.cli.found import all_found
from bot_runtime.cli.options import AsJson, BotIds
from bot_runtime.cli.tables import print_json

_REQUESTS = {
    "start": BotStatus.STARTING,
    "stop": BotStatus.STOPPING,
    "restart": BotStatus.RESTARTING,
    "enable": BotStatus.ENABLED,
    "disable": BotStatus.DISABLED,
}


def register(bots: typer.Typer) -> None:
    for name, status in _REQUESTS.items():
        bots.command(name, help=f"Write the status `{status}`.")(_command(status))


def _command(status: BotStatus) -> Callable[..., int]:
    def request(ids: BotIds, *, json: AsJson = False) -> int:
        return with_bots(lambda store: _request(store, ids, status, as_json=json))

    return request


async def _request(store: BotStore, ids: Sequence[int], status: BotStatus, *, as_json: bool) -> int:
    found = [bot_id for bot_id in ids if await store.request(bot_id, status)]
    if as_json:
        print_json({"requested": status, "bots": found})
    for bot_id in [] if as_json else found:
        print(f"bot {bot_id}: {status} was requested")
    return all_found(ids, found)
