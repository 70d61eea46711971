import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from bot_core.schema import events, messages
from bot_core.store.database import Database
from bot_core.store.message_list import retry_messages
from bot_core.store.message_queue import MessageQueue
from bot_runtime.notifications.metrics import NotificationFigures
from support.bots import insert_bot
from support.outgoing import (
    QUICK,
    TARGETS,
    Receivers,
    a_dispatcher,
    deliveries,
    dispatching,
    eventually,
    queue,
    rows,
    statuses,
)
from support.stand_ins import Mode

CHANNELS = pytest.mark.parametrize("channel", sorted(TARGETS))


@pytest.fixture
async def sqlite(sqlite_url: str) -> AsyncIterator[Database]:
    database = Database(sqlite_url)
    yield database
    await database.aclose()


async def all_done(database: Database, wanted: str = "DELIVERED") -> bool:
    return set(await statuses(database)) == {wanted}


async def test_each_channel_gets_its_messages_once_and_the_tables_say_so(
    database: Database, outside: Receivers
) -> None:
    for number in range(3):
        for channel in TARGETS:
            await queue(database, channel, f"trade {number}")
    async with dispatching(a_dispatcher(Database(database.url.render_as_string(False)), outside.environment())):
        await eventually(lambda: all_done(database), "delivery of all")
    for arrived in outside.arrived().values():
        assert sorted(one.text.count("trade ") and one.repeated for one in arrived) == [False] * 3
    noted = await deliveries(database)
    assert {(row["status"], row["channel"]) for row in noted} == {("DELIVERED", name) for name in TARGETS}
    assert len(noted) == 12
    assert all(row["response_time_ms"] is not None and row["external_id"] for row in noted)
    assert all(row["processed_at"] and row["locked_by"] is None for row in await rows(database))


@CHANNELS
async def test_a_channel_that_refuses_connections_keeps_its_messages_and_their_retries(
    sqlite: Database, outside: Receivers, channel: str
) -> None:
    outside.of(channel).refuse()
    message = await queue(sqlite, channel, max_retries=0)
    other = next(name for name in TARGETS if name != channel)
    beside = await queue(sqlite, other)
    figures = NotificationFigures()
    async with dispatching(a_dispatcher(Database(str(sqlite.url)), outside.environment(), figures=figures)):
        await eventually(lambda: figures.outcomes[channel, "postponed"], "a try that was put off")
        await eventually(lambda: figures.outcomes[other, "delivered"], "delivery by the other channel")
        assert [row["status"] for row in await rows(sqlite) if row["id"] == beside] == ["DELIVERED"]
        if channel != "webhook":
            assert figures.up[channel] is False
        outside.of(channel).answer()
        await eventually(lambda: all_done(sqlite), "delivery after the outage")
    assert [row["retry_count"] for row in await rows(sqlite) if row["id"] == message] == [0]
    (arrived,) = outside.of(channel).arrived
    assert not arrived.repeated
    assert figures.up[channel] is True


@pytest.mark.parametrize("mode", [Mode.BROKEN, Mode.BUSY])
@CHANNELS
async def test_a_server_that_says_it_did_nothing_gets_the_message_once_when_it_works_again(
    sqlite: Database, outside: Receivers, channel: str, mode: Mode
) -> None:
    outside.of(channel).mode = mode
    await queue(sqlite, channel)
    figures = NotificationFigures()
    async with dispatching(a_dispatcher(Database(str(sqlite.url)), outside.environment(), figures=figures)):
        outcome = "retried" if channel == "email" else "postponed"
        await eventually(lambda: figures.outcomes[channel, outcome], "a try that failed")
        outside.of(channel).mode = Mode.FINE
        await eventually(lambda: all_done(sqlite), "delivery")
    (arrived,) = outside.of(channel).arrived
    assert not arrived.repeated


