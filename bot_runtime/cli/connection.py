"""A command's way to the database, and in whose name it writes."""

import asyncio
import getpass
import threading
from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

from bot_core.models.errors import TradingBotError
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_core.store.looking import LookingDatabase
from bot_core.store.users import find_user
from bot_runtime.settings import Settings

_Opened = TypeVar("_Opened", bound=Database)


def with_database(work: Callable[[Database], Awaitable[int]]) -> int:
    """Connect, work, let go of the connection; return the work's exit code."""
    return connected(lambda: Database(Settings.from_environment().database_url, pool_size=1), work)


def looking(work: Callable[[LookingDatabase], Awaitable[int]]) -> int:
    """The same for work that only looks: it takes no lock, and makes no file."""
    return connected(lambda: LookingDatabase(Settings.from_environment().database_url), work)


def connected(opened: Callable[[], _Opened], work: Callable[[_Opened], Awaitable[int]]) -> int:
    """The same for a database that is opened in a way of its own."""

    async def worked() -> int:
        before = threading.enumerate()
        database = opened()
        try:
            return await work(database)
        finally:
            await database.aclose()
            await _end_of_threads(before)

    return asyncio.run(worked())


async def _end_of_threads(before: Collection[threading.Thread]) -> None:
    """A connection to SQLite that failed leaves a thread with a last word for this loop; unheard, it complains."""
    for thread in threading.enumerate():
        if thread not in before and thread.name.endswith("(_connection_worker_thread)"):
            await asyncio.to_thread(thread.join, 1.0)


def with_bots(work: Callable[[BotStore], Awaitable[int]]) -> int:
    """The same for work on the rows of bots."""
    return with_database(lambda database: work(BotStore(database, actor="command line")))


def actor() -> str:
    """Who types, for tables that say who did it."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):  # a container whose user has no name
        return "command line"


async def user_id(database: Database, name: str) -> int:
    """The id of a user given by id or address. Raise TradingBotError where there is none."""
    async with database.read() as connection:
        found = await find_user(connection, name)
    if found is None:
        raise TradingBotError(f"no user has the id or address {name!r}")
    return found
