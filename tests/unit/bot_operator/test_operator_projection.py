from datetime import timedelta
from typing import TYPE_CHECKING, Any

import kopf

from bot_core.store.database import Database
from bot_operator.app import OperatorApp
from bot_operator.fence import Fence
from bot_operator.handlers.events import register_events
from bot_operator.metrics import Metrics
from bot_operator.settings import ProcessSettings
from bot_operator.status import essence
from support.fake_cluster import FakeCluster
from support.operator_builders import NOW, some_settings

if TYPE_CHECKING:
    World = Any  # the fixture's class: conftest modules are not imported by name


async def _minutes(world: "World", bots: dict[int, int], seconds: int) -> dict[int, int]:
    """How often each bot was written to while its heart beat every so many seconds and time went by."""
    world.cluster.writes.clear()
    for second in range(1, seconds + 1):
        for bot_id, every in bots.items():
            if second % every == 0:
                await world.change(bot_id, last_heartbeat=NOW + timedelta(seconds=second))
        if second % 15 == 0:
            await world.projection.project()
    return {bot_id: [name for _, _, name in world.cluster.writes].count(f"bot-{bot_id}") for bot_id in bots}


async def test_a_heart_that_beats_each_second_costs_as_many_writes_as_one_each_ten(world: "World") -> None:
    quick, slow, still = [await world.a_running_bot() for _ in range(3)]
    written = await _minutes(world, {quick: 1, slow: 10}, 120)
    assert written == {quick: 8, slow: 8}
    assert f"bot-{still}" not in {name for _, _, name in world.cluster.writes}
    assert {verb for verb, _, _ in world.cluster.writes} == {"status"}


async def test_a_pass_reads_the_cluster_once_and_no_bot_by_itself(world: "World", monkeypatch: Any) -> None:
    bots = [await world.a_running_bot() for _ in range(3)]
    for bot_id in bots:
        await world.change(bot_id, last_heartbeat=NOW)
    monkeypatch.delattr(FakeCluster, "observe")
    monkeypatch.delattr(FakeCluster, "observe_all")
    await world.projection.project()
    assert all(world.cluster.status(bot_id)["lastHeartbeat"] == "2026-03-01T12:00:00Z" for bot_id in bots)


async def test_moved_figures_are_no_reason_for_a_look_at_a_bot(world: "World") -> None:
    bot_id = await world.a_running_bot()
    await world.change(bot_id, last_heartbeat=NOW)
    assert await world.settle() == []
    await world.projection.project()
    assert world.queued == []


async def test_figures_never_put_back_a_status_that_changed_meanwhile(world: "World", monkeypatch: Any) -> None:
    bot_id = await world.a_running_bot()
    await world.change(bot_id, last_heartbeat=NOW)
    read = world.cluster.tradingbots

    async def overtaken() -> Any:
        found = await read()
        await world.change(bot_id, status="disabled")
        await world.reconciler.reconcile(bot_id)
        return found

    monkeypatch.setattr(world.cluster, "tradingbots", overtaken)
    await world.projection.project()
    assert world.cluster.status(bot_id)["phase"] == "Stopping"


async def test_a_cluster_or_a_database_that_is_away_costs_figures_and_nothing_else(world: "World") -> None:
    bot_id = await world.a_running_bot()
    await world.change(bot_id, last_heartbeat=NOW)
    world.cluster.down = True
    await world.projection.project()
    world.cluster.down = False
    await world.projection.project()
    assert world.cluster.status(bot_id)["lastHeartbeat"] == "2026-03-01T12:00:00Z"


async def test_a_figure_that_is_gone_is_taken_away_and_all_else_stays(world: "World") -> None:
    bot_id = await world.a_running_bot()
    status = world.cluster.bots[f"bot-{bot_id}"]["status"]
    status["openPosition"] = "long 1 ETHUSDT at 2"
    before = dict(status)
    await world.projection.project()
    assert world.cluster.status(bot_id) == {key: value for key, value in before.items() if key != "openPosition"}


async def test_an_event_that_only_tells_figures_wakes_nobody(tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path / 'bots.db'}"
    process, fence = ProcessSettings(url, port=0), Fence.always_open()
    app = OperatorApp.compose(some_settings(), process, Database(url), FakeCluster(), fence, Metrics())
    registry = kopf.OperatorRegistry()
    register_events(registry, app.settings.release, app.wake)
    handler = next(item for item in registry._watching.get_all_handlers() if "bot_changed" in str(item.id))
    memo, labels = kopf.Memo(), {"tradingbot.dev/bot-id": "7"}

    async def told(**status: Any) -> int:
        body = {"metadata": {"uid": "x", "labels": labels, "resourceVersion": str(status)}, "status": status}
        await handler.fn(labels=labels, name="bot-7", body=body, memo=memo)  # type: ignore[call-arg]
        woken = len(app.queue)
        app.queue._backlog._entries.clear()
        return woken

    assert await told(phase="Running", balance="1") == 1
    assert await told(phase="Running", balance="2", lastHeartbeat="2026-03-01T12:00:00Z") == 0
    assert await told(phase="Error", balance="2") == 1
    await app.aclose()


async def test_a_figure_that_somebody_else_wrote_is_left_to_a_look(world: "World") -> None:
    bot_id = await world.a_running_bot()
    bot = world.cluster.bots[f"bot-{bot_id}"]
    bot["status"]["balance"] = "1000000"
    fields = {"f:status": {"f:balance": {}}}
    bot["metadata"]["managedFields"].append({"manager": "kubectl", "operation": "Update", "fieldsV1": fields})
    world.cluster.writes.clear()
    world.queued.clear()
    await world.projection.project()
    assert world.cluster.writes == []
    assert world.queued == [bot_id]
    await world.reconciler.reconcile(bot_id)
    assert "balance" not in world.cluster.status(bot_id)
    assert "status.balance" in world.cluster.events[-1]["message"]


def test_the_essence_of_a_tradingbot_is_all_but_its_figures_and_our_writing_of_them() -> None:
    document = {"metadata": {"uid": "x", "labels": {"a": "b"}, "resourceVersion": "1"}, "spec": {}, "status": {}}
    ours = {"manager": "tradingbot-operator", "operation": "Apply", "time": "2026-03-01T12:00:00Z"}
    touched = {**document, "metadata": {**document["metadata"], "resourceVersion": "2", "managedFields": [ours]}}
    assert essence(document) == essence(touched)
    edited = {**touched["metadata"], "managedFields": [ours, {"manager": "kubectl", "operation": "Update"}]}
    assert essence(document) != essence({**document, "metadata": edited})
    assert essence(document) != essence({**document, "spec": {"symbol": "X"}})
    assert essence(document) != essence({**touched, "metadata": {**touched["metadata"], "labels": {}}})
    assert essence({}) == essence({"metadata": None, "status": None})