@CHANNELS
async def test_an_answer_that_is_lost_after_acceptance_brings_one_marked_repetition_with_the_same_identity(
    sqlite: Database, outside: Receivers, channel: str
) -> None:
    receiver = outside.of(channel)
    receiver.mode = Mode.ACCEPT_THEN_DROP
    await queue(sqlite, channel)
    async with dispatching(a_dispatcher(Database(str(sqlite.url)), outside.environment())):
        await eventually(lambda: receiver.arrived, "acceptance")
        receiver.mode = Mode.FINE
        await eventually(lambda: all_done(sqlite), "delivery")
    first, second = receiver.arrived
    assert (first.repeated, second.repeated) == (False, True)
    if channel in {"email", "webhook"}:
        assert first.identity == second.identity != ""


@CHANNELS
async def test_what_a_channel_rejects_is_a_dead_letter_with_an_event_and_can_be_tried_again(
    sqlite: Database, outside: Receivers, channel: str
) -> None:
    bot_id = await insert_bot(sqlite)
    receiver = outside.of(channel)
    receiver.mode = Mode.REJECT
    message = await queue(sqlite, channel, more={"bot_id": bot_id, "correlation_id": "c-1"})
    async with dispatching(a_dispatcher(Database(str(sqlite.url)), outside.environment())):
        await eventually(lambda: all_done(sqlite, "FAILED"), "a dead letter")
        (row,) = await rows(sqlite)
        assert row["last_error"].startswith(f"{channel}: ")
        async with sqlite.read() as connection:
            told = (await connection.execute(select(events).where(events.c.kind == "notification_failed"))).one()
        assert (told.bot_id, told.correlation_id) == (bot_id, "c-1")
        assert f"message {message}" in told.message
        receiver.mode = Mode.FINE
        assert await retry_messages(sqlite, [message, 999], by="a person") == [message]
        await eventually(lambda: all_done(sqlite), "delivery of the second try")
    (arrived,) = receiver.arrived
    assert not arrived.repeated


async def test_a_passing_refusal_uses_up_retries_and_then_ends(sqlite: Database, outside: Receivers) -> None:
    outside.mail.mode = Mode.BROKEN
    await queue(sqlite, "email", max_retries=2)
    async with dispatching(a_dispatcher(Database(str(sqlite.url)), outside.environment())):
        await eventually(lambda: all_done(sqlite, "FAILED"), "a dead letter")
    (row,) = await rows(sqlite)
    assert (row["retry_count"], outside.mail.attempts) == (2, 3)


async def test_the_most_urgent_go_first_and_the_future_waits(sqlite: Database, outside: Receivers) -> None:
    for priority in ("LOW", "NORMAL", "CRITICAL", "HIGH"):
        await queue(sqlite, "webhook", priority, priority=priority)
    await queue(sqlite, "webhook", "later", scheduled_for=datetime.now(UTC) + timedelta(hours=1))
    async with dispatching(a_dispatcher(Database(str(sqlite.url)), outside.environment())):
        await eventually(lambda: len(outside.webhook.arrived) == 4, "four deliveries")
    assert [one.title for one in outside.webhook.arrived] == ["CRITICAL", "HIGH", "NORMAL", "LOW"]
    assert (await statuses(sqlite))[-1] == "PENDING"


async def test_rows_of_channels_that_are_not_here_wait_for_whoever_has_them(
    sqlite: Database, outside: Receivers
) -> None:
    await queue(sqlite, "sms")
    both = await queue(sqlite, "email", channels=["email", "sms"])
    async with dispatching(a_dispatcher(Database(str(sqlite.url)), outside.environment())):
        await eventually(lambda: outside.mail.arrived, "the channel that is here")
        await queue(sqlite, "email", "another")
        await eventually(lambda: len(outside.mail.arrived) == 2, "the next message")
    assert await statuses(sqlite) == ["PENDING", "PENDING", "DELIVERED"]
    first = (await deliveries(sqlite))[0]
    assert (first["message_id"], first["channel"]) == (both, "email")
    assert {row["locked_by"] for row in await rows(sqlite)} == {None}


