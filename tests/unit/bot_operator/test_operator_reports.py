"""A bot's row and its pod's troubles: what is written, once, and what is never fought over."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from bot_core.models.bot import BotStatus
from bot_core.schema import messages
from bot_core.store.bots import BotStore
from bot_core.store.leases import LeaseStore
from bot_operator.cluster import ClusterUnavailableError
from bot_operator.status import condition
from support.operator_builders import NOW, a_document, an_invalid_document

if TYPE_CHECKING:
    World = Any  # the fixture's class: conftest modules are not imported by name

_SAMPLES = Path(__file__).parent / "pods"
#: When the samples were taken.
_TAKEN = datetime.fromisoformat("2026-11-23T14:20:30Z")
_TOLD = {"notifications": {"error_notifications": True, "webhook_enabled": True}}


def _pod(name: str) -> Any:
    return json.loads((_SAMPLES / f"{name}.json").read_text())


async def _a_bot(world: "World", pod: str, **values: Any) -> int:
    """A bot that runs, and whose pod then is as a sample says; the row as it was last written."""
    bot_id: int = await world.insert(a_document(**_TOLD))
    await world.reconciler.reconcile(bot_id)
    world.cluster.start_pod(bot_id)
    await world.change(bot_id, status="running", **values)
    await world.reconciler.reconcile(bot_id)
    world.later = (_TAKEN - NOW).total_seconds()
    world.cluster.show_pod(bot_id, _pod(pod))
    return bot_id


async def _look(world: "World", bot_id: int, times: int = 3) -> None:
    for _ in range(times):
        await world.reconciler.reconcile(bot_id)


async def _letters(world: "World") -> list[str]:
    async with world.database.read() as connection:
        found = await connection.execute(select(messages.c.content).order_by(messages.c.id))
        return [row.content["message"] for row in found]


async def _runtime_says_running(world: "World", bot_id: int) -> bool:
    lease = await LeaseStore(world.database, "a pod").acquire(bot_id)
    assert lease is not None
    store = BotStore(world.database, actor="a pod")
    await store.observe(lease, BotStatus.STARTING)
    return await store.observe(lease, BotStatus.RUNNING)


@pytest.mark.parametrize(
    ("pod", "reason", "after"),
    [
        ("crash-loop", "CrashLoopBackOff", 0),
        ("oom-loop", "CrashLoopBackOff", 0),
        ("liveness-loop", "CrashLoopBackOff", 0),
        ("image-never-pulled", "ErrImageNeverPull", 0),
        ("image-name-invalid", "InvalidImageName", 0),
        ("secret-missing", "CreateContainerConfigError", 0),
        ("image-pull-back-off", "ImagePullBackOff", 60),
        ("unschedulable", "Unschedulable", 60),
        ("startup-failing", "NotStarted", 300),
        ("evicted", "Evicted", 81),
        ("evicted-graceful", "Ended", 81),
        ("volume-missing", "NotCreated", 300),
        ("not-ready", "NotReady", 300),
    ],
)
async def test_a_trouble_that_lasts_is_told_once_in_row_status_event_and_letter(
    world: "World", pod: str, reason: str, after: float
) -> None:
    bot_id = await _a_bot(world, pod)
    if after:
        # The sample's own times are up to 30 s older than the look, an eviction's 20 s younger.
        await _look(world, bot_id)
        assert world.cluster.status(bot_id)["phase"] != "Error"
        told = str((await world.row(bot_id)).extra_metadata.get("last_error", ""))
        assert reason not in told or pod.startswith("evicted")
        world.later += after
    await _look(world, bot_id)
    row, status = await world.row(bot_id), world.cluster.status(bot_id)
    assert (row.status, row.error_count) == ("error", 1)
    assert row.extra_metadata["last_error"].startswith(f"{reason}: ")
    assert (status["phase"], condition(status, "Ready")["reason"]) == ("Error", reason)
    assert status["message"].startswith(f"{reason}: ")
    assert len([event for event in world.cluster.events if event["reason"] == "Error"]) == 1
    (letter,) = await _letters(world)
    assert reason in letter
    assert len([kind for actor, kind in await world.history(bot_id) if actor == "operator"]) == 1


async def test_what_varies_in_the_words_of_one_trouble_is_no_further_occurrence(world: "World") -> None:
    bot_id = await _a_bot(world, "unschedulable")
    world.later += 60
    await _look(world, bot_id)
    document = _pod("unschedulable")
    (scheduled,) = document["status"]["conditions"]
    scheduled["message"] = "0/4 nodes are available: 4 node(s) didn't match Pod's node affinity/selector."
    world.cluster.show_pod(bot_id, document)
    await _look(world, bot_id)
    assert (await world.row(bot_id)).error_count == 1
    assert "0/4 nodes" in world.cluster.status(bot_id)["message"]
    assert world.cluster.reasons().count("Error") == 1


async def test_a_healed_trouble_is_taken_away_by_the_runtime_and_then_counts_anew(world: "World") -> None:
    bot_id = await _a_bot(world, "crash-loop")
    await _look(world, bot_id)
    world.cluster.show_pod(bot_id, _pod("healthy"))
    await _look(world, bot_id)
    assert world.cluster.status(bot_id)["phase"] == "Starting"
    assert await _runtime_says_running(world, bot_id)
    await _look(world, bot_id)
    row = await world.row(bot_id)
    assert (row.status, "last_error" in row.extra_metadata) == ("running", False)
    assert (world.cluster.status(bot_id)["phase"], world.cluster.status(bot_id)["message"]) == ("Running", "")
    await world.change(bot_id, last_heartbeat=_TAKEN - timedelta(minutes=5))  # by the clock of the samples
    world.cluster.show_pod(bot_id, _pod("crash-loop"))
    await _look(world, bot_id)
    assert (await world.row(bot_id)).error_count == 2


async def test_one_restart_that_ended_well_is_told_and_counted_once_and_is_no_error(world: "World") -> None:
    bot_id = await _a_bot(world, "oom-restarted")
    await _look(world, bot_id)
    assert (await world.row(bot_id)).error_count == 0
    world.cluster.show_pod(bot_id, _pod("oom-well-again"))
    await _look(world, bot_id)
    row, status = await world.row(bot_id), world.cluster.status(bot_id)
    assert (row.status, row.error_count, "last_error" in row.extra_metadata) == ("running", 1, False)
    assert row.extra_metadata["last_disruption"]["error"] == "Restarted: OOMKilled, exit code 137"
    assert (status["phase"], status["restarts"]) == ("Running", 1)
    assert status["message"] == "Restarted: OOMKilled, exit code 137 (2026-11-23 14:20:06 UTC)"
    assert world.cluster.reasons().count("Disrupted") == 1
    assert len(await _letters(world)) == 1
    world.later += 600
    await _look(world, bot_id)
    assert world.cluster.status(bot_id)["message"] == ""
    assert (await world.row(bot_id)).error_count == 1


@pytest.mark.parametrize(("pod", "reason"), [("evicted", "Evicted"), ("evicted-graceful", "Ended")])
async def test_an_eviction_is_an_error_until_the_next_pod_runs(world: "World", pod: str, reason: str) -> None:
    bot_id = await _a_bot(world, pod, last_heartbeat=_TAKEN - timedelta(seconds=10))
    world.later += 25
    world.cluster.start_pod(bot_id, ready=False)
    await _look(world, bot_id)
    row = await world.row(bot_id)
    assert (row.status, row.error_count) == ("error", 1)
    assert row.extra_metadata["last_error"].startswith(f"{reason}: ")
    assert reason in world.cluster.status(bot_id)["message"]
    assert await _runtime_says_running(world, bot_id)
    await _look(world, bot_id)
    row = await world.row(bot_id)
    assert (row.status, row.error_count, "last_error" in row.extra_metadata) == ("running", 1, False)


@pytest.mark.parametrize("status", ["disabled", "stopping", "restarting"])
async def test_a_request_is_never_overwritten(world: "World", status: str) -> None:
    bot_id = await _a_bot(world, "crash-loop")
    await world.change(bot_id, status=status)
    await _look(world, bot_id)
    assert (await world.row(bot_id)).status == status


async def test_a_request_that_came_after_the_look_stands(world: "World") -> None:
    bot_id = await _a_bot(world, "crash-loop")
    seen = await world.row(bot_id)
    await world.change(bot_id, status="disabled")
    await BotStore(world.database, actor="operator").failed(bot_id, "CrashLoopBackOff: Error", seen=seen)
    row = await world.row(bot_id)
    assert (row.status, row.error_count, row.extra_metadata) == ("disabled", 0, {})


async def test_a_bot_that_said_that_it_runs_after_the_look_is_not_contradicted(world: "World") -> None:
    bot_id = await _a_bot(world, "crash-loop")
    seen = await world.row(bot_id)
    await world.change(bot_id, last_heartbeat=_TAKEN)
    await BotStore(world.database, actor="operator").failed(bot_id, "CrashLoopBackOff: Error", seen=seen)
    assert (await world.row(bot_id)).status == "running"


@pytest.mark.parametrize("pod", ["unschedulable", "not-ready", "image-never-pulled"])
async def test_a_bot_whose_heart_beats_elsewhere_is_not_fought_over(world: "World", pod: str) -> None:
    bot_id = await _a_bot(world, pod)
    world.later += 400
    beat = _TAKEN + timedelta(seconds=395)
    await world.change(bot_id, last_heartbeat=beat)
    await _look(world, bot_id)
    assert (await world.row(bot_id)).status == "running"
    assert await _letters(world) == []
    world.later += 60
    await _look(world, bot_id)
    assert (await world.row(bot_id)).status == "error"


async def test_a_heartbeat_of_the_second_in_which_the_process_died_does_not_speak_for_it(world: "World") -> None:
    died = datetime.fromisoformat("2026-11-23T14:20:05Z")
    bot_id = await _a_bot(world, "crash-loop", last_heartbeat=died + timedelta(seconds=0.9))
    await _look(world, bot_id)
    row = await world.row(bot_id)
    assert (row.status, row.error_count) == ("error", 1)


async def test_the_bots_own_last_words_stand_in_the_row_and_are_shown_beside_the_pods(world: "World") -> None:
    said = {"last_error": "the plugin has a bug", "last_error_time": "2026-11-23T14:20:04+00:00"}
    bot_id = await _a_bot(world, "crash-loop")
    await world.change(bot_id, status="error", extra_metadata=said, error_count=1)
    await _look(world, bot_id)
    row = await world.row(bot_id)
    assert (row.extra_metadata, row.error_count) == (said, 1)
    assert world.cluster.status(bot_id)["message"] == (
        "CrashLoopBackOff: Error, exit code 1; its last words: the plugin has a bug"
    )


async def test_an_invalid_row_tells_of_its_document_and_its_pod_of_itself(world: "World") -> None:
    bot_id = await _a_bot(world, "crash-loop")
    await world.change(bot_id, config=an_invalid_document())
    await _look(world, bot_id)
    row = await world.row(bot_id)
    assert row.extra_metadata["last_error"].startswith("invalid configuration")
    assert (row.status, row.error_count) == ("running", 1)
    assert world.cluster.status(bot_id)["message"].startswith("CrashLoopBackOff")


@pytest.mark.parametrize("written", ["row", "status"])
async def test_killed_between_the_two_writes_the_next_look_goes_on(
    world: "World", written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot_id = await _a_bot(world, "crash-loop")

    async def killed(*_: Any, **__: Any) -> Any:
        raise ClusterUnavailableError("killed")

    with monkeypatch.context() as patched:
        if written == "row":
            patched.setattr(world.cluster, "apply_status", killed)
        else:
            patched.setattr(world.reconciler._writer._store, "failed", killed)
        with pytest.raises(ClusterUnavailableError):
            await world.reconciler.reconcile(bot_id)
    assert ((await world.row(bot_id)).status == "error") is (written == "row")
    if written == "status":  # as an operator before this one left it
        status = world.cluster.bots[f"bot-{bot_id}"]["status"]
        status |= {"phase": "Error", "message": "CrashLoopBackOff: Error, exit code 1", "restarts": 1}
    world.restart_operator()
    await _look(world, bot_id)
    row = await world.row(bot_id)
    assert (row.status, row.error_count, len(await _letters(world))) == ("error", 1, 1)
    assert world.cluster.status(bot_id)["phase"] == "Error"


async def test_two_operators_at_once_tell_it_once_and_then_write_nothing(world: "World") -> None:
    bot_id = await _a_bot(world, "crash-loop")
    first = world.reconciler
    world.restart_operator()
    for _ in range(3):
        await first.reconcile(bot_id)
        await world.reconciler.reconcile(bot_id)
    assert ((await world.row(bot_id)).error_count, len(await _letters(world))) == (1, 1)
    world.cluster.writes.clear()
    before = await world.row(bot_id)
    for _ in range(3):
        await first.reconcile(bot_id)
        await world.reconciler.reconcile(bot_id)
    assert world.cluster.writes == []
    assert await world.row(bot_id) == before


async def test_a_bot_in_trouble_that_is_settled_needs_no_further_look(world: "World") -> None:
    bot_id = await _a_bot(world, "oom-well-again")
    await _look(world, bot_id)
    other = await _a_bot(world, "crash-loop")
    await _look(world, other)
    assert await world.settle() == []
