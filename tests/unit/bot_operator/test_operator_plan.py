from dataclasses import replace
from typing import Any

import pytest

from bot_operator.actions import (
    Action,
    ApplyDeployment,
    DeleteDeployment,
    DeleteTradingBot,
    EmitEvent,
    PatchStatus,
    RestoreTradingBot,
    WriteRowError,
    WriteRowStopped,
)
from bot_operator.observed import Observed
from bot_operator.plan import plan_bot
from bot_operator.record import Hold
from bot_operator.status import condition
from support.operator_builders import ClusterBuilder, RowBuilder, a_bot, a_document, a_row, around, some_settings

_INVALID = a_row(7).invalid()


def _plan(row: RowBuilder | None, cluster: ClusterBuilder | None, **changes: Any) -> list[Action]:
    observed = cluster.observed if cluster else Observed()
    return plan_bot(row.record() if row else None, observed, around(**changes))


def _kinds(actions: list[Action]) -> list[str]:
    """Names of the actions; Events and status are a matter of other tests."""
    return [type(action).__name__ for action in actions if not isinstance(action, (EmitEvent, PatchStatus))]


@pytest.mark.parametrize(
    ("sentence", "row", "cluster", "expected"),
    [
        ("a new row first gets its TradingBot", a_row(), None, ["ApplyTradingBot"]),
        ("then its Deployment", a_row(), a_bot(), ["ApplyDeployment"]),
        ("a bot that runs is left alone", a_row(), a_bot().running(), []),
        ("a restart is answered in the pod", a_row().says("restarting"), a_bot().running(), []),
        ("a restart of what is not there starts it", a_row().says("restarting"), a_bot(), ["ApplyDeployment"]),
        (
            "after a shutdown a bot resumes",
            a_row().says("stopped", stopped_by="shutdown"),
            a_bot(),
            ["ApplyDeployment"],
        ),
        ("a bot in error runs again", a_row().says("error"), a_bot(), ["ApplyDeployment"]),
        ("a changed pod template is applied", a_row(), a_bot().with_deployment(template_hash="x"), ["ApplyDeployment"]),
        ("a scaled Deployment is put back", a_row(), a_bot().with_deployment(replicas=0), ["RestoreDeployment"]),
        ("one of another TradingBot is adopted", a_row(), a_bot().with_deployment(owner_uid="x"), ["ApplyDeployment"]),
        ("one on its way out is waited for", a_row(), a_bot().with_deployment(deleting=True), []),
        (
            "a disabled bot's Deployment is deleted",
            a_row().disabled(),
            a_bot().seen_by(a_row().disabled()).running(),
            ["DeleteDeployment"],
        ),
        (
            "and while it drains nothing more is done",
            a_row().disabled(),
            a_bot().seen_by(a_row().disabled()).with_deployment(deleting=True).with_pod(deleting=True),
            [],
        ),
        (
            "when all is gone an unanswered request is answered",
            a_row().disabled(),
            a_bot().seen_by(a_row().disabled()).saying(phase="Stopping"),
            ["WriteRowStopped"],
        ),
        (
            "but not while a pod is still there",
            a_row().disabled(),
            a_bot().seen_by(a_row().disabled()).with_pod(deleting=True).saying(phase="Stopping"),
            [],
        ),
        (
            "a row that never ran keeps its disabled",
            a_row().disabled(),
            a_bot().seen_by(a_row().disabled()).saying(phase="Stopped"),
            [],
        ),
        (
            "so does one that only ever was invalid",
            a_row().disabled(),
            a_bot().seen_by(a_row().disabled()).saying(phase="Error"),
            [],
        ),
        (
            "stopping is always answered",
            a_row().says("stopping"),
            a_bot().seen_by(a_row().says("stopping")),
            ["WriteRowStopped"],
        ),
        (
            "a stopped row has been answered",
            a_row().stopped_on_request(),
            a_bot().seen_by(a_row().stopped_on_request()).saying(phase="Stopping"),
            [],
        ),
        ("an invalid row gets no pod", _INVALID, a_bot(row=_INVALID), ["WriteRowError"]),
        ("and is told once", _INVALID.told(), a_bot(row=_INVALID.told()), []),
        (
            "an invalid row that runs keeps running and is told",
            _INVALID.says("running"),
            a_bot(row=_INVALID).running(),
            ["WriteRowError"],
        ),
        (
            "an invalid row that is disabled is only stopped",
            _INVALID.disabled(),
            a_bot(row=_INVALID.disabled()).running(),
            ["DeleteDeployment"],
        ),
        ("an edited spec is put back", a_row(), a_bot().seen_by(a_row().invalid()).running(), ["ApplyTradingBot"]),
        ("a foreign TradingBot is left alone", a_row(), a_bot().foreign(), ["WriteRowError"]),
        ("a foreign Deployment is left alone", a_row(), a_bot().with_deployment(ours=False), ["WriteRowError"]),
        (
            "a stopped bot is not set to error, which would start it",
            a_row().stopped_on_request(),
            a_bot(row=a_row().stopped_on_request()).with_deployment(ours=False),
            [],
        ),
        ("a deleted row takes both with it", None, a_bot().running(), ["DeleteDeployment", "DeleteTradingBot"]),
        ("but nothing foreign", None, a_bot().foreign().with_deployment(ours=False), []),
        ("and nothing twice", None, a_bot().with_deployment(deleting=True), ["DeleteTradingBot"]),
        ("nothing is asked of nothing", None, None, []),
    ],
)
def test_a_plan_is_what_row_and_cluster_ask_for(
    sentence: str, row: RowBuilder | None, cluster: ClusterBuilder | None, expected: list[str]
) -> None:
    assert _kinds(_plan(row, cluster)) == expected, sentence