async def test_a_row_of_two_channels_goes_to_each_once_though_one_is_down(
    database: Database, outside: Receivers
) -> None:
    outside.telegram.refuse()
    await queue(database, "email", channels=["telegram", "email"], more=TARGETS["telegram"])
    figures = NotificationFigures()
    url = database.url.render_as_string(False)
    async with dispatching(a_dispatcher(Database(url), outside.environment(), figures=figures)):
        await eventually(lambda: outside.mail.arrived, "the channel that works")
        assert await statuses(database) != ["DELIVERED"]
        outside.telegram.answer()
        await eventually(lambda: all_done(database), "the other channel")
    assert (len(outside.mail.arrived), len(outside.telegram.arrived)) == (1, 1)


async def test_many_messages_for_one_target_become_one_digest(sqlite: Database, outside: Receivers) -> None:
    for number in range(8):
        await queue(sqlite, "telegram", f"trade <{number}>")
    await queue(sqlite, "telegram", "elsewhere", more={"telegram_chat_id": "77"})
    async with dispatching(a_dispatcher(Database(str(sqlite.url)), outside.environment())):
        await eventually(lambda: all_done(sqlite), "delivery")
    (digest,) = outside.telegram.said_to(4242)
    assert all(f"trade &lt;{number}&gt;" in digest for number in range(8))
    assert len(outside.telegram.said_to(77)) == 1
    assert len({row["external_id"] for row in await deliveries(sqlite) if row["message_id"] < 9}) == 1


async def test_an_error_that_repeats_within_ten_minutes_is_told_once_and_trades_are_all_told(
    sqlite: Database, outside: Receivers
) -> None:
    now = datetime.now(UTC)
    for minutes in (25, 20, 1, 0):
        created = now - timedelta(minutes=minutes)
        await queue(sqlite, "webhook", "broken", message_type="error", created_at=created)
    await queue(sqlite, "webhook", "broken", message_type="error", recipient_id="2")
    for _ in range(2):
        await queue(sqlite, "webhook", "bought")
        await queue(sqlite, "webhook", "summary", more={"dedup_key": "daily 2026-01-01"})
    async with dispatching(a_dispatcher(Database(str(sqlite.url)), outside.environment())):
        await eventually(lambda: _none_waits(sqlite), "delivery")
    gone = [number for number, status in enumerate(await statuses(sqlite), 1) if status == "CANCELLED"]
    assert gone == [2, 4, 9]
    assert [one.title for one in outside.webhook.arrived] == ["6 messages"]
    assert (await rows(sqlite))[1]["last_error"] == "duplicate of message 1"


async def _none_waits(database: Database) -> bool:
    return not {"PENDING", "PROCESSING"} & set(await statuses(database))


async def test_what_is_older_than_three_days_is_not_sent_any_more(sqlite: Database, outside: Receivers) -> None:
    old = datetime.now(UTC) - timedelta(days=4)
    await queue(sqlite, "email", created_at=old, scheduled_for=old)
    await queue(sqlite, "sms", created_at=old, scheduled_for=old)
    async with dispatching(a_dispatcher(Database(str(sqlite.url)), outside.environment())):
        await eventually(lambda: _first_is(sqlite, "CANCELLED"), "the end of the old one")
    assert (await rows(sqlite))[0]["last_error"] == "expired: not delivered in 3 days"
    assert await statuses(sqlite) == ["CANCELLED", "PENDING"]
    assert outside.mail.arrived == []


async def _first_is(database: Database, status: str) -> bool:
    return (await statuses(database))[0] == status


