from pathlib import Path

import pytest
from sqlalchemy import insert, select

from bot_core.models.bot import BotStatus
from bot_core.schema import halts
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_core.store.upgrade import upgrade
from bot_operator.fence import Fence, FencedDatabase, NotLeaderError, elapsed
from support.operator_builders import NOW, a_document


def test_a_fence_closes_by_itself() -> None:
    now = [100.0]
    fence = Fence(lambda: now[0])
    assert not fence.is_open
    fence.open_until(107)
    fence.check("a write")
    now[0] = 107
    with pytest.raises(NotLeaderError, match="a write: not sent"):
        fence.check("a write")
    assert Fence.always_open().is_open


def test_the_clock_never_goes_back() -> None:
    seen = [elapsed() for _ in range(100)]
    assert seen == sorted(seen)


async def test_rows_are_read_by_anybody_and_written_by_the_leader_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'bots.db'}"
    upgrade(url)
    theirs = Database(url)
    people = BotStore(theirs, actor="test")
    bot_id = await people.insert(a_document(), await people.user("trader@example.com"))
    fence = Fence.always_open()
    ours = FencedDatabase(url, fence)
    store = BotStore(ours, actor="operator")
    await store.failed(bot_id, "first")
    fence.close()
    assert (await store.all())[0].extra_metadata["last_error"] == "first"
    for write in (store.failed(bot_id, "second"), store.stopped(bot_id), store.request(bot_id, BotStatus.DISABLED)):
        with pytest.raises(NotLeaderError):
            await write
    assert (await people.all())[0].extra_metadata["last_error"] == "first"
    await ours.aclose()
    await theirs.aclose()


async def test_a_transaction_that_leadership_did_not_outlast_is_rolled_back(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'bots.db'}"
    upgrade(url)
    fence = Fence.always_open()
    database = FencedDatabase(url, fence)

    async def write() -> None:
        async with database.write() as connection:
            await connection.execute(insert(halts).values(scope="all", flatten=False, created_by="a", created_at=NOW))
            fence.close()  # as a process that was frozen here finds it

    with pytest.raises(NotLeaderError):
        await write()
    async with database.read() as connection:
        assert (await connection.execute(select(halts.c.id))).all() == []
    await database.aclose()
