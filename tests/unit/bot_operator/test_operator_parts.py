"""What fails for a bot ends no more than what depends on it: row, status and workload each by themselves."""

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select, text

from bot_core.models.bot import BotStatus
from bot_core.models.errors import DatabaseUnavailableError, InvalidBotError, TransientError
from bot_core.schema import messages
from bot_core.store.bots import BotStore
from bot_core.store.leases import LeaseStore
from bot_operator.actions import (
    Action,
    ApplyDeployment,
    DeleteDeployment,
    DeletePod,
    DeleteTradingBot,
    EmitEvent,
    NoteRow,
    PatchStatus,
    WriteRowError,
    WriteRowStopped,
)
from bot_operator.cluster import RefusedForNowError
from bot_operator.fence import NotLeaderError
from bot_operator.parts import stands
from bot_operator.status import condition
from support.operator_builders import a_document, an_invalid_document

if TYPE_CHECKING:
    World = Any  # the fixture's class: conftest modules are not imported by name

_ROW, _STATUS, _EVENT = WriteRowError("wrong"), PatchStatus({}), EmitEvent("Error", "wrong", "uid")
_APPLY, _DELETE = ApplyDeployment({}), DeleteDeployment("uid", "asked")
_POD, _NOTE, _STOPPED = DeletePod("bot-7-abc", "uid", "silent"), NoteRow("heartbeat_lost", "silent"), WriteRowStopped()
_QUOTA = "exceeded quota: few, requested: count/deployments.apps=1, used: count/deployments.apps=5"


@pytest.mark.parametrize(
    ("sentence", "action", "failed", "expected"),
    [
        ("a status tells of what the row could not be told", _STATUS, [_ROW], True),
        ("a status waits for the answer to a stop", _STATUS, [_STOPPED], False),
        ("a status waits for a note on a recovery", _STATUS, [_NOTE], False),
        ("a Deployment waits for neither", _APPLY, [_ROW, _STATUS], True),
        ("a stop neither", _DELETE, [_ROW, _STATUS], True),
        ("a pod is deleted after the status is written", _POD, [_STATUS], False),
        ("a pod is deleted after the row is written", _POD, [_NOTE], False),
        ("a TradingBot is deleted after its Deployment", DeleteTradingBot("uid", "gone"), [_DELETE], False),
        ("nothing waits where nothing failed", _POD, [], True),
    ],
)
def test_what_does_without_another_is_carried_out(
    sentence: str, action: Action, failed: list[Action], expected: bool
) -> None:
    assert stands(action, failed, action) is expected, sentence


def test_an_event_tells_of_what_was_done_and_of_nothing_else() -> None:
    assert stands(_EVENT, [_ROW], _STATUS)
    assert not stands(_EVENT, [_STATUS], _STATUS)


def _scale_to_nothing(world: "World", bot_id: int) -> None:
    world.cluster.deployments[f"bot-{bot_id}"]["spec"]["replicas"] = 0


def _replicas(world: "World", bot_id: int) -> int:
    count: int = world.cluster.deployments[f"bot-{bot_id}"]["spec"]["replicas"]
    return count


@pytest.mark.parametrize("column", ["last_heartbeat", "current_balance"])
async def test_a_row_with_a_value_that_can_not_be_read_is_told_and_its_bot_looked_after(
    world: "World", column: str
) -> None:
    bot_id = await world.a_running_bot()
    await world.change(bot_id, extra_metadata={"kept": "of another program"})
    async with world.database.write() as connection:
        await connection.execute(text(f"UPDATE trading_bots SET {column} = 'rubbish' WHERE id = {bot_id}"))
    _scale_to_nothing(world, bot_id)
    for _ in range(2):
        await world.reconciler.reconcile(bot_id)
    assert _replicas(world, bot_id) == 1
    row, status = await world.row(bot_id), world.cluster.status(bot_id)
    assert f"a value of the row can't be read: {column}: " in row.extra_metadata["last_error"]
    assert (row.status, row.extra_metadata["kept"]) == ("running", "of another program")
    assert "can't be read" in status["message"]
    assert len([kind for actor, kind in await world.history(bot_id) if actor == "operator"]) == 1
    await world.change(bot_id, last_heartbeat=None, current_balance=None)
    await world.reconciler.reconcile(bot_id)
    assert condition(world.cluster.status(bot_id), "ConfigValid")["status"] == "True"


async def test_a_stop_that_such_a_row_asks_for_is_carried_out_and_answered(world: "World") -> None:
    bot_id = await world.a_running_bot()
    await world.change(bot_id, status="disabled")
    async with world.database.write() as connection:
        await connection.execute(text("UPDATE trading_bots SET last_heartbeat = 'rubbish'"))
    await world.reconciler.reconcile(bot_id)
    world.cluster.end_pods(bot_id)
    await world.reconciler.reconcile(bot_id)
    row = await world.row(bot_id)
    assert (row.status, row.extra_metadata["stopped_by"]) == ("stopped", "request")
    await world.reconciler.reconcile(bot_id)
    assert "bot-1" not in world.cluster.deployments
    assert (await world.row(bot_id)).status == "stopped"