async def test_what_another_program_left_locked_is_repeated_after_five_minutes_and_not_before(
    database: Database, outside: Receivers
) -> None:
    stale = await queue(database, "email", "stale")
    fresh = await queue(database, "email", "fresh")
    for message, minutes in ((stale, 6), (fresh, 4)):
        locked = {"locked_by": "notification-service", "locked_at": datetime.now(UTC) - timedelta(minutes=minutes)}
        async with database.write() as connection:
            this = messages.c.id == message
            await connection.execute(update(messages).where(this).values(status="PROCESSING", **locked))
    url = database.url.render_as_string(False)
    async with dispatching(a_dispatcher(Database(url), outside.environment())):
        await eventually(lambda: outside.mail.arrived, "the stale one")
    assert await statuses(database) == ["DELIVERED", "PROCESSING"]
    assert [one.repeated for one in outside.mail.arrived] == [True]


async def test_a_hanging_channel_does_not_hold_up_another(sqlite: Database, outside: Receivers) -> None:
    outside.slack.mode = Mode.HANG
    await queue(sqlite, "slack")
    async with dispatching(a_dispatcher(Database(str(sqlite.url)), outside.environment())):
        await eventually(lambda: outside.slack.requests, "the request that hangs")
        await queue(sqlite, "telegram")
        await eventually(lambda: outside.telegram.arrived, "the other channel", timeout=5)
        assert outside.slack.arrived == []


async def test_extra_work_is_done_under_the_duty_and_its_failure_stops_no_delivery(
    sqlite: Database, outside: Receivers
) -> None:
    seen = []

    async def work(duty: object, now: datetime) -> int:
        seen.append((duty.name, now.tzinfo))  # type: ignore[attr-defined]
        raise ValueError("no summary today")

    async with dispatching(a_dispatcher(Database(str(sqlite.url)), outside.environment(), extra_work=[work])):
        await eventually(lambda: len(seen) > 1, "a second turn")
        await queue(sqlite, "email")
        await eventually(lambda: all_done(sqlite), "delivery")
    assert seen[0] == ("dispatch", UTC)


async def test_when_the_first_dispatcher_ends_the_second_goes_on(database: Database, outside: Receivers) -> None:
    url = database.url.render_as_string(False)
    second = a_dispatcher(Database(url), outside.environment(), "pod:b")
    async with dispatching(a_dispatcher(Database(url), outside.environment(), "pod:a")) as first:
        await eventually(lambda: first.leading, "the first to lead")
        task, stop = None, asyncio.Event()
        task = asyncio.create_task(second.run(stop))
        await queue(database, "email")
        await eventually(lambda: all_done(database), "delivery")
        assert not second.leading
    await eventually(lambda: second.leading, "the second to lead")
    await queue(database, "email")
    await eventually(lambda: all_done(database), "delivery")
    stop.set()
    await task
    assert len(outside.mail.arrived) == 2


async def test_a_fault_of_ours_ends_a_term_and_the_next_one_delivers(
    sqlite: Database, outside: Receivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = MessageQueue.waiting
    faults = iter([ArithmeticError("a fault of ours")])

    async def waiting_after_a_fault(self: MessageQueue, channels: Iterable[str]) -> set[str]:
        for fault in faults:
            raise fault
        return await waiting(self, channels)

    monkeypatch.setattr(MessageQueue, "waiting", waiting_after_a_fault)
    for channel in TARGETS:
        await queue(sqlite, channel)
    async with dispatching(a_dispatcher(Database(str(sqlite.url)), outside.environment())):
        await eventually(lambda: all_done(sqlite), "delivery")
    assert not any(one.repeated for arrived in outside.arrived().values() for one in arrived)


async def test_a_server_that_knows_nobody_for_the_first_minutes_gets_its_mail_later(
    sqlite: Database, outside: Receivers
) -> None:
    outside.mail.mode = Mode.BROKEN
    await queue(sqlite, "email")
    rhythm = replace(QUICK, retry=5.0)
    async with dispatching(a_dispatcher(Database(str(sqlite.url)), outside.environment(), rhythm=rhythm)):
        await eventually(lambda: _retried(sqlite), "a try that failed")
    (row,) = await rows(sqlite)
    assert row["scheduled_for"] - datetime.now(UTC) > timedelta(minutes=2)


async def _retried(database: Database) -> bool:
    return (await rows(database))[0]["retry_count"] == 1
