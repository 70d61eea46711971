from typing import TYPE_CHECKING, Any

import pytest

from bot_core.models.errors import InvalidBotError, TransientError
from bot_operator.reconciler import Reconciler
from bot_operator.status import condition
from support.operator_builders import a_document, an_invalid_document

if TYPE_CHECKING:
    World = Any  # the fixture's class: conftest modules are not imported by name


async def test_a_row_becomes_a_tradingbot_and_a_deployment_and_then_causes_no_further_write(world: "World") -> None:
    bot_id = await world.insert()
    await world.reconciler.reconcile(bot_id)
    assert world.cluster.writes == [
        ("apply", "TradingBot", "bot-1"),
        ("apply", "Deployment", "bot-1"),
        ("status", "TradingBot", "bot-1"),
    ]
    assert world.cluster.status(bot_id)["phase"] == "Pending"
    world.cluster.writes.clear()
    await world.reconciler.reconcile(bot_id)
    assert world.cluster.writes == []


async def test_the_whole_life_of_a_bot_is_told_by_phases_and_events(world: "World") -> None:
    bot_id = await world.a_running_bot()
    assert world.cluster.status(bot_id)["phase"] == "Running"
    await world.change(bot_id, status="disabled")
    await world.reconciler.reconcile(bot_id)
    assert world.cluster.status(bot_id)["phase"] == "Stopping"
    assert world.cluster.deployments["bot-1"]["metadata"]["deletionTimestamp"]
    world.cluster.end_pods(bot_id)
    await world.reconciler.reconcile(bot_id)
    assert world.cluster.status(bot_id)["phase"] == "Stopped"
    row = await world.row(bot_id)
    assert (row.status, row.extra_metadata["stopped_by"]) == ("stopped", "request")
    await world.change(bot_id, status="enabled")
    await world.reconciler.reconcile(bot_id)
    assert "bot-1" in world.cluster.deployments
    assert world.cluster.reasons() == ["Pending", "Running", "Stopping", "Stopped", "Pending"]


async def test_the_runtimes_own_answer_to_a_stop_is_left_as_it_is(world: "World") -> None:
    bot_id = await world.a_running_bot()
    await world.change(bot_id, status="stopping")
    await world.reconciler.reconcile(bot_id)
    await world.store.stopped(bot_id)
    world.cluster.end_pods(bot_id)
    await world.reconciler.reconcile(bot_id)
    assert ("operator", "stopped") not in await world.history(bot_id)
    assert world.cluster.status(bot_id)["phase"] == "Stopped"


async def test_a_disabled_row_that_never_ran_keeps_saying_disabled(world: "World") -> None:
    bot_id = await world.insert()
    await world.change(bot_id, status="disabled")
    await world.reconciler.reconcile(bot_id)
    await world.reconciler.reconcile(bot_id)
    assert (await world.row(bot_id)).status == "disabled"
    assert world.cluster.status(bot_id)["phase"] == "Stopped"
    assert world.cluster.deployments == {}


async def test_a_bot_switched_off_in_its_document_is_stopped_by_its_config(world: "World") -> None:
    bot_id = await world.a_running_bot()
    await world.change(bot_id, config=a_document(enabled=False))
    await world.reconciler.reconcile(bot_id)
    world.cluster.end_pods(bot_id)
    await world.reconciler.reconcile(bot_id)
    row = await world.row(bot_id)
    assert (row.status, row.extra_metadata["stopped_by"]) == ("stopped", "config")


async def test_an_enable_while_the_old_pod_drains_makes_a_new_deployment_once_it_is_gone(world: "World") -> None:
    bot_id = await world.a_running_bot()
    await world.change(bot_id, status="disabled")
    await world.reconciler.reconcile(bot_id)
    await world.change(bot_id, status="enabled")
    await world.reconciler.reconcile(bot_id)
    assert world.cluster.status(bot_id)["message"] == "waits for the previous pod to end"
    old = world.cluster.deployments["bot-1"]["metadata"]["uid"]
    world.cluster.end_pods(bot_id)
    await world.reconciler.reconcile(bot_id)
    assert world.cluster.deployments["bot-1"]["metadata"]["uid"] != old
    assert (await world.row(bot_id)).status == "enabled"


async def test_an_invalid_row_gets_no_pod_and_says_why_once_and_others_run(world: "World") -> None:
    good, bad = await world.insert(), await world.insert(an_invalid_document())
    for _ in range(2):
        await world.settle()
    row = await world.row(bad)
    assert row.status == "error"
    assert row.error_count == 1
    assert "entry_logic" in row.extra_metadata["last_error"]
    assert list(world.cluster.deployments) == [f"bot-{good}"]
    assert world.cluster.status(bad)["phase"] == "Error"
    assert condition(world.cluster.status(bad), "ConfigValid")["status"] == "False"
    assert world.cluster.reasons().count("ConfigInvalid") == 1


