import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import IntegrityError

from bot_core.models.errors import DatabaseUnavailableError, SchemaMissingError
from bot_core.schema import duties, users
from bot_core.store.database import Database
from bot_runtime.engine.figures import DatabaseFigures

ANNA = {"email": "anna@example.com", "role": "trader", "is_active": True}


@pytest.fixture
def figures() -> DatabaseFigures:
    return DatabaseFigures()


@pytest.fixture
async def database(database_url: str, figures: DatabaseFigures) -> AsyncIterator[Database]:
    opened = Database(database_url, observe=figures.observe)
    yield opened
    await opened.aclose()


def counted(figures: DatabaseFigures) -> dict[str, int]:
    return {kind: sum(taken.counts) for kind, taken in figures.seconds.items()}


async def test_each_transaction_is_timed_by_its_kind(database: Database, figures: DatabaseFigures) -> None:
    assert figures.up is None
    async with database.write() as connection:
        await connection.execute(insert(users).values(ANNA))
        await asyncio.sleep(0.05)
    async with database.read() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM usr_users")) == 1
    assert counted(figures) == {"read": 1, "write": 1}
    assert figures.seconds["write"].total >= 0.05
    assert (figures.errors, figures.up) == (0, True)


async def test_what_the_database_refuses_for_a_reason_is_no_error_and_what_it_can_not_do_is(
    database: Database, figures: DatabaseFigures
) -> None:
    with pytest.raises(ValueError, match="ours"):
        async with database.write():
            raise ValueError("ours")
    twice = insert(duties).values(name="mail", holder="a", epoch=1, expires_at=datetime.now(UTC), memory={})
    for _ in range(2):
        with suppress(IntegrityError):
            async with database.write() as connection:
                await connection.execute(twice)
    assert (figures.errors, figures.up) == (0, True)
    with pytest.raises(SchemaMissingError):
        async with database.read() as connection:
            await connection.execute(text("SELECT 1 FROM no_such_table"))
    assert (figures.errors, figures.up, counted(figures)) == (1, False, {"read": 1, "write": 3})
    async with database.read() as connection:
        await connection.execute(text("SELECT 1"))
    assert (figures.errors, figures.up) == (1, True)


async def test_a_transaction_that_nobody_waits_for_any_more_says_nothing_of_the_database(
    database: Database, figures: DatabaseFigures
) -> None:
    begun = asyncio.Event()

    async def hold() -> None:
        async with database.read():
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (counted(figures), figures.up) == ({"read": 0, "write": 0}, None)


async def test_a_server_that_is_not_there_is_down() -> None:
    figures = DatabaseFigures()
    database = Database("postgresql://nobody@127.0.0.1:9/nothing", observe=figures.observe)
    with pytest.raises(DatabaseUnavailableError):
        async with database.read():
            pass
    await database.aclose()
    assert (figures.errors, figures.up) == (1, False)
