from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from bot_core.models.errors import TransientError
from bot_core.schema import messages
from bot_operator.status import condition
from support.operator_builders import NOW, a_document

if TYPE_CHECKING:
    World = Any  # the fixture's class: conftest modules are not imported by name

LIMIT = 120.0


async def a_silent_bot(world: "World", *, told: bool = True) -> int:
    """A bot that runs, beats once, and then no more for as long as the operator waits."""
    bot_id: int = await world.a_running_bot()
    document = a_document(notifications={"error_notifications": told, "telegram_enabled": True})
    await world.change(bot_id, last_heartbeat=NOW, config=document)
    await world.settle()
    await go_by(world, LIMIT)
    return bot_id


async def go_by(world: "World", seconds: float) -> None:
    """Rows are read every 15 s, and at the end."""
    until = world.seconds + seconds
    while world.seconds < until:
        world.queued.clear()
        world.seconds = min(until, world.seconds + 15)
        await world.projection.project()


async def mend(world: "World", bot_id: int) -> None:
    """What is queued is looked at, the pod ends, and a new one runs."""
    assert world.queued == [bot_id]
    await world.reconciler.reconcile(bot_id)
    world.cluster.end_pods(bot_id)
    await world.reconciler.reconcile(bot_id)
    world.cluster.start_pod(bot_id)
    await world.reconciler.reconcile(bot_id)
    await go_by(world, LIMIT)


def deleted(world: "World") -> list[str]:
    return [name for verb, kind, name in world.cluster.writes if (verb, kind) == ("delete", "Pod")]


async def test_a_silent_bots_pod_is_deleted_once_and_it_is_told_in_the_row_and_the_cluster(world: "World") -> None:
    bot_id = await a_silent_bot(world)
    assert world.queued == [bot_id]
    await world.reconciler.reconcile(bot_id)
    await world.reconciler.reconcile(bot_id)
    assert len(deleted(world)) == 1
    assert ("operator", "heartbeat_lost") in await world.history(bot_id)
    assert world.cluster.reasons().count("HeartbeatLost") == 1
    assert world.cluster.status(bot_id)["recoveries"] == ["2026-03-01T12:00:00Z"]
    assert world.recovered == ["pod_deleted"]
    assert "bot-1" in world.cluster.deployments


async def test_a_bot_that_beats_costs_no_look_and_no_write(world: "World") -> None:
    bot_id = await world.a_running_bot()
    await world.settle()
    world.cluster.writes.clear()
    for beat in range(1, 30):
        await world.change(bot_id, last_heartbeat=NOW + timedelta(seconds=10 * beat))
        await go_by(world, 10)
    await world.reconciler.reconcile(bot_id)
    assert deleted(world) == []


async def test_a_heartbeat_that_came_just_before_the_look_saves_the_pod(world: "World") -> None:
    bot_id = await a_silent_bot(world)
    await world.change(bot_id, last_heartbeat=NOW + timedelta(seconds=1))
    await world.reconciler.reconcile(bot_id)
    assert deleted(world) == []


@pytest.mark.parametrize("recoveries", [0, 3])
async def test_a_heartbeat_that_came_during_the_look_saves_the_pod(
    world: "World", monkeypatch: pytest.MonkeyPatch, recoveries: int
) -> None:
    bot_id = await a_silent_bot(world)
    for _ in range(recoveries):
        await mend(world, bot_id)
    before, observe = len(deleted(world)), world.cluster.observe

    async def slowly(asked: int, **how: Any) -> Any:
        await world.change(bot_id, last_heartbeat=NOW + timedelta(seconds=121))
        return await observe(asked, **how)

    monkeypatch.setattr(world.cluster, "observe", slowly)
    history = await world.history(bot_id)
    await world.reconciler.reconcile(bot_id)
    assert len(deleted(world)) == before
    assert await world.history(bot_id) == history
    assert not (await world.row(bot_id)).quarantined


