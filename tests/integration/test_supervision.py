import asyncio
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from sqlalchemy import func, select, text

from bot_core.models.bot import BotStatus, Quarantine
from bot_core.models.config import BotConfig
from bot_core.models.errors import TransientError
from bot_core.models.extensions import Group, use_extensions
from bot_core.schema import leases, messages, orders
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_core.store.leases import LeaseStore
from bot_runtime import liveness, plugins, strategy_manager
from bot_runtime.brokers.paper import PaperBroker
from bot_runtime.engine import bot_instance
from bot_runtime.engine.board import FleetBoard, Phase
from bot_runtime.engine.failures import FailureLimit
from bot_runtime.engine.progress import Progress
from bot_runtime.feeds.generated import GeneratedFeed
from bot_runtime.health import HealthServer
from bot_runtime.plugin_api import EntryPlugin
from bot_runtime.plugins import Plugins
from bot_runtime.watchdog import Watchdog
from support.bars import strategy_document
from support.bots import a_document
from support.live_feeds import eventually
from support.running import PACED, Running, events_of, new_bot, running

THRICE = FailureLimit(3, 600)
FAULTS: set[str] = set()


class FaultyEntry(EntryPlugin):
    name = "FaultyEntry"

    def evaluate(self, view: Any) -> str | None:  # noqa: ARG002 - the port
        if "raise" in FAULTS:
            raise ValueError("boom, password=hunter2")
        return "now" if "buy" in FAULTS else None


class FaultyFeed(GeneratedFeed):
    def bars(self, after: Any) -> Any:
        if "away" in FAULTS:
            raise TransientError("the venue does not answer")
        return super().bars(after)


class FaultyBroker(PaperBroker):
    def __init__(self, config: BotConfig) -> None:
        super().__init__(config.broker.commission)

    async def submit(self, *args: Any, **more: Any) -> Any:
        while "hang" in FAULTS or "cling" in FAULTS:
            try:
                await asyncio.sleep(0.02 if "cling" in FAULTS else 1000)
            except asyncio.CancelledError:
                if "cling" not in FAULTS:
                    raise
        return await super().submit(*args, **more)


class Point:
    dist = None
    value = "a test"

    def __init__(self, group: Group, name: str, item: Any) -> None:
        self.group, self.name, self._item = group.entry_points, name, item

    def load(self) -> Any:
        return self._item


POINTS = [
    Point(Group.ENTRIES, "FaultyEntry", FaultyEntry),
    Point(Group.FEEDS, "faulty", FaultyFeed),
    Point(Group.BROKERS, "faulty", FaultyBroker),
]


@pytest.fixture(autouse=True)
def _faulty_plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(plugins, "_used", [])
    before = use_extensions(Plugins(list))
    plugins.install(Plugins(lambda: POINTS))  # type: ignore[arg-type,return-value]
    yield
    use_extensions(before)
    FAULTS.clear()


def faulty(**changes: Any) -> dict[str, Any]:
    told = {"error_notifications": True, "telegram_enabled": True}
    return {"strategy": strategy_document("FaultyEntry"), "notifications": told} | changes


async def in_quarantine(seen: Running, bot_id: int) -> dict[str, Any]:
    async def quarantined() -> bool:
        return "quarantined" in (await seen.row(bot_id)).extra_metadata

    await seen.until(quarantined, "quarantine")
    return (await seen.row(bot_id)).extra_metadata


async def test_a_bot_that_raises_is_built_again_and_no_other_bot_notices(sqlite_url: str) -> None:
    async with running(sqlite_url) as seen:
        bot_id, other = await new_bot(sqlite_url, **faulty()), await new_bot(sqlite_url)
        await seen.until_status(bot_id, "running")
        FAULTS.add("raise")
        row = await seen.until_status(bot_id, "error")
        assert row.extra_metadata["last_error"].startswith("boom")
        FAULTS.clear()
        row = await seen.until_status(bot_id, "running")
        assert "last_error" not in row.extra_metadata
        assert seen.fleet.bots[bot_id].restarts >= 1
        assert (seen.fleet.bots[other].restarts, seen.fleet.bots[other].errors) == (0, 0)
        assert seen.fleet.bots[other].bars > 0