async def test_an_invalid_row_that_is_mended_runs(world: "World") -> None:
    bot_id = await world.insert(an_invalid_document())
    await world.reconciler.reconcile(bot_id)
    await world.change(bot_id, config=a_document())
    await world.reconciler.reconcile(bot_id)
    assert "bot-1" in world.cluster.deployments
    assert condition(world.cluster.status(bot_id), "ConfigValid")["status"] == "True"


async def test_a_running_bot_whose_row_turns_invalid_keeps_its_pod_and_its_status(world: "World") -> None:
    bot_id = await world.a_running_bot()
    world.cluster.writes.clear()
    await world.change(bot_id, config=an_invalid_document())
    await world.reconciler.reconcile(bot_id)
    row = await world.row(bot_id)
    assert row.status == "running"
    assert "entry_logic" in row.extra_metadata["last_error"]
    assert "Deployment" not in {kind for _, kind, _ in world.cluster.writes}
    assert world.cluster.status(bot_id)["phase"] == "Running"
    assert condition(world.cluster.status(bot_id), "ConfigValid")["status"] == "False"


async def test_a_changed_document_does_not_touch_the_deployment(world: "World") -> None:
    bot_id = await world.a_running_bot()
    world.cluster.writes.clear()
    await world.change(bot_id, config=a_document(symbol="BTCUSDT"))
    await world.reconciler.reconcile(bot_id)
    assert {kind for _, kind, _ in world.cluster.writes} == {"TradingBot"}
    assert world.cluster.bots["bot-1"]["spec"]["symbol"] == "BTCUSDT"


async def test_a_deleted_row_among_others_takes_its_objects_with_it(world: "World") -> None:
    gone, stays = await world.a_running_bot(), await world.a_running_bot()
    await world.delete(gone)
    await world.settle()
    world.cluster.end_pods(gone)
    assert list(world.cluster.bots) == list(world.cluster.deployments) == [f"bot-{stays}"]


async def test_a_read_that_fails_names_no_bot_and_is_counted(world: "World") -> None:
    await world.a_running_bot()
    world.cluster.down = True
    assert await world.settle() == []
    assert not world.health.ready
    assert world.health.alive
    assert b'read_failures_total{source="cluster"} 1.0' in world.metrics.text()
    world.cluster.down = False
    await world.settle()
    assert world.health.ready


async def test_a_sweep_of_a_settled_fleet_names_no_bot(world: "World") -> None:
    for _ in range(3):
        await world.a_running_bot()
    assert await world.settle() == []
    assert b'bots{phase="Running"} 3.0' in world.metrics.text()


async def test_an_operator_that_starts_again_needs_no_memory_and_catches_up(world: "World") -> None:
    stopped, kept = await world.a_running_bot(), await world.a_running_bot()
    await world.change(stopped, status="disabled")
    await world.reconciler.reconcile(stopped)
    world.restart_operator()
    added = await world.insert()
    world.cluster.end_pods(stopped)
    world.cluster.writes.clear()
    await world.settle()
    assert (await world.row(stopped)).status == "stopped"
    assert f"bot-{added}" in world.cluster.deployments
    assert f"bot-{kept}" not in {name for _, _, name in world.cluster.writes}


async def test_a_foreign_deployment_of_the_name_is_left_alone_and_the_row_says_so(world: "World") -> None:
    bot_id = await world.insert()
    foreign = {"metadata": {"uid": "x", "name": "bot-1", "labels": {"app": "other"}, "generation": 1}, "spec": {}}
    world.cluster.deployments["bot-1"] = foreign
    for _ in range(2):
        await world.reconciler.reconcile(bot_id)
    assert world.cluster.deployments["bot-1"] == foreign
    row = await world.row(bot_id)
    assert (row.status, row.error_count) == ("error", 1)
    assert "left alone" in row.extra_metadata["last_error"]
    assert world.cluster.reasons().count("NameTaken") == 1


async def test_a_foreign_tradingbot_of_the_name_is_left_alone_too(world: "World") -> None:
    bot_id = await world.insert()
    world.cluster.bots["bot-1"] = {"metadata": {"uid": "x", "name": "bot-1", "labels": {}, "generation": 1}, "spec": {}}
    await world.reconciler.reconcile(bot_id)
    assert world.cluster.writes == []
    assert (await world.row(bot_id)).status == "error"
    await world.delete(bot_id)
    await world.insert()
    await world.reconciler.reconcile(bot_id)
    assert "bot-1" in world.cluster.bots


async def test_a_deployment_that_the_api_server_will_not_have_is_told_in_the_row(world: "World") -> None:
    bot_id = await world.insert()
    world.cluster.refused = "Deployment"
    with pytest.raises(InvalidBotError):
        await world.reconciler.reconcile(bot_id)
    row = await world.row(bot_id)
    assert (row.status, row.extra_metadata["last_error"]) == ("error", "DeploymentRefused: bot-1: will not do")


async def test_a_cluster_that_is_down_leaves_row_and_objects_as_they_are(world: "World") -> None:
    bot_id = await world.a_running_bot()
    await world.change(bot_id, status="disabled")
    world.cluster.down = True
    with pytest.raises(TransientError):
        await world.reconciler.reconcile(bot_id)
    assert (await world.row(bot_id)).status == "disabled"
    world.cluster.down = False
    await world.reconciler.reconcile(bot_id)
    assert world.cluster.status(bot_id)["phase"] == "Stopping"