async def test_a_database_that_was_away_makes_nobody_silent(world: "World", monkeypatch: pytest.MonkeyPatch) -> None:
    bot_id = await world.a_running_bot()
    await world.settle()
    with monkeypatch.context() as patch:
        patch.setattr(world.projection, "_rows", Unreadable())
        await go_by(world, 60)
        await go_by(world, 600)
    await go_by(world, 1)
    assert world.queued == []
    await world.settle()
    await world.reconciler.reconcile(bot_id)
    assert deleted(world) == []


async def test_an_api_server_that_was_away_makes_nobody_silent(world: "World") -> None:
    bot_id = await world.a_running_bot()
    await world.settle()
    world.cluster.down = True
    world.seconds += 600
    assert not await world.sweep.everything()
    world.cluster.down = False
    await world.settle()
    await world.reconciler.reconcile(bot_id)
    assert deleted(world) == []


async def test_a_database_that_takes_no_write_keeps_the_pod(world: "World", monkeypatch: pytest.MonkeyPatch) -> None:
    bot_id = await a_silent_bot(world)

    async def refuse(*_: object, **__: object) -> None:
        raise TransientError("read-only")

    monkeypatch.setattr(world.reconciler._writer._store, "note", refuse)  # no SQLite refuses one write and reads
    with pytest.raises(TransientError):
        await world.reconciler.reconcile(bot_id)
    assert deleted(world) == []


async def test_three_new_pods_that_did_not_help_are_followed_by_quarantine_and_a_letter(world: "World") -> None:
    bot_id = await a_silent_bot(world)
    for _ in range(3):
        await mend(world, bot_id)
        assert (await world.row(bot_id)).status == "running"
    world.restart_operator()  # what counts is not in its memory
    await world.settle()
    await go_by(world, LIMIT)
    await mend(world, bot_id)
    assert len(deleted(world)) == 4
    row = await world.row(bot_id)
    assert row.quarantined
    assert row.error_count == 1
    assert "tradingbot bots start 1" in row.extra_metadata["last_error"]
    assert ("operator", "quarantined") in await world.history(bot_id)
    async with world.database.read() as connection:
        (letter,) = (await connection.execute(select(messages.c.content, messages.c.priority))).all()
    assert letter.priority == "CRITICAL"
    assert "quarantined: no heartbeat" in letter.content["message"]
    status = world.cluster.status(bot_id)
    assert status["phase"] == "Error"
    assert condition(status, "Trading")["reason"] == "Quarantined"
    assert world.recovered == ["pod_deleted"] * 3 + ["quarantined", "pod_deleted"]
    assert "Quarantined" in world.cluster.reasons()
    assert world.queued == []  # its pod idles, and that is no silence

    await world.store.request(bot_id, "starting")
    await world.change(bot_id, status="running")
    await world.settle()
    assert "recoveries" not in world.cluster.status(bot_id)
    await go_by(world, LIMIT)
    await world.reconciler.reconcile(bot_id)
    assert not (await world.row(bot_id)).quarantined
    assert len(world.cluster.status(bot_id)["recoveries"]) == 1


async def test_a_fleet_that_falls_silent_at_once_is_held_and_counted(world: "World") -> None:
    ids = [await world.a_running_bot() for _ in range(4)]
    await world.settle()
    await go_by(world, LIMIT)
    assert world.queued == []
    assert b"tradingbot_operator_recoveries_held 4.0" in world.metrics.text()
    for bot_id in ids:
        await world.reconciler.reconcile(bot_id)
    assert deleted(world) == []
    for bot_id in ids[1:]:
        await world.change(bot_id, last_heartbeat=NOW)
    await go_by(world, 1)
    assert ids[0] in world.queued
    for bot_id in ids:
        await world.reconciler.reconcile(bot_id)
    assert len(deleted(world)) == 1
    assert b"tradingbot_operator_recoveries_held 0.0" in world.metrics.text()


async def test_a_letter_goes_out_only_where_the_document_asks_for_it_and_the_row_says_it_all_the_same(
    world: "World",
) -> None:
    bot_id = await a_silent_bot(world, told=False)
    for _ in range(4):
        await mend(world, bot_id)
    assert (await world.row(bot_id)).quarantined
    async with world.database.read() as connection:
        assert (await connection.execute(select(messages.c.id))).all() == []


class Unreadable:
    async def all(self) -> None:
        raise TransientError("the database is away")
