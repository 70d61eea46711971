import asyncio
from pathlib import Path

import pytest
from sqlalchemy import update

from bot_core.models.errors import LeaseLostError
from bot_core.schema import leases as leases_table
from bot_core.store.database import Database
from bot_core.store.heartbeat import beat
from bot_core.store.leases import Lease, LeaseStore, is_dead, process_holder
from support.bots import insert_bot

USER = 1  # halts of a user are no matter here


@pytest.fixture
async def database(database_url: str):
    database = Database(database_url)
    yield database
    await database.aclose()


async def lapse(database: Database, bot_id: int) -> None:
    async with database.write() as connection:
        await connection.execute(
            update(leases_table).where(leases_table.c.bot_id == bot_id).values(expires_at=database.after(-1))
        )


async def check(database: Database, lease: Lease) -> None:
    async with database.write() as connection:
        await lease.check(connection)


async def test_only_one_of_many_that_try_at_once_gets_a_free_lease(database: Database) -> None:
    bot_id = await insert_bot(database)
    stores = [LeaseStore(database, f"pod:{number}") for number in range(8)]
    got = [lease for lease in await asyncio.gather(*(s.acquire(bot_id) for s in stores)) if lease]
    assert len(got) == 1
    assert got[0].epoch == 1
    assert got[0].valid


async def test_a_held_lease_is_refused_and_a_lapsed_one_is_taken_with_a_higher_epoch(database: Database) -> None:
    bot_id = await insert_bot(database)
    old = await LeaseStore(database, "pod:a").acquire(bot_id)
    assert old is not None
    assert await LeaseStore(database, "pod:b").acquire(bot_id) is None
    await lapse(database, bot_id)
    new = await LeaseStore(database, "pod:b").acquire(bot_id)
    assert new is not None
    assert new.epoch == old.epoch + 1


async def test_a_fenced_holder_can_neither_write_nor_renew(database: Database) -> None:
    bot_id = await insert_bot(database)
    store = LeaseStore(database, "pod:a")
    old = await store.acquire(bot_id)
    assert old is not None
    await check(database, old)
    await lapse(database, bot_id)
    assert await LeaseStore(database, "pod:b").acquire(bot_id) is not None
    with pytest.raises(LeaseLostError):
        await check(database, old)
    with pytest.raises(LeaseLostError):
        await beat(database, old, USER, store.seconds)


async def test_a_lapsed_lease_that_nobody_took_can_be_renewed(database: Database) -> None:
    bot_id = await insert_bot(database)
    store = LeaseStore(database, "pod:a")
    lease = await store.acquire(bot_id)
    assert lease is not None
    await lapse(database, bot_id)
    await beat(database, lease, USER, store.seconds)
    assert await LeaseStore(database, "pod:b").acquire(bot_id) is None


async def test_a_released_lease_is_free_at_once(database: Database) -> None:
    bot_id = await insert_bot(database)
    store = LeaseStore(database, "pod:a")
    lease = await store.acquire(bot_id)
    assert lease is not None
    await store.release(lease)
    assert not lease.valid
    assert await LeaseStore(database, "pod:b").acquire(bot_id) is not None


async def test_the_lease_of_a_process_that_is_known_to_be_dead_is_free(database: Database) -> None:
    bot_id = await insert_bot(database)
    process = await asyncio.create_subprocess_exec("sleep", "60")
    fields = process_holder().split(":")
    stat = await asyncio.to_thread(Path(f"/proc/{process.pid}/stat").read_text)
    holder = ":".join([*fields[:3], str(process.pid), stat.rpartition(")")[2].split()[19]])
    assert await LeaseStore(database, holder).acquire(bot_id) is not None
    assert not is_dead(holder)
    assert await LeaseStore(database, "pod:b").acquire(bot_id) is None
    process.kill()
    await process.wait()
    assert is_dead(holder)
    assert await LeaseStore(database, "pod:b").acquire(bot_id) is not None


def test_a_holder_elsewhere_is_never_called_dead() -> None:
    assert not is_dead("pod:0b7c")
    assert not is_dead("process:other-host:boot@1:1:2")
    assert not is_dead("nonsense")


async def test_a_takeover_waits_for_the_transaction_that_checked_the_lease(database: Database) -> None:
    bot_id = await insert_bot(database)
    lease = await LeaseStore(database, "pod:a").acquire(bot_id)
    assert lease is not None
    await lapse(database, bot_id)
    order: list[str] = []

    async def takeover() -> None:
        assert await LeaseStore(database, "pod:b").acquire(bot_id) is not None
        order.append("taken")

    async with database.write() as connection:
        await lease.check(connection)
        taking = asyncio.create_task(takeover())
        await asyncio.sleep(0.2)
        order.append("written")
    await taking
    assert order == ["written", "taken"]
