import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from bot_core.schema import messages
from bot_core.store.database import Database
from bot_core.store.duties import DutyStore
from bot_core.store.message_queue import MessageQueue
from support.outgoing import deliveries, queue, statuses


async def a_queue(database: Database, holder: str) -> MessageQueue:
    duty = await DutyStore(database, holder, seconds=0.0).acquire("dispatch")
    assert duty is not None
    return MessageQueue(database, duty, holder)


@pytest.mark.parametrize("outcome", ["postponed", "failed"])
async def test_what_one_who_lost_the_duty_says_of_a_row_spoils_no_send_of_the_next(
    database: Database, outcome: str
) -> None:
    await queue(database, "email")
    late = await a_queue(database, "pod:late")
    rows = await late.claim("email", 10)
    assert await late.begin([rows[0].id], "email", rows[0].key)
    holder = await a_queue(database, "pod:next")
    assert await holder.reclaim(["email"]) == 1
    (row,) = await holder.claim("email", 10)
    assert await holder.begin([row.id], "email", row.attempt or "")
    if outcome == "postponed":
        await late.postpone(rows, "email", "this process no longer holds the duty")
    else:
        await late.failed([row.id], "email", "refused")
    await holder.delivered([row.id], "email", None, 1)
    assert await statuses(database) == ["DELIVERED"]
    assert [one["status"] for one in await deliveries(database)] == ["DELIVERED"]
    assert await holder.claim("email", 10) == []


async def test_a_row_that_arrived_after_the_duty_was_lost_is_done_though_nobody_has_claimed_it(
    database: Database,
) -> None:
    await queue(database, "email")
    late = await a_queue(database, "pod:late")
    (row,) = await late.claim("email", 10)
    assert await late.begin([row.id], "email", row.key)
    holder = await a_queue(database, "pod:next")
    await holder.reclaim(["email"])
    await late.delivered([row.id], "email", None, 1)
    assert await statuses(database) == ["DELIVERED"]


async def test_many_that_have_expired_are_cancelled_in_short_transactions(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot_core.store.message_queue._AT_A_TIME", 3)
    old = datetime.now(UTC) - timedelta(days=4)
    for _ in range(8):
        await queue(database, "email", created_at=old, scheduled_for=old)
    fresh = await queue(database, "email")
    holder = await a_queue(database, "pod:next")
    changed: list[int] = []
    database._observe = lambda kind, _seconds, _error: changed.append(kind == "write")
    await holder.reclaim(["email"])
    assert sum(changed) >= 3
    assert await statuses(database) == ["CANCELLED"] * 8 + ["PENDING"]
    assert [row.id for row in await holder.claim("email", 10)] == [fresh]


async def test_nobody_who_writes_waits_while_the_queue_is_looked_through(database: Database) -> None:
    await queue(database, "email")
    holder = await a_queue(database, "pod:next")
    async with database.write():
        async with asyncio.timeout(3):
            assert await holder.waiting(["email", "slack"]) == {"email"}
            assert (await holder.backlog(["email"]))["email"][0] == 1
    async with database.snapshot() as connection:
        assert await connection.scalar(select(messages.c.id)) == 1
        async with asyncio.timeout(3):
            await queue(database, "email")
