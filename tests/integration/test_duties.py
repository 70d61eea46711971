import pytest

from bot_core.models.errors import LeaseLostError
from bot_core.store.database import Database
from bot_core.store.duties import DutyStore


async def test_a_duty_has_one_holder_and_its_memory_passes_to_the_next(database: Database) -> None:
    first, second = DutyStore(database, "pod:a"), DutyStore(database, "pod:b")
    duty = await first.acquire("dispatch")
    assert duty is not None
    assert duty.valid
    assert await second.acquire("dispatch") is None
    async with database.write() as connection:
        await duty.remember(connection, offset=7)
    await first.renew(duty)
    await first.release(duty)
    taken = await second.acquire("dispatch")
    assert taken is not None
    assert taken.epoch == duty.epoch + 1
    async with database.write() as connection:
        assert await taken.check(connection) == {"offset": 7}


async def test_who_lost_a_duty_can_neither_renew_it_nor_write_under_it(database: Database) -> None:
    first, second = DutyStore(database, "pod:a", seconds=0.01), DutyStore(database, "pod:b")
    duty = await first.acquire("dispatch")
    assert duty is not None
    taken = None
    while taken is None:
        taken = await second.acquire("dispatch")
    with pytest.raises(LeaseLostError):
        await first.renew(duty)
    with pytest.raises(LeaseLostError):
        async with database.write() as connection:
            await duty.remember(connection, offset=8)
    async with database.write() as connection:
        assert await taken.check(connection) == {}


async def test_duties_of_different_names_are_taken_apart(database: Database) -> None:
    store = DutyStore(database, "pod:a")
    assert await store.acquire("dispatch") is not None
    assert await DutyStore(database, "pod:b").acquire("summaries") is not None
