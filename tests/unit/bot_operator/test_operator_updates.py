"""A change of pods through the whole operator: real rows, real plans, a cluster in memory."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bot_core.models.bot import BotStatus
from bot_core.schema import positions
from bot_operator.naming import REVISION
from bot_operator.status import condition
from support.fleet_rows import an_order
from support.operator_builders import a_document, some_settings

if TYPE_CHECKING:
    World = Any  # the fixture's class: conftest modules are not imported by name

_NEW = {"image": "registry.example.com/bot-runtime:2", "serviceAccountName": "fleet-bot"}


async def _a_fleet(world: "World", count: int, **changes: Any) -> list[int]:
    bots = [await world.a_running_bot() for _ in range(count)]
    for bot_id in bots:
        await world.change(bot_id, config=a_document(**changes))
    await world.settle()
    return bots


def _change(world: "World", **rollout: Any) -> None:
    world.settings = some_settings(bot=_NEW, rollout=rollout)
    world.restart_operator()
    world.cluster.writes.clear()


def _made_anew(world: "World") -> list[str]:
    return [name for verb, kind, name in world.cluster.writes if (verb, kind) == ("apply", "Deployment")]


async def _come_up(world: "World", bot_id: int) -> None:
    world.cluster.end_pods(bot_id)
    world.cluster.start_pod(bot_id)
    await world.reconciler.reconcile(bot_id)


async def test_one_bot_after_the_other_is_made_anew_and_says_how_far_it_is(world: "World") -> None:
    first, second = await _a_fleet(world, 2)
    _change(world)
    await world.settle()
    assert _made_anew(world) == [f"bot-{first}"]
    assert world.cluster.status(first)["update"] == "Updating"
    assert world.cluster.status(second)["update"] == "Behind: waits for its turn"
    assert condition(world.cluster.status(second), "Updated")["status"] == "False"
    await world.settle()
    assert _made_anew(world) == [f"bot-{first}"]
    world.queued.clear()
    await _come_up(world, first)
    assert world.queued == [second]
    assert world.cluster.status(first)["update"] == "Current"
    await world.reconciler.reconcile(second)
    assert _made_anew(world) == [f"bot-{first}", f"bot-{second}"]
    assert world.cluster.reasons().count("Updating") == 2
    assert b'rollout_bots{state="updating"} 1.0' in world.metrics.text()


async def test_nobody_is_made_anew_before_the_whole_fleet_has_been_seen(world: "World") -> None:
    (bot_id,) = await _a_fleet(world, 1)
    _change(world)
    await world.reconciler.reconcile(bot_id)
    assert _made_anew(world) == []
    assert world.cluster.status(bot_id)["update"] == "Behind: waits for its turn"


async def test_a_write_that_fails_leaves_the_place_taken_for_the_next_process(world: "World") -> None:
    first, second = await _a_fleet(world, 2)
    _change(world)
    world.cluster.refused = "Deployment"
    await world.sweep.everything()
    try:
        await world.reconciler.reconcile(first)
    except Exception:  # noqa: BLE001  # as the queue does
        world.cluster.refused = ""
    world.restart_operator()
    await world.settle()
    assert _made_anew(world) == [f"bot-{first}", f"bot-{first}"]  # refused, and then done
    assert world.cluster.status(second)["update"] == "Behind: waits for its turn"


async def test_a_pause_is_told_once_with_the_command_that_ends_it(world: "World") -> None:
    first, second = await _a_fleet(world, 2)
    _change(world, readySeconds=60, pauseAfterFailures=1)
    await world.settle()
    world.now += timedelta(seconds=61)
    for _ in range(3):
        await world.settle()
    assert world.cluster.status(first)["update"] == "Failed"
    assert world.cluster.status(second)["update"] == "Behind: roll-out paused"
    told = condition(world.cluster.status(second), "Updated")["message"]
    assert f"bot-{first} tradingbot.dev/resume-rollout=" in told
    assert world.cluster.reasons().count("RolloutPaused") == 1
    assert b"rollout_paused 1.0" in world.metrics.text()
    world.restart_operator()
    await world.settle()
    assert world.cluster.reasons().count("RolloutPaused") == 1
    assert _made_anew(world) == [f"bot-{first}"]

    revision = world.cluster.deployments[f"bot-{first}"]["metadata"]["annotations"][REVISION]
    world.cluster.bots[f"bot-{first}"]["metadata"]["annotations"] = {"tradingbot.dev/resume-rollout": revision}
    await world.settle()
    assert _made_anew(world) == [f"bot-{first}", f"bot-{second}"]


async def test_what_failed_on_the_last_change_is_not_held_against_the_next_one(world: "World") -> None:
    (bot_id,) = await _a_fleet(world, 1)
    rollout = {"readySeconds": 60, "pauseAfterFailures": 1}
    _change(world, **rollout)
    await world.settle()
    world.now += timedelta(seconds=61)
    await world.settle()
    assert world.cluster.status(bot_id)["update"] == "Failed"
    _change(world, **rollout)
    world.settings = some_settings(rollout=rollout)  # what it was before
    world.restart_operator()
    for _ in range(2):
        await world.reconciler.reconcile(bot_id)  # before this process has seen the fleet
    await world.settle()
    assert _made_anew(world) == [f"bot-{bot_id}"]
    assert world.cluster.status(bot_id)["update"] == "Updating"


async def test_an_order_on_its_way_is_waited_for_as_a_position_is(world: "World") -> None:
    (bot_id,) = await _a_fleet(world, 1, update_policy="when_flat")
    await an_order(world.database, bot_id, "submitted")
    _change(world)
    await world.settle()
    assert world.cluster.status(bot_id)["update"] == "Behind: waits until flat"
    assert positions.name == "trading_positions"
    assert (await world.reconciler._rows.get(bot_id)).figures.flat is False


async def test_the_restart_of_a_manual_bot_makes_its_pod_anew(world: "World") -> None:
    (bot_id,) = await _a_fleet(world, 1, update_policy="manual")
    _change(world)
    await world.settle()
    assert world.cluster.status(bot_id)["update"] == "Behind: manual"
    assert world.cluster.bots[f"bot-{bot_id}"]["spec"]["updatePolicy"] == "manual"
    await world.store.request(bot_id, BotStatus.RESTARTING)
    await world.reconciler.reconcile(bot_id)
    assert _made_anew(world) == [f"bot-{bot_id}"]


async def test_so_does_one_that_the_runtime_answered_before_the_operator_looked(world: "World") -> None:
    (bot_id,) = await _a_fleet(world, 1, update_policy="manual")
    _change(world)
    await world.settle()
    later = datetime.now(UTC).replace(year=2090).isoformat()
    await world.change(bot_id, extra_metadata={"restarted_at": later})
    await world.settle()
    assert _made_anew(world) == [f"bot-{bot_id}"]
