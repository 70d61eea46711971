"""What stays of a bot whose Deployment was deleted without its pods, and how it comes to an end."""

from typing import TYPE_CHECKING, Any

import pytest

from bot_operator.actions import ApplyDeployment, DeleteDeployment, DeleteTradingBot
from bot_operator.adoption import build_adopter
from bot_operator.manifests import build_deployment
from bot_operator.naming import Workload, object_name
from bot_operator.observed import Observed, parse_deployment
from bot_operator.plan import plan_bot
from bot_operator.standing import stand
from support.operator_builders import NOW, a_bot, a_row, around, some_settings

if TYPE_CHECKING:
    World = Any  # the fixture's class: conftest modules are not imported by name

_ADOPTER: dict[str, Any] = {"replicas": 0, "template_hash": ""}


def test_who_adopts_selects_as_any_deployment_of_the_bot_does_and_wants_no_pod() -> None:
    settings = some_settings()
    adopter = build_adopter(7, settings)
    usual = build_deployment(Workload.of([7]), settings, owner_uid="uid-of-bot-7")
    assert adopter["spec"]["selector"] == usual["spec"]["selector"]
    assert adopter["spec"]["replicas"] == 0
    assert "ownerReferences" not in adopter["metadata"]
    assert parse_deployment(adopter, "fleet").adopts
    assert not parse_deployment(usual, "fleet").adopts


def test_pods_that_outlived_their_deployment_count_as_running_until_they_end() -> None:
    orphaned = a_bot().with_pod()
    assert orphaned.observed.runs
    assert orphaned.with_deployment(**_ADOPTER).observed.runs
    assert not a_bot().with_pod(deleting=True).with_deployment(**_ADOPTER).observed.runs
    assert not a_bot().with_pod().with_deployment(deleting=True).observed.orphans


def test_without_tradingbot_and_row_the_pods_alone_say_whose_they_are() -> None:
    (action,) = plan_bot(None, Observed(pods=a_bot(7).with_pod().observed.pods), around())
    assert isinstance(action, ApplyDeployment)
    assert action.manifest == build_adopter(7, some_settings())


def test_the_steps_of_a_removal() -> None:
    steps = [
        a_bot().with_pod(),
        a_bot().with_pod().with_deployment(**_ADOPTER),
        a_bot().with_pod(deleting=True).with_deployment(**_ADOPTER),
    ]
    planned = [[type(it) for it in plan_bot(None, step.observed, around())] for step in steps]
    assert planned == [
        [ApplyDeployment, DeleteTradingBot], [DeleteTradingBot], [DeleteDeployment, DeleteTradingBot]
    ]  # fmt: skip


def test_who_adopts_has_no_part_in_a_roll_out() -> None:
    cluster = a_bot().with_pod().with_deployment(**_ADOPTER)
    assert stand(a_row().record(), cluster.observed, some_settings(), NOW) is None


@pytest.mark.parametrize("row_is_gone", [False, True])
async def test_what_stays_after_orphaning_is_ended(world: "World", row_is_gone: bool) -> None:
    bot_id = await _orphaned(world)
    if row_is_gone:
        await world.delete(bot_id)
    else:
        await world.change(bot_id, status="disabled")
    world.restart_operator()  # with nothing in memory
    await world.settle()
    adopter = world.cluster.deployments[object_name(bot_id)]
    assert adopter["spec"]["replicas"] == 0
    assert not world.cluster.writes.count(("delete", "Deployment", object_name(bot_id)))
    world.cluster.end_pods(bot_id)
    await world.settle()
    assert object_name(bot_id) not in world.cluster.deployments
    await world.settle()  # its end is news
    assert row_is_gone or world.cluster.status(bot_id)["phase"] == "Stopped"
    assert await world.settle() == []


async def test_a_bot_that_is_wanted_again_meanwhile_gets_its_deployment_at_once(world: "World") -> None:
    bot_id = await _orphaned(world)
    await world.change(bot_id, status="disabled")
    await world.settle()
    await world.change(bot_id, status="enabled")
    await world.settle()
    deployment = world.cluster.deployments[object_name(bot_id)]
    assert deployment["spec"]["replicas"] == 1
    assert world.cluster.status(bot_id)["update"] == "Current"


async def _orphaned(world: "World") -> int:
    """A running bot, among enough others for the brake, after `kubectl delete deployment --cascade=orphan`."""
    bot_ids = [await world.a_running_bot() for _ in range(5)]
    del world.cluster.deployments[object_name(bot_ids[0])]
    return int(bot_ids[0])