@pytest.mark.parametrize("error", [ValueError("a bug"), DatabaseUnavailableError("read-only")])
async def test_a_row_that_can_not_be_written_keeps_neither_status_nor_deployment_from_being_so(
    world: "World", monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    bot_id = await world.a_running_bot()
    await world.change(bot_id, config=an_invalid_document())
    _scale_to_nothing(world, bot_id)

    async def failing(*_: Any, **__: Any) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(world.reconciler._writer._store, "failed", failing)
        with pytest.raises(type(error)):
            await world.reconciler.reconcile(bot_id)
    assert _replicas(world, bot_id) == 1
    assert "symbol" in world.cluster.status(bot_id)["message"]
    await world.reconciler.reconcile(bot_id)
    assert "symbol" in (await world.row(bot_id)).extra_metadata["last_error"]


async def test_who_leads_no_longer_goes_on_with_nothing(world: "World", monkeypatch: pytest.MonkeyPatch) -> None:
    bot_id = await world.a_running_bot()
    await world.change(bot_id, config=an_invalid_document())
    _scale_to_nothing(world, bot_id)

    async def failing(*_: Any, **__: Any) -> None:
        raise NotLeaderError("not sent")

    monkeypatch.setattr(world.reconciler._writer._store, "failed", failing)
    with pytest.raises(NotLeaderError):
        await world.reconciler.reconcile(bot_id)
    assert _replicas(world, bot_id) == 0


async def test_a_status_that_is_refused_keeps_no_deployment_from_being_applied(world: "World") -> None:
    bot_id = await world.insert()
    world.cluster.refused = "status"
    with pytest.raises(InvalidBotError, match="the status will not do"):
        await world.reconciler.reconcile(bot_id)
    assert "bot-1" in world.cluster.deployments
    assert "Pending" not in world.cluster.reasons()
    world.cluster.refused = ""
    await world.reconciler.reconcile(bot_id)
    assert world.cluster.reasons() == ["Pending"]


async def test_a_status_that_an_older_crd_cuts_is_written_once_a_look(world: "World") -> None:
    bot_id = await world.insert()
    world.cluster.pruned = "halted"
    with pytest.raises(TransientError, match="not settled"):
        await world.reconciler.reconcile(bot_id)
    assert world.cluster.writes.count(("status", "TradingBot", "bot-1")) == 1
    assert "bot-1" in world.cluster.deployments


async def _letters(world: "World") -> list[str]:
    async with world.database.read() as connection:
        found = await connection.execute(select(messages.c.content).order_by(messages.c.id))
        return [row.content["message"] for row in found]


async def test_a_deployment_that_is_forbidden_is_told_once_and_is_well_once_it_is_allowed(world: "World") -> None:
    bot_id = await world.insert(a_document(notifications={"error_notifications": True, "webhook_enabled": True}))
    for used in range(5, 8):  # the words vary, and it is the same trouble
        world.cluster.forbidden = _QUOTA.replace("=5", f"={used}")
        with pytest.raises(RefusedForNowError):
            await world.reconciler.reconcile(bot_id)
    row, status = await world.row(bot_id), world.cluster.status(bot_id)
    assert (row.status, row.error_count) == ("error", 1)
    assert row.extra_metadata["last_error"] == f"DeploymentRefused: PATCH bot-1: 403: {_QUOTA}"
    assert (status["phase"], condition(status, "Ready")["reason"]) == ("Error", "DeploymentRefused")
    assert _QUOTA in status["message"]
    assert world.cluster.reasons().count("Error") == 1
    assert len(await _letters(world)) == 1

    world.cluster.forbidden = ""
    await world.reconciler.reconcile(bot_id)
    assert (world.cluster.status(bot_id)["phase"], world.cluster.status(bot_id)["message"]) == ("Pending", "")
    world.cluster.start_pod(bot_id)
    await world.reconciler.reconcile(bot_id)
    lease = await LeaseStore(world.database, "a pod").acquire(bot_id)
    assert lease is not None
    assert await BotStore(world.database, actor="a pod").observe(lease, BotStatus.RUNNING)
    await world.reconciler.reconcile(bot_id)
    assert "last_error" not in (await world.row(bot_id)).extra_metadata
    assert (world.cluster.status(bot_id)["phase"], world.cluster.status(bot_id)["message"]) == ("Running", "")


async def test_a_bot_that_runs_says_that_its_change_is_forbidden_and_keeps_its_status(world: "World") -> None:
    bot_id = await world.a_running_bot()
    world.cluster.deployments["bot-1"]["spec"]["replicas"] = 3
    world.cluster.forbidden = "denied by a policy"
    for _ in range(3):
        with pytest.raises(RefusedForNowError):
            await world.reconciler.reconcile(bot_id)
    row, status = await world.row(bot_id), world.cluster.status(bot_id)
    assert (row.status, row.error_count) == ("running", 1)
    assert (status["phase"], status["message"]) == (
        "Running",
        "DeploymentRefused: PATCH bot-1: 403: denied by a policy",
    )


@pytest.mark.parametrize("invalid", [True, False])
async def test_a_row_that_tells_of_something_else_is_not_written_in_turns(world: "World", invalid: bool) -> None:
    bot_id = await world.a_running_bot()
    if invalid:
        await world.change(bot_id, config=an_invalid_document())
    else:
        await world.change(bot_id, status="error", extra_metadata={"last_error": "the plugin has a bug"})
    world.cluster.deployments["bot-1"]["spec"]["replicas"] = 3
    world.cluster.forbidden = "denied by a policy"
    for _ in range(4):
        with pytest.raises(RefusedForNowError):
            await world.reconciler.reconcile(bot_id)
    row = await world.row(bot_id)
    assert ("symbol" if invalid else "the plugin has a bug") in row.extra_metadata["last_error"]
    assert row.error_count == (1 if invalid else 0)
