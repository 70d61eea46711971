import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from bot_core.models.errors import LeaseLostError
from bot_core.models.halt import HaltScope
from bot_core.schema import bots, halts, state
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_core.store.heartbeat import Beat, beat
from bot_core.store.leases import Lease, LeaseStore
from bot_core.store.listen import Listener
from support.bots import a_document, cancel, insert_bot
from support.counting_proxy import CountingProxy
from support.postgres import PostgresServer

CURSOR = datetime(2024, 5, 1, tzinfo=UTC)


class Held:
    """A bot of user 1 whose lease is held."""

    def __init__(self, database: Database, bot_id: int, user_id: int, lease: Lease) -> None:
        self.database, self.bot_id, self.user_id, self.lease = database, bot_id, user_id, lease

    @classmethod
    async def of(cls, database: Database) -> "Held":
        bot_id = await insert_bot(database)
        row = await BotStore(database, actor="test").get(bot_id)
        lease = await LeaseStore(database, "pod:a").acquire(bot_id)
        assert row is not None
        assert lease is not None
        return cls(database, bot_id, row.user_id, lease)

    async def beat(self, seconds: float = 30, **state_values: Any) -> Beat:
        return await beat(self.database, self.lease, self.user_id, seconds, state=state_values or None)

    async def change(self, **values: Any) -> None:
        async with self.database.write() as connection:
            await connection.execute(update(bots).where(bots.c.id == self.bot_id).values(values))

    async def halt(self, scope: HaltScope, target: int | None, **values: Any) -> None:
        defaults = {"flatten": False, "created_by": "ann", "reason": None, "created_at": datetime.now(UTC)}
        async with self.database.write() as connection:
            await connection.execute(insert(halts).values(defaults | {"scope": scope, "target_id": target} | values))


async def test_a_beat_renews_the_lease_and_writes_heartbeat_and_state(database: Database) -> None:
    held = await Held.of(database)
    async with database.write() as connection:
        await connection.execute(insert(state).values(bot_id=held.bot_id, updated_at=datetime.now(UTC)))
    before = held.lease.deadline
    told = await held.beat(1000, cursor=CURSOR, rule_state={"a": [1]}, updated_at=datetime.now(UTC))
    assert told.deadline == held.lease.deadline > before + 900
    assert 900 < held.lease.seconds_left() <= 1000
    assert (told.status, told.halt) == ("enabled", None)
    row = await BotStore(database, actor="test").get(held.bot_id)
    assert row is not None
    assert row.last_heartbeat is not None
    assert abs(row.last_heartbeat - datetime.now(UTC)) < timedelta(seconds=60)
    async with database.read() as connection:
        saved = (await connection.execute(select(state).where(state.c.bot_id == held.bot_id))).one()
    assert (saved.cursor, saved.rule_state) == (CURSOR, {"a": [1]})


async def test_a_lease_that_another_process_took_is_said_and_nothing_is_written(database: Database) -> None:
    held = await Held.of(database)
    async with database.write() as connection:
        await connection.execute(insert(state).values(bot_id=held.bot_id, cursor=CURSOR, updated_at=datetime.now(UTC)))
    await LeaseStore(database, "pod:a").release(held.lease)
    other = await LeaseStore(database, "pod:b").acquire(held.bot_id)
    assert other is not None
    with pytest.raises(LeaseLostError, match=f"bot {held.bot_id}: the lease of epoch 1 was taken"):
        await held.beat(cursor=CURSOR + timedelta(hours=1))
    row = await BotStore(database, actor="test").get(held.bot_id)
    assert row is not None
    assert row.last_heartbeat is None
    assert held.lease.seconds_left() < 0
    async with database.read() as connection:
        assert await connection.scalar(select(state.c.cursor).where(state.c.bot_id == held.bot_id)) == CURSOR


async def test_the_version_changes_with_document_and_status_and_with_nothing_else(database: Database) -> None:
    held = await Held.of(database)
    first = (await held.beat()).version
    await held.change(error_count=3, current_balance=5)
    assert (await held.beat()).version == first
    await held.change(status="stopping")
    told = await held.beat()
    assert told.status == "stopping"
    assert told.version != first
    await held.change(status="enabled")
    assert (await held.beat()).version == first
    await held.change(config=a_document(name="another"))
    assert (await held.beat()).version != first


