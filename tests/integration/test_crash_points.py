import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.schema import messages
from bot_core.store.database import Database
from bot_core.store.upgrade import upgrade
from support.bots import a_document, an_instance, books, insert_bot, run_to_the_end, surroundings


class Crash(BaseException):
    pass


class CrashingDatabase(Database):
    """Dies in its n-th transaction, either just before or just after the commit, and answers nothing afterwards."""

    def __init__(self, url: str, crash_at: int | None, *, committed: bool) -> None:
        super().__init__(url)
        self.crash_at = crash_at
        self.committed = committed
        self.transactions = 0

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        self.transactions += 1
        if self.crash_at is not None and self.transactions > self.crash_at:
            raise Crash
        async with super().write() as connection:
            yield connection
            if self.transactions == self.crash_at and not self.committed:
                raise Crash
        if self.transactions == self.crash_at:
            raise Crash


async def run(url: str, bot_id: int, crash_at: int | None = None, *, committed: bool = False) -> int:
    database = CrashingDatabase(url, None, committed=committed)
    try:
        instance = await an_instance(surroundings(database), bot_id)
        database.transactions, database.crash_at = 0, crash_at
        await run_to_the_end(instance)
        return database.transactions
    finally:
        await database.aclose()


async def the_books(url: str, bot_id: int) -> tuple[dict[str, Any], int]:
    database = Database(url)
    try:
        async with database.read() as connection:
            told = await connection.scalar(select(func.count()).select_from(messages))
        return await books(database, bot_id), int(told or 0)
    finally:
        await database.aclose()


async def new_bot(url: str) -> int:
    database = Database(url)
    try:
        data = {"data_source": "generated", "interval": "1h", "seed": 3, "speed": 0, "bars": 70}
        return await insert_bot(database, a_document(data=data))
    finally:
        await database.aclose()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_crash_before_or_after_any_single_commit_changes_nothing_in_the_end(tmp_path: Any) -> None:
    calm_url = f"sqlite:///{tmp_path / 'calm.db'}"
    upgrade(calm_url)
    bot_id = calm = await new_bot(calm_url)
    prepared = shutil.copy(tmp_path / "calm.db", tmp_path / "prepared.db")
    transactions = await run(calm_url, calm)
    expected, told = await the_books(calm_url, calm)
    assert len(expected["trading_trades"]) >= 5
    filled = [order for order in expected["bot_orders"] if order["state"] == "filled"]
    assert told == len(filled) + 1  # and one that the bot runs for the first time
    assert transactions > 20

    for crash_at in range(1, transactions + 1):
        for committed in (False, True):
            url = f"sqlite:///{shutil.copy(prepared, tmp_path / f'crash-{crash_at}-{committed}.db')}"
            await run(url, bot_id, crash_at, committed=committed)
            await run(url, bot_id)
            assert await the_books(url, bot_id) == (expected, told), f"crash in transaction {crash_at}, {committed=}"