async def test_a_tradingbot_deleted_by_hand_comes_back_and_adopts_the_deployment(world: "World") -> None:
    bot_id = await world.a_running_bot()
    del world.cluster.bots["bot-1"]
    await world.reconciler.reconcile(bot_id)
    owner = world.cluster.deployments["bot-1"]["metadata"]["ownerReferences"][0]["uid"]
    assert owner == world.cluster.bots["bot-1"]["metadata"]["uid"]


async def test_a_write_that_was_based_on_a_stale_look_is_followed_by_another_look_at_once(world: "World") -> None:
    bot_id = await world.a_running_bot()
    world.cluster.deployments["bot-1"]["spec"]["replicas"] = 0
    world.cluster.stale = 2
    await world.reconciler.reconcile(bot_id)
    assert world.cluster.deployments["bot-1"]["spec"]["replicas"] == 1
    assert world.cluster.reasons().count("Restored") == 1


async def test_a_look_that_always_is_stale_is_left_to_the_back_off(world: "World") -> None:
    bot_id = await world.a_running_bot()
    world.cluster.deployments["bot-1"]["spec"]["replicas"] = 0
    world.cluster.stale = 100
    with pytest.raises(TransientError, match="not settled"):
        await world.reconciler.reconcile(bot_id)


async def test_a_cluster_that_changes_what_was_put_back_is_told_of_and_not_fought(world: "World") -> None:
    bot_id = await world.a_running_bot()
    world.cluster.deployments["bot-1"]["spec"]["replicas"] = 0
    world.cluster.insists = 0
    world.cluster.writes.clear()
    with pytest.raises(TransientError, match=r"changed it again: spec\.replicas"):
        await world.reconciler.reconcile(bot_id)
    assert world.cluster.writes == [("apply", "Deployment", "bot-1")]
    assert "Restored" not in world.cluster.reasons()


async def test_what_the_chart_does_not_allow_is_said_in_the_row_once_and_taken_back(world: "World") -> None:
    bot_id = await world.a_running_bot()
    await world.change(bot_id, config=a_document(kubernetes={"labels": {"team": "a"}}))
    await world.reconciler.reconcile(bot_id)
    row = await world.row(bot_id)
    assert row.status == "running"
    assert "kubernetes.labels.team: 'a' is not allowed" in row.extra_metadata["not_allowed"]
    assert ("operator", "not_allowed") in await world.history(bot_id)
    writes = list(world.cluster.writes)
    assert await world.settle() == []
    assert world.cluster.writes == writes

    await world.change(bot_id, config=a_document(kubernetes={"labels": {"bots.tradingbot.dev/team": "a"}}))
    await world.reconciler.reconcile(bot_id)
    assert "not_allowed" not in (await world.row(bot_id)).extra_metadata
    labels = world.cluster.deployments[f"bot-{bot_id}"]["spec"]["template"]["metadata"]["labels"]
    assert labels["bots.tradingbot.dev/team"] == "a"


async def test_a_row_that_names_the_databases_secret_gets_no_pod_until_it_names_another(world: "World") -> None:
    live = {"type": "binance", "trading_mode": "live", "live_trading_confirmed": True, "cash": 1000}
    market = {"data_source": "binance", "interval": "1h"}
    bot_id = await world.insert(a_document(broker=live, data=market, credentials_secret="fleet-database"))
    await world.reconciler.reconcile(bot_id)
    row = await world.row(bot_id)
    assert row.status == "error"
    assert "credentials_secret: 'fleet-database' is no Secret that a row may name" in row.extra_metadata["last_error"]
    assert not world.cluster.deployments
    await world.change(bot_id, config=a_document(broker=live, data=market, credentials_secret="bot-keys"))
    await world.reconciler.reconcile(bot_id)
    assert f"bot-{bot_id}" in world.cluster.deployments


async def test_a_new_bots_deployment_comes_before_all_that_is_told_of_it(world: "World") -> None:
    bot_id = await world.insert()
    await Reconciler.reconcile(world.reconciler, bot_id)
    assert world.cluster.writes == [("apply", "TradingBot", "bot-1"), ("apply", "Deployment", "bot-1")]
    assert world.reconciler.wanted_again == [bot_id]
    await Reconciler.reconcile(world.reconciler, bot_id)
    assert world.cluster.writes[2:] == [("status", "TradingBot", "bot-1")]


async def test_of_a_bot_that_no_sweep_has_seen_only_the_first_look_takes_that_for_granted(world: "World") -> None:
    await world.sweep.everything()
    bot_id = await world.insert()
    await world.reconciler.reconcile(bot_id)
    assert world.cluster.taken_for_new == [bot_id]
    await world.sweep.everything()
    await world.reconciler.reconcile(bot_id)
    assert world.cluster.taken_for_new == [bot_id]
