import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from bot_core.models.halt import Halt, HaltScope, halt_of
from bot_core.schema import events, halts
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_core.store.halts import HaltStore
from bot_core.store.listen import Listener
from support.bots import a_document, cancel


async def bots_of(database: Database, email: str, count: int = 1) -> tuple[list[int], int]:
    store = BotStore(database, actor="test")
    user_id = await store.user(email)
    return [await store.insert(a_document(), user_id) for _ in range(count)], user_id


async def halt_for(database: Database, bot_id: int, user_id: int) -> Halt | None:
    return halt_of(await HaltStore(database).active(), bot_id, user_id)


async def told(database: Database, bot_id: int) -> list[tuple[str, str]]:
    async with database.read() as connection:
        query = select(events.c.kind, events.c.message).where(events.c.bot_id == bot_id).order_by(events.c.id)
        return [(row.kind, row.message) for row in await connection.execute(query)]


async def test_a_halt_stands_for_whom_it_is_meant_until_it_is_cleared(database: Database) -> None:
    (mine, also_mine), me = await bots_of(database, "me@x.org", 2)
    (theirs,), you = await bots_of(database, "you@x.org")
    store = HaltStore(database)
    halt = await store.halt(HaltScope.BOT, mine, flatten=False, reason="odd fills", by="anna")
    assert str(halt).startswith("halted (this bot) by anna since 2")
    assert str(halt).endswith(" UTC: odd fills")
    assert await halt_for(database, mine, me) == halt
    assert await halt_for(database, also_mine, me) is None
    user = await store.halt(HaltScope.USER, me, flatten=False, reason="", by="anna")
    assert await halt_for(database, mine, me) == halt  # the oldest
    assert await halt_for(database, also_mine, me) == user
    assert await halt_for(database, theirs, you) is None
    everybody = await store.halt(HaltScope.ALL, None, flatten=True, reason="", by="bert")
    assert await halt_for(database, mine, me) == everybody  # what flattens comes first
    assert await halt_for(database, theirs, you) == everybody
    assert await store.active() == [halt, user, everybody]
    assert await store.resume(HaltScope.ALL, None, by="bert") == 1
    assert await store.resume(HaltScope.ALL, None, by="bert") == 0
    assert await halt_for(database, mine, me) == halt
    assert await store.resume(HaltScope.BOT, mine, by="bert") == 1
    assert await halt_for(database, mine, me) == user
    assert await store.resume(HaltScope.USER, me, by="bert") == 1
    assert await halt_for(database, mine, me) is None


async def test_halts_survive_whoever_wrote_them_and_say_who_cleared_them(database_url: str) -> None:
    first = Database(database_url)
    (bot_id,), user_id = await bots_of(first, "me@x.org")
    await HaltStore(first).halt(HaltScope.BOT, bot_id, flatten=False, reason="", by="anna")
    await HaltStore(first).halt(HaltScope.BOT, bot_id, flatten=True, reason="", by="bert")
    await first.aclose()
    second = Database(database_url)
    found = await halt_for(second, bot_id, user_id)
    assert found is not None
    assert (found.flatten, found.created_by) == (True, "bert")
    assert await HaltStore(second).resume(HaltScope.BOT, bot_id, by="carl") == 2
    async with second.read() as connection:
        rows = (await connection.execute(select(halts.c.cleared_by, halts.c.cleared_at))).all()
    assert [row.cleared_by for row in rows] == ["carl", "carl"]
    assert all(row.cleared_at is not None for row in rows)
    await second.aclose()


async def test_each_bot_concerned_has_it_in_its_events(database: Database) -> None:
    (mine, also_mine), me = await bots_of(database, "me@x.org", 2)
    (theirs,), _ = await bots_of(database, "you@x.org")
    halt = await HaltStore(database).halt(HaltScope.USER, me, flatten=True, reason="leave", by="anna")
    await HaltStore(database).resume(HaltScope.USER, me, by="bert")
    await HaltStore(database).resume(HaltScope.USER, me, by="bert")
    assert await told(database, mine) == [("halted", str(halt)), ("resumed", "resumed by bert")]
    assert await told(database, also_mine) == await told(database, mine)
    assert await told(database, theirs) == []
    async with database.read() as connection:
        query = select(events).where(events.c.bot_id == mine).order_by(events.c.id)
        halted, resumed = (await connection.execute(query)).all()
    assert (halted.actor, halted.old_value) == ("anna", None)
    assert halted.new_value == {"halt": halt.id, "scope": "user", "flatten": True}
    assert (resumed.actor, resumed.old_value, resumed.new_value) == (
        "bert",
        {"halts": [halt.id], "scope": "user"},
        None,
    )


@pytest.mark.postgres
async def test_a_halt_wakes_those_who_run_the_bots_it_concerns(postgres_url: str) -> None:
    database = Database(postgres_url)
    (mine, also_mine), me = await bots_of(database, "me@x.org", 2)
    await bots_of(database, "you@x.org")
    woken: asyncio.Queue[int | None] = asyncio.Queue()
    listening = asyncio.create_task(Listener(database.url, woken.put_nowait).run())

    async def heard(count: int) -> list[int | None]:
        async with asyncio.timeout(10):
            return [await woken.get() for _ in range(count)]

    try:
        assert await heard(1) == [None]  # connected
        store = HaltStore(database)
        await store.halt(HaltScope.BOT, mine, flatten=False, reason="", by="anna")
        assert await heard(1) == [mine]
        await store.halt(HaltScope.USER, me, flatten=False, reason="", by="anna")
        assert await heard(2) == [mine, also_mine]
        await store.halt(HaltScope.ALL, None, flatten=False, reason="", by="anna")
        assert await heard(1) == [None]
        await store.resume(HaltScope.USER, me, by="anna")
        assert await heard(2) == [mine, also_mine]
        await store.resume(HaltScope.USER, me, by="anna")  # nothing stands, nobody is woken
        await store.resume(HaltScope.ALL, None, by="anna")
        assert await heard(1) == [None]
        assert woken.empty()
    finally:
        await cancel(listening)
        await database.aclose()


def test_a_halt_concerns_its_target_alone() -> None:
    at = datetime(2026, 3, 2, tzinfo=UTC)
    bot = Halt(1, HaltScope.BOT, flatten=False, reason="", created_by="anna", created_at=at, target_id=7)
    user = Halt(2, HaltScope.USER, flatten=False, reason="", created_by="anna", created_at=at, target_id=3)
    assert halt_of([bot, user], 7, 3) is bot
    assert halt_of([bot, user], 3, 7) is None
    assert halt_of([bot, user], 8, 3) is user
    assert halt_of([], 7, 3) is None
