"""The operator's rows on PostgreSQL: one that is held locked, and one with a value that nobody can read."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from bot_core.models.bot import BotStatus
from bot_core.models.errors import DatabaseUnavailableError
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_operator.fence import Fence, FencedDatabase
from support.bots import a_document, insert_bot

pytestmark = pytest.mark.postgres
_POOL = 5


@pytest.fixture
async def operators(postgres_url: str) -> AsyncIterator[BotStore]:
    database = FencedDatabase(postgres_url, Fence.always_open(), pool_size=_POOL)
    yield BotStore(database, actor="operator")
    await database.aclose()


async def test_rows_that_somebody_holds_locked_keep_no_other_row_from_being_written(
    operators: BotStore, postgres_url: str
) -> None:
    person = Database(postgres_url)
    held = [await insert_bot(person, a_document()) for _ in range(2 * _POOL)]
    free = await insert_bot(person, a_document())
    async with person.write() as connection:
        await connection.execute(text("UPDATE trading_bots SET description = 'mine' WHERE id <> :id"), {"id": free})
        writes = [asyncio.create_task(operators.failed(bot_id, "trouble")) for bot_id in held]
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await operators.failed(free, "trouble")
        ended = await asyncio.gather(*writes, return_exceptions=True)
    assert {type(error) for error in ended} == {DatabaseUnavailableError}
    assert "lock timeout" in str(ended[0])
    row = await operators.get(free)
    assert row is not None
    assert row.status == BotStatus.ERROR
    await operators.failed(held[0], "trouble")
    await person.aclose()


@pytest.mark.parametrize("spoil", ["last_heartbeat = 'infinity'", "started_at = '20000-01-01'"])
async def test_a_value_that_can_not_be_read_keeps_no_row_from_being_written(operators: BotStore, spoil: str) -> None:
    bot_id = await insert_bot(operators.database, a_document())
    async with operators.database.write() as connection:
        await connection.execute(text(f"UPDATE trading_bots SET {spoil}, extra_metadata = '{{\"kept\": 1}}'"))
    seen = await operators.get(bot_id)
    assert seen is not None
    assert "a value of the row can't be read" in (seen.unreadable or "")
    assert seen.document == a_document()
    await operators.failed(bot_id, "trouble", seen=seen)
    row = await operators.get(bot_id)
    assert row is not None
    assert (row.status, row.error_count) == (BotStatus.ERROR, 1)
    assert (row.extra_metadata["kept"], row.extra_metadata["last_error"]) == (1, "trouble")
