import asyncio
import gc
import warnings

from sqlalchemy import text

from bot_core.store.database import Database


async def _read(database: Database) -> None:
    async with database.read() as connection:
        await connection.execute(text("SELECT 1"))


async def test_who_is_cancelled_while_a_connection_is_made_leaves_none_open(database_url: str) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for number in range(80):
            database = Database(database_url)
            reading = asyncio.create_task(_read(database))
            await asyncio.sleep(0.0005 * number)
            reading.cancel()
            await asyncio.wait([reading])
            await database.aclose()
        del database, reading
        gc.collect()
    assert [str(item.message) for item in told if "open" in str(item.message) or "closed" in str(item.message)] == []


async def test_who_is_cancelled_does_not_take_a_place_in_the_pool_away(database_url: str) -> None:
    database = Database(database_url, pool_size=1)
    for number in range(40):
        reading = asyncio.create_task(_read(database))
        await asyncio.sleep(0.0005 * number)
        reading.cancel()
        await asyncio.wait([reading])
    async with asyncio.timeout(5):
        await _read(database)
    await database.aclose()