def test_a_held_bot_without_a_row_keeps_all_it_has_and_says_so_once() -> None:
    cluster, hold = a_bot().running().up_to_date(), Hold("the table is empty", first=True)
    patch, event = _plan(None, cluster, hold=hold)
    assert isinstance(patch, PatchStatus)
    assert patch.manifest["status"]["phase"] == "Running"
    assert condition(patch.manifest["status"], "RemovalHeld")["message"] == "the table is empty"
    assert event == EmitEvent("RemovalHeld", "the table is empty", "uid-of-bot-7", warning=True)
    assert _plan(None, cluster.saying(**patch.manifest["status"]), hold=hold) == []


def test_a_held_bot_that_is_not_the_first_has_the_condition_and_no_event() -> None:
    assert [type(item) for item in _plan(None, a_bot().running(), hold=Hold("held"))] == [PatchStatus]


def test_the_deployment_of_a_held_bot_is_put_back_as_its_last_row_shaped_it() -> None:
    edited = a_bot().with_deployment(replicas=0)
    assert _kinds(_plan(None, edited, hold=Hold("held"), last=a_row().record())) == ["RestoreDeployment"]
    assert _kinds(_plan(None, edited, hold=Hold("held"))) == []


@pytest.mark.parametrize(
    "row", [a_row().disabled(), a_row().says("stopping"), a_row().with_config(a_document(enabled=False))]
)
def test_a_held_bot_whose_row_asks_for_a_stop_is_looked_after_as_one_that_runs(row: RowBuilder) -> None:
    record = replace(row.record(), hold=Hold("held"))
    observed = a_bot(row=row).running().observed
    actions = plan_bot(record, observed, around())
    assert _kinds(actions) == []
    (patch,) = [action for action in actions if isinstance(action, PatchStatus)]
    assert condition(patch.manifest["status"], "RemovalHeld")["status"] == "True"
    assert _kinds(plan_bot(record, a_bot(row=row).with_deployment(replicas=3).observed, around()))[-1:] == [
        "RestoreDeployment"
    ]