async def test_a_bot_that_fails_too_often_is_quarantined_and_a_restarted_process_leaves_it_alone(
    database_url: str,
) -> None:
    FAULTS.add("raise")
    async with running(database_url, limit=THRICE) as seen:
        bot_id = await new_bot(database_url, **faulty())
        metadata = await in_quarantine(seen, bot_id)
        assert metadata["quarantined"]["failures"] == 3
        assert metadata["last_error"].startswith("quarantined after 3 failures in 10 min: boom")
        assert "hunter2" not in str(metadata)
        (event,) = await events_of(seen.database, bot_id, "quarantined")
        assert event.message == metadata["last_error"]
        async with seen.database.read() as connection:
            query = select(messages.c.content).where(messages.c.message_type == "error").order_by(messages.c.id.desc())
            assert "quarantined after 3 failures" in (await connection.scalars(query)).first()["message"]
        await eventually(lambda: seen.fleet.bots[bot_id].quarantined, "the board that says so")
        assert seen.fleet.bots[bot_id].phase is Phase.ERROR
    assert (await _row(database_url, bot_id)).status == "error"
    async with running(database_url, limit=THRICE) as seen:
        other = await new_bot(database_url)
        await seen.until_status(other, "running")
        assert seen.manager.running == 1
        assert seen.fleet.bots[bot_id].message == metadata["last_error"]
        assert seen.fleet.bots[bot_id].quarantined
        assert (await seen.row(bot_id)).status == "error"


@pytest.mark.parametrize("after_restart", [True, False])
@pytest.mark.parametrize("healing", ["starting", "enabled", "restarting", "document"])
async def test_a_quarantined_bot_is_healed_by_a_request_or_by_its_row(
    sqlite_url: str, healing: str, after_restart: bool
) -> None:
    FAULTS.add("raise")
    async with running(sqlite_url, limit=THRICE) as seen:
        bot_id = await new_bot(sqlite_url, **faulty())
        await in_quarantine(seen, bot_id)
        if not after_restart:
            await _heal(seen, bot_id, healing)
    if after_restart:
        async with running(sqlite_url, limit=THRICE) as seen:
            await _heal(seen, bot_id, healing)


async def _heal(seen: Running, bot_id: int, healing: str) -> None:
    FAULTS.clear()
    if healing == "document":
        await seen.change(bot_id, config=a_document(data=PACED, name="mended", **faulty()))
    else:
        await seen.change(bot_id, status=healing)
    row = await seen.until_status(bot_id, "running")
    assert not {"quarantined", "last_error"} & row.extra_metadata.keys()


async def test_a_running_bot_that_another_process_quarantines_ends_leaves_the_mark_and_is_healed_by_a_request(
    database_url: str,
) -> None:
    async with running(database_url) as seen:
        bot_id, other = await new_bot(database_url, **faulty()), await new_bot(database_url)
        for number in (bot_id, other):
            await seen.until_status(number, "running")
        operator = BotStore(seen.database, actor="operator")
        mark = Quarantine(3, (await seen.row(bot_id)).config_hash)
        await operator.failed(bot_id, "quarantined: no heartbeat", quarantine=mark)
        seen.manager.wake(bot_id)

        async def idle() -> bool:
            return seen.fleet.bots[bot_id].quarantined

        await seen.until(idle, "the bot's end")
        assert seen.manager.running == 1
        async with seen.database.read() as connection:
            held = select(leases.c.expires_at > seen.database.now()).where(leases.c.bot_id == bot_id)
            assert not await connection.scalar(held)
        row = await seen.row(bot_id)
        assert (row.status, row.extra_metadata["last_error"]) == ("error", "quarantined: no heartbeat")
        assert row.quarantined
        await _heal(seen, bot_id, "starting")


