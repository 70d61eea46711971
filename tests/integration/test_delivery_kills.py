"""What arrives when the dispatcher dies: at every commit, and by SIGKILL before, during and after a send."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.models.errors import LeaseLostError
from bot_core.store.database import Database
from bot_core.store.duties import DutyStore
from bot_core.store.message_queue import MessageQueue
from support.outgoing import (
    TARGETS,
    Receivers,
    a_dispatcher,
    deliveries,
    dispatching,
    eventually,
    queue,
    statuses,
)
from support.scripted_venue import Crash
from support.service import Service
from support.stand_ins import Arrived, Mode
from support.waiting import wait_until


class DyingDatabase(Database):
    """The process dies at one transaction, before its commit or after it; nothing is written from then on."""

    def __init__(self, url: str, at: int, *, committed: bool) -> None:
        super().__init__(url)
        self._left = at
        self._committed = committed

    @property
    def dead(self) -> bool:
        return self._left <= 0

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        self._left -= 1
        if self._left < 0 or (self._left == 0 and not self._committed):
            raise Crash
        dies = self._left == 0
        async with super().write() as connection:
            yield connection
        if dies:
            raise Crash


def by_message(outside: Receivers, marker: str) -> dict[str, list[Arrived]]:
    found: dict[str, list[Arrived]] = {}
    for channel, arrived in outside.arrived().items():
        for one in arrived:
            if marker in one.text:
                found.setdefault(f"{channel} {one.text[one.text.index(marker) :].split()[0]}", []).append(one)
    return found


async def test_died_at_every_commit_each_message_arrives_and_only_an_unknown_one_twice(
    sqlite_url: str, outside: Receivers
) -> None:
    database = Database(sqlite_url)
    twice = marked = 0
    for at in range(1, 15):
        for committed in (False, True):
            marker = f"round-{at}-{committed}"
            for channel in ("webhook", "slack"):
                await queue(database, channel, f"{marker}-{channel}")
            dying = DyingDatabase(sqlite_url, at, committed=committed)
            with pytest.raises(Crash):
                await a_dispatcher(dying, outside.environment() | {"TELEGRAM_BOT_TOKEN": ""}, "pod:a").run(
                    asyncio.Event()
                )
            next_one = a_dispatcher(Database(sqlite_url), outside.environment() | {"TELEGRAM_BOT_TOKEN": ""}, "pod:a")
            async with dispatching(next_one):
                await eventually(lambda: _all_delivered(database), f"delivery after {marker}")
            found = by_message(outside, marker)
            assert len(found) == 2, found
            for arrived in found.values():
                assert [one.repeated for one in arrived[1:]] in ([], [True])
                assert len({one.identity for one in arrived}) == 1
                twice += len(arrived) == 2
                marked += arrived[0].repeated
    assert twice, "no death came between acceptance and mark"
    assert marked, "no death came between the note and the send"
    await database.aclose()


async def _all_delivered(database: Database) -> bool:
    return set(await statuses(database)) == {"DELIVERED"}


def a_process(folder: Path, url: str, outside: Receivers) -> Service:
    quick = {"TRADINGBOT_NOTIFY_RETRY_SECONDS": "0.1"}
    return Service(folder, url, "notify", **(outside.environment() | quick))


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("mode", "wanted"),
    [(None, [False]), (Mode.HANG, [True]), (Mode.ACCEPT_THEN_HANG, [False, True])],
    ids=["before-the-send", "during-the-send", "between-acceptance-and-mark"],
)
async def test_killed_in_the_midst_each_message_arrives_and_an_unknown_one_is_marked(
    postgres_url: str, tmp_path: Path, outside: Receivers, mode: Mode | None, wanted: list[bool]
) -> None:
    database = Database(postgres_url)
    for channel in TARGETS:
        receiver = outside.of(channel)
        if mode is None:
            receiver.refuse()
        else:
            receiver.mode = mode
        await queue(database, channel)
    with a_process(tmp_path, postgres_url, outside) as first:
        if mode is None:
            wait_until(lambda: len(_down(first)) == len(TARGETS), 60, "a try of each channel", tell=first.log.read_text)
            await eventually(lambda: _nothing_begun(database), "the note that nothing was sent")
        else:
            wait_until(lambda: _tried(outside), 30, "a send of each channel", tell=first.log.read_text)
        first.kill()
    for channel in TARGETS:
        receiver = outside.of(channel)
        if mode is None:
            receiver.answer()
        receiver.mode = Mode.FINE
    with a_process(tmp_path, postgres_url, outside) as second:
        await eventually(lambda: _all_delivered(database), "delivery by the next process", timeout=30)
        assert second.stop() == 0
    for channel, arrived in outside.arrived().items():
        assert [one.repeated for one in arrived] == wanted, channel
    for channel in ("email", "webhook"):
        assert len({one.identity for one in outside.of(channel).arrived}) == 1
    await database.aclose()


def _down(service: Service) -> set[str]:
    return {line["channel"] for line in service.events() if line["event"] == "channel_down"}


def leading(processes: list[Service]) -> list[Service]:
    return [one for one in processes if "duty_taken" in one.log.read_text()]


async def _nothing_begun(database: Database) -> bool:
    return not await deliveries(database) and set(await statuses(database)) == {"PENDING"}


def _tried(outside: Receivers) -> bool:
    return bool(outside.mail.attempts) and all(outside.of(name).requests for name in TARGETS if name != "email")


@pytest.fixture
async def postgres_database(postgres_url: str) -> AsyncIterator[Database]:
    database = Database(postgres_url)
    yield database
    await database.aclose()


@pytest.mark.postgres
async def test_two_dispatchers_at_once_of_which_one_is_killed_now_and_then_deliver_each_message_once(
    postgres_url: str, postgres_database: Database, tmp_path: Path, outside: Receivers
) -> None:
    database = postgres_database
    dice = random.Random(6)
    targets = {
        "email": lambda n: {"email_receiver": f"owner-{n}@example.com"},
        "telegram": lambda n: {"telegram_chat_id": str(1000 + n)},
        "slack": lambda n: {"slack_channel": f"#bots-{n}"},
    }
    for number in range(15):
        for channel, target in targets.items():
            await queue(database, channel, f"trade-{channel}-{number}.", more=target(number))
    processes = [a_process(tmp_path, postgres_url, outside) for _ in range(2)]
    try:
        for kill in range(2):
            wait_until(lambda count=5 * (kill + 1): _total(outside) >= count, 30, "some deliveries")
            leader = wait_until(lambda: next(iter(leading(processes)), None), 30, "a leader")
            time.sleep(dice.uniform(0, 0.1))
            leader.kill()
            processes.remove(leader)
            processes.append(a_process(tmp_path, postgres_url, outside))
        await eventually(lambda: _all_delivered(database), "delivery of all", timeout=40)
        for one in processes:
            wait_until(
                lambda one=one: one.get("/readyz")[0] == 200, 30, "a dispatcher that is ready", tell=one.log.read_text
            )
        _, figures = leading(processes)[0].get("/metrics")
    finally:
        for one in processes:
            one.kill()
    assert 'tradingbot_notification_channel_up{channel="email"} 1.0' in figures
    assert outside.telegram.conflicts == 0, "a token has one reader"
    found = by_message(outside, "trade-")
    assert len(found) == 45
    doubles = [arrived for arrived in found.values() if len(arrived) > 1]
    # What was on its way when its sender was killed may arrive after what the next one sends, or not at all.
    said = {text: [one.repeated for one in arrived] for text, arrived in found.items()}
    assert {text: repeated for text, repeated in said.items() if repeated.count(False) > 1} == {}
    assert len(doubles) <= 2 * 3 * 4, "only what was on its way when one was killed"


def _total(outside: Receivers) -> int:
    return sum(len(arrived) for arrived in outside.arrived().values())


async def test_who_was_paused_can_begin_no_send_any_more_and_its_mark_spares_the_repetition(database_url: str) -> None:
    database = Database(database_url)
    first = await queue(database, "email", "first")
    second = await queue(database, "email", "second")
    duty = await DutyStore(database, "pod:a", seconds=0.01).acquire("dispatch")
    assert duty is not None
    paused = MessageQueue(database, duty, "pod:a")
    claimed = await paused.claim("email", 10)
    assert await paused.begin([first], "email", claimed[0].key)
    taken = await eventually(lambda: DutyStore(database, "pod:b").acquire("dispatch"), "the duty to lapse")
    following = MessageQueue(database, taken, "pod:b")
    assert await following.reclaim(["email"]) == 2
    again = {row.id: row for row in await following.claim("email", 10)}
    assert (again[first].attempt, again[second].attempt) == (claimed[0].key, None)
    with pytest.raises(LeaseLostError):
        await paused.begin([second], "email", claimed[1].key)
    await paused.delivered([first], "email", "250 OK", 5)
    assert not await following.begin([first], "email", claimed[0].key), "it has arrived after all"
    await following.release([first])
    assert (await statuses(database))[0] == "DELIVERED"
    assert await following.begin([second], "email", claimed[1].key)
    await database.aclose()