def test_a_settled_bot_causes_no_action_at_all() -> None:
    row = a_row().says("running").with_figures("10000", "12.5").holding("0.5", "2000")
    assert _plan(row, a_bot(row=row).running().up_to_date()) == []


def test_an_invalid_row_that_runs_keeps_its_status_and_one_that_does_not_gets_error() -> None:
    def error(cluster: ClusterBuilder) -> WriteRowError:
        (found,) = [item for item in _plan(_INVALID.says("running"), cluster) if isinstance(item, WriteRowError)]
        return found

    assert error(a_bot(row=_INVALID).running()).keep_status
    assert not error(a_bot(row=_INVALID)).keep_status
    assert "symbol" in error(a_bot(row=_INVALID)).message


def test_the_row_is_answered_before_the_phase_forgets_and_the_phase_written_before_the_workload_goes() -> None:
    disabled = a_row().disabled()
    gone = _plan(disabled, a_bot(row=disabled).saying(phase="Stopping"))
    assert [type(item) for item in gone][:2] == [WriteRowStopped, PatchStatus]
    going = _plan(disabled, a_bot(row=disabled).running().saying(phase="Running"))
    order = [type(item) for item in going]
    assert order.index(PatchStatus) < order.index(DeleteDeployment)


def test_figures_alone_are_no_reason_to_write_and_go_with_whatever_is() -> None:
    before = a_row().says("running").with_figures("10000", "0")
    after = before.with_figures("10001", "1")
    cluster = a_bot(row=before).running().up_to_date()
    assert _plan(after, cluster) == []
    stopping = _plan(after.says("stopping"), cluster.seen_by(after.says("stopping")))
    (patch,) = [item for item in stopping if isinstance(item, PatchStatus)]
    assert patch.manifest["status"]["balance"] == "10001"


def test_events_tell_of_changes_only() -> None:
    def reasons(row: RowBuilder, cluster: ClusterBuilder) -> list[str]:
        return [item.reason for item in _plan(row, cluster) if isinstance(item, EmitEvent)]

    assert reasons(a_row(), a_bot().running()) == ["Running"]
    assert reasons(_INVALID.told(), a_bot(row=_INVALID.told())) == ["ConfigInvalid", "Error"]
    assert reasons(_INVALID.told(), a_bot(row=_INVALID.told()).up_to_date()) == []
    healed = a_bot(row=_INVALID.told()).up_to_date().seen_by(a_row().says("error"))
    assert reasons(a_row().says("error"), healed) == ["ConfigValid", "Pending"]


def test_a_plan_names_the_very_objects_that_it_deletes() -> None:
    deployment, bot = _plan(None, a_bot().running())
    assert deployment == DeleteDeployment("uid-of-deployment-7", "its row is gone")
    assert bot == DeleteTradingBot("uid-of-bot-7", "its row is gone")


def test_the_deployment_is_owned_by_the_tradingbot_that_was_seen() -> None:
    (apply,) = [item for item in _plan(a_row(), a_bot()) if isinstance(item, ApplyDeployment)]
    (owner,) = apply.manifest["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"], owner["blockOwnerDeletion"]) == ("uid-of-bot-7", True, False)


def test_a_changed_image_reaches_a_bot_whose_row_is_invalid_too() -> None:
    settings = some_settings(bot={"image": "bot-runtime:2"})
    planned = _plan(_INVALID.told(), a_bot(row=_INVALID.told()).running(), settings=settings)
    assert "ApplyDeployment" in _kinds(planned)


def test_a_lost_label_is_put_back_as_long_as_the_object_is_still_ours() -> None:
    cluster = a_bot()
    assert cluster.observed.bot is not None
    del cluster.observed.bot.document["metadata"]["labels"]["app.kubernetes.io/name"]
    restore, event = _plan(a_row(), cluster)
    assert isinstance(restore, RestoreTradingBot)
    assert restore.fields == ("metadata.labels[app.kubernetes.io/name]",)
    assert isinstance(event, EmitEvent)
    assert event.reason == "Restored"