async def test_nobody_writes_running_over_a_quarantine(sqlite_url: str) -> None:
    bot_id = await new_bot(sqlite_url)
    database = Database(sqlite_url)
    store = BotStore(database, actor="test")
    held = await LeaseStore(database, "a process").acquire(bot_id)
    row = await store.get(bot_id)
    assert held is not None
    assert row is not None
    await store.failed(bot_id, "no heartbeat", quarantine=Quarantine(3, row.config_hash))
    assert not await store.observe(held, BotStatus.RUNNING)
    await store.request(bot_id, BotStatus.STARTING)
    assert await store.observe(held, BotStatus.RUNNING)
    await database.aclose()


async def test_the_end_of_a_process_does_not_heal_a_quarantine_that_it_has_not_seen(sqlite_url: str) -> None:
    async with running(sqlite_url) as seen:
        bot_id = await new_bot(sqlite_url, **faulty())
        await seen.until_status(bot_id, "running")
        mark = Quarantine(3, (await seen.row(bot_id)).config_hash)
        await BotStore(seen.database, actor="operator").failed(bot_id, "no heartbeat", quarantine=mark)
    assert (await _row(sqlite_url, bot_id)).quarantined


async def test_a_quarantined_bot_can_be_stopped(sqlite_url: str) -> None:
    FAULTS.add("raise")
    async with running(sqlite_url, limit=THRICE) as seen:
        bot_id = await new_bot(sqlite_url, **faulty())
        await in_quarantine(seen, bot_id)
        await seen.change(bot_id, status="stopping")
        row = await seen.until_status(bot_id, "stopped")
        assert row.extra_metadata["stopped_by"] == "request"


async def test_a_venue_that_is_away_is_waited_for_and_never_quarantines(sqlite_url: str) -> None:
    FAULTS.add("away")
    async with running(sqlite_url, limit=FailureLimit(1, 600)) as seen:
        bot_id = await new_bot(sqlite_url, data=PACED | {"data_source": "faulty"})

        async def tried_often() -> bool:
            return bot_id in seen.fleet.bots and seen.fleet.bots[bot_id].restarts >= 3

        await seen.until(tried_often, "attempts")
        assert seen.fleet.bots[bot_id].phase in {Phase.WAITING, Phase.STARTING, Phase.RUNNING}
        assert "quarantined" not in (await seen.row(bot_id)).extra_metadata
        FAULTS.clear()

        async def bars() -> bool:
            return seen.fleet.bots[bot_id].bars > 0

        await seen.until(bars, "bars")


HANGING = {"broker": {"type": "faulty", "trading_mode": "paper", "cash": 10000.0, "commission": 0.001}}


async def test_a_loop_that_stands_still_is_cancelled_and_goes_on_with_its_one_order(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strategy_manager, "_LOOK_SECONDS", 0.6)
    FAULTS.add("hang")
    async with running(sqlite_url, stall_seconds=1.0) as seen:
        bot_id, other = await new_bot(sqlite_url, **HANGING), await new_bot(sqlite_url)

        async def interrupted() -> bool:
            return bool(await events_of(seen.database, bot_id, "stalled"))

        await seen.until(interrupted, "the interruption", 40)
        FAULTS.clear()

        async def traded() -> bool:
            return await seen.trade_count(bot_id) > 1

        await seen.until(traded, "trades", 40)
        assert "was cancelled" in (await events_of(seen.database, bot_id, "stalled"))[0].message
        assert not await events_of(seen.database, other, "stalled")
        assert seen.fleet.bots[other].restarts == 0
        async with seen.database.read() as connection:
            ids = (await connection.scalars(select(orders.c.client_order_id).where(orders.c.bot_id == bot_id))).all()
        assert len(ids) == len(set(ids))