async def test_the_halt_that_applies_is_told_one_that_flattens_first_then_the_oldest(database: Database) -> None:
    held = await Held.of(database)
    now = datetime.now(UTC)
    await held.halt(HaltScope.BOT, held.bot_id + 1, reason="another bot's")
    await held.halt(HaltScope.USER, held.user_id + 1, reason="another user's")
    await held.halt(HaltScope.ALL, None, reason="over", cleared_at=now, flatten=True)
    assert (await held.beat()).halt is None
    await held.halt(HaltScope.USER, held.user_id, reason="the user's", created_at=now)
    await held.halt(HaltScope.BOT, held.bot_id, created_at=now - timedelta(hours=1))
    halt = (await held.beat()).halt
    assert halt is not None
    assert (halt.scope, halt.flatten, halt.reason, halt.created_by) == (HaltScope.BOT, False, "", "ann")
    await held.halt(HaltScope.ALL, None, flatten=True, reason="now")
    halt = (await held.beat()).halt
    assert halt is not None
    assert (halt.scope, halt.flatten, halt.reason) == (HaltScope.ALL, True, "now")


@pytest.mark.postgres
async def test_a_beat_is_one_statement_and_one_round_trip(postgres: PostgresServer, postgres_url: str) -> None:
    async with CountingProxy(postgres.port) as proxy:
        direct = Database(postgres_url)
        held = await Held.of(direct)
        async with direct.write() as connection:
            await connection.execute(insert(state).values(bot_id=held.bot_id, updated_at=datetime.now(UTC)))
        held.database = Database(postgres_url.replace(f":{postgres.port}/", f":{proxy.port}/"), pool_size=1)
        async with held.database.write() as connection:  # a transaction before and after: the mode is put back
            assert await connection.scalar(text("SELECT 1")) == 1
        for values in ({}, {"cursor": CURSOR, "rule_state": {"a": 1}, "updated_at": datetime.now(UTC)}):
            await held.beat(**values)
            before, said = proxy.round_trips, len(proxy.statements)
            await held.beat(**values)
            assert proxy.round_trips == before + 1, proxy.statements[said:]
            assert len(proxy.statements) == said + 1
            assert "renewed" in proxy.statements[-1]
        async with held.database.write() as connection:
            await connection.execute(text("SELECT 1"))
        assert [one.split()[0] for one in proxy.statements[-3:]] == ["BEGIN", "SELECT", "COMMIT"]
        await held.database.aclose()
        await direct.aclose()


@pytest.mark.postgres
async def test_no_beat_of_a_connection_costs_more_than_the_first(postgres: PostgresServer, postgres_url: str) -> None:
    async with CountingProxy(postgres.port) as proxy:
        through = Database(postgres_url.replace(f":{postgres.port}/", f":{proxy.port}/"), pool_size=1)
        held = await Held.of(through)
        await held.beat()
        for number in range(2, 13):  # a driver may prepare what it has sent some times, with a round trip of its own
            before, said = proxy.round_trips, len(proxy.statements)
            await held.beat()
            asked = proxy.round_trips - before, len(proxy.statements) - said
            assert asked == (1, 1), f"beat {number}: {proxy.statements[said:]}"
        await through.aclose()


@pytest.mark.postgres
async def test_beats_of_two_processes_go_through_a_pooler_that_mixes_their_sessions(pooled_url: str) -> None:
    databases = [Database(pooled_url, pool_size=1) for _ in range(2)]
    held = [await Held.of(database) for database in databases]
    for _ in range(12):
        await asyncio.gather(*(one.beat() for one in held))
    assert all(one.lease.seconds_left() > 0 for one in held)
    for database in databases:
        await database.aclose()


@pytest.mark.postgres
async def test_a_beat_notifies_nobody(postgres_url: str) -> None:
    database = Database(postgres_url)
    held = await Held.of(database)
    heard: list[int | None] = []
    listening = asyncio.create_task(Listener(database.url, heard.append).run())
    async with asyncio.timeout(10):
        while not heard:
            await asyncio.sleep(0.02)
    for _ in range(3):
        await held.beat()
    await held.change(status="stopping")  # which is heard after all that was said before
    async with asyncio.timeout(10):
        while len(heard) < 2:
            await asyncio.sleep(0.02)
    assert heard == [None, held.bot_id]
    await cancel(listening)
    await database.aclose()


@pytest.mark.postgres
async def test_a_beat_that_waited_for_a_change_of_the_row_tells_of_it(postgres_url: str) -> None:
    database = Database(postgres_url)
    held = await Held.of(database)
    async with database.write() as connection:
        await connection.execute(update(bots).where(bots.c.id == held.bot_id).values(status="disabled"))
        waiting = asyncio.create_task(held.beat())
        async with asyncio.timeout(8):
            while not await _waits_for_a_lock(database):
                await asyncio.sleep(0.02)
    assert (await waiting).status == "disabled"
    await database.aclose()


async def _waits_for_a_lock(database: Database) -> bool:
    """In a transaction of its own: within one, PostgreSQL goes on showing what it showed first."""
    query = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%renewed%'")
    async with database.read() as connection:
        return bool(await connection.scalar(query))