async def test_stalls_count_as_failures_and_end_in_quarantine(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strategy_manager, "_LOOK_SECONDS", 0.6)
    FAULTS.add("hang")
    async with running(sqlite_url, stall_seconds=0.5, limit=FailureLimit(2, 600)) as seen:
        bot_id = await new_bot(sqlite_url, **HANGING)
        metadata = await in_quarantine(seen, bot_id)
        assert "its loop stood still" in metadata["last_error"]


async def test_a_loop_that_can_not_be_cancelled_is_left_told_and_fails_the_probe(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strategy_manager, "_LOOK_SECONDS", 0.6)
    monkeypatch.setattr(bot_instance, "CANCEL_SECONDS", 0.5)
    monkeypatch.setattr(liveness, "_MENDED", 1.0)
    FAULTS.add("cling")
    progress = Progress()
    async with running(sqlite_url, stall_seconds=1.0, around={"progress": progress}) as seen:
        server = await _health(seen.fleet, progress, stall_seconds=1.0)
        bot_id = await new_bot(sqlite_url, **HANGING)

        async def told() -> bool:
            return bool(await events_of(seen.database, bot_id, "stalled"))

        await seen.until(told, "the report", 40)
        assert "can't be cancelled" in (await events_of(seen.database, bot_id, "stalled"))[0].message
        assert seen.fleet.bots[bot_id].phase is Phase.ERROR

        async def failing() -> bool:
            status, body = await _get(server)
            return status == 503 and f"bot-{bot_id}" in body["stalled"]

        await seen.until(failing, "a failing probe")
        FAULTS.clear()
        await server.aclose()


async def test_a_blocked_event_loop_fails_the_probe_for_a_while_after_it_goes_on() -> None:
    watchdog = Watchdog(0.3, turn_seconds=0.05)
    watchdog.start()
    server = await _health(FleetBoard(), Progress(), blocked=lambda: watchdog.lately_blocked_seconds)
    try:
        assert (await _get(server))[0] == 200
        until = time.monotonic() + 0.6
        while time.monotonic() < until:
            pass
        status, body = await _get(server)
        assert (status, body["alive"]) == (503, False)
        assert body["event_loop_blocked_seconds"] >= 0.3
        async with asyncio.timeout(10):
            while (await _get(server))[0] != 200:
                await asyncio.sleep(0.02)
    finally:
        watchdog.stop()
        await server.aclose()


@pytest.mark.postgres
async def test_the_probe_answers_while_slow_queries_hold_every_connection(postgres_url: str) -> None:
    database = Database(postgres_url, pool_size=2)
    server = await _health(FleetBoard(), Progress())

    async def slow() -> None:
        async with database.read() as connection:
            await connection.execute(text("SELECT pg_sleep(2)"))

    async def waiting() -> None:
        async with database.read() as connection:
            await connection.scalar(select(func.now()))

    work = [asyncio.create_task(slow()) for _ in range(2)] + [asyncio.create_task(waiting()) for _ in range(20)]
    async with asyncio.timeout(10):
        while database.engine.pool.checkedout() < 2:  # type: ignore[attr-defined]
            await asyncio.sleep(0.01)
    before = time.monotonic()
    assert (await _get(server))[0] == 200
    assert time.monotonic() - before < 1
    assert not any(task.done() for task in work)
    await asyncio.gather(*work)
    await server.aclose()
    await database.aclose()


async def _health(fleet: FleetBoard, progress: Progress, **options: Any) -> HealthServer:
    values = {"unready": lambda: None, "host": "127.0.0.1", "port": 0, "stall_seconds": 60.0} | options
    server = HealthServer(fleet, progress, **values)
    await server.start()
    return server


async def _get(server: HealthServer) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{server.port}/healthz") as answer,
    ):
        return answer.status, await answer.json()


async def _row(url: str, bot_id: int) -> Any:
    database = Database(url)
    try:
        return await Running(database, None, FleetBoard()).row(bot_id)  # type: ignore[arg-type]
    finally:
        await database.aclose()
