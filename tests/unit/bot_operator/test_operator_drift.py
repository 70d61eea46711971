import copy
from dataclasses import replace
from typing import Any

import pytest

from bot_operator.actions import Action, ApplyDeployment, EmitEvent, PatchStatus, RestoreDeployment, RestoreStatus
from bot_operator.drift import differences, find_drift, foreign_status
from bot_operator.manifests import build_deployment
from bot_operator.naming import APPLIED_HASH, REVISION, TEMPLATE_HASH, Workload
from bot_operator.ownership import disowning_patch, restoring_patch, told
from bot_operator.plan import plan_bot
from support.operator_builders import ClusterBuilder, a_bot, a_row, applied_by_us, around, edit, some_settings

_BOT = ("spec", "template", "spec", "containers", "name=bot")


def _manifest(**settings: Any) -> dict[str, Any]:
    return build_deployment(Workload.of([7]), some_settings(**settings), owner_uid="uid-1")


def _plan(cluster: ClusterBuilder, **changes: Any) -> list[Action]:
    planned = plan_bot(a_row().record(), cluster.observed, around(**changes))
    return [action for action in planned if not isinstance(action, (EmitEvent, PatchStatus))]


_NEWER = some_settings(bot={"image": "registry.example.com/bot-runtime:2", "serviceAccountName": "fleet-bot"})


@pytest.mark.parametrize(
    ("path", "wanted", "held"),
    [
        ("requests", {"cpu": "10m"}, {"cpu": "0.01"}),
        ("limits", {"memory": "1024Mi", "cpu": 1}, {"memory": "1Gi", "cpu": "1"}),
        ("emptyDir", {"sizeLimit": "1000M"}, {"sizeLimit": "1G"}),
        ("container", {"image": "a"}, {"image": "a", "terminationMessagePath": "/dev/termination-log"}),
        ("volume", {"name": "tmp", "emptyDir": {}}, {"name": "tmp"}),
        ("volumeMounts", [{"mountPath": "/a", "readOnly": False}], [{"mountPath": "/a", "name": "x"}]),
        ("env", [{"name": "A", "value": ""}], [{"name": "B"}, {"name": "A"}]),
        ("ports", [{"containerPort": 8080}], [{"containerPort": 8080, "protocol": "TCP"}]),
    ],
)
def test_what_means_the_same_is_no_difference(path: str, wanted: Any, held: Any) -> None:
    assert list(differences(wanted, held, (path,))) == []


@pytest.mark.parametrize(
    ("path", "wanted", "held", "found"),
    [
        ("requests", {"cpu": "10m"}, {"cpu": "10"}, "requests.cpu"),
        ("requests", {"memory": "x"}, {"memory": "y"}, "requests.memory"),
        ("pod", {"automountServiceAccountToken": False}, {}, "pod.automountServiceAccountToken"),
        ("args", ["run", "7"], ["run", "7", "8"], "args"),
        ("args", ["run", "7"], ["7", "run"], "args"),
        ("tolerations", [{"key": "a"}], [], "tolerations"),
        ("env", [{"name": "A", "value": "1"}], [{"name": "A", "value": "2"}], "env[A].value"),
        ("env", [{"name": "A", "value": "1"}], [], "env[A]"),
        ("volumes", [{"name": "tmp", "emptyDir": {}}], None, "volumes"),
    ],
)
def test_a_difference_is_named_by_its_path(path: str, wanted: Any, held: Any, found: str) -> None:
    assert [told(item) for item in dict.fromkeys(differences(wanted, held, (path,)))] == [found]


def test_an_object_as_it_was_applied_has_not_drifted() -> None:
    assert not find_drift(applied_by_us(_manifest()), _manifest())


@pytest.mark.parametrize(
    ("path", "to", "found"),
    [
        ((*_BOT, "image"), "evil", "spec.template.spec.containers[bot].image"),
        ((*_BOT, "command"), ["sleep"], "spec.template.spec.containers[bot].command"),
        ((*_BOT, "env", "name=EXTRA", "value"), "s3cret", "spec.template.spec.containers[bot].env[EXTRA]"),
        (
            ("spec", "template", "spec", "containers", "name=spy", "image"),
            "spy",
            "spec.template.spec.containers[spy]",
        ),
        (("spec", "template", "spec", "nodeSelector"), {"a": "b"}, "spec.template.spec.nodeSelector"),
        (("metadata", "labels", "more"), "x", "metadata.labels.more"),
        (("metadata", "annotations", TEMPLATE_HASH), "x", f"metadata.annotations[{TEMPLATE_HASH}]"),
    ],
)
def test_what_somebody_writes_is_an_edit_of_that_very_field(path: tuple[str, ...], to: Any, found: str) -> None:
    drift = find_drift(edit(applied_by_us(_manifest()), path, to, "kubectl-edit"), _manifest())
    assert drift.fields == (found,)
    assert drift.outdated == ()


def test_a_list_that_is_written_as_a_whole_by_another_is_an_edit_even_if_ours_is_within_it() -> None:
    settings = {"bot": {"image": "i", "nodeSelector": {"disk": "ssd"}}}
    held = edit(
        applied_by_us(_manifest(**settings)),
        ("spec", "template", "spec", "nodeSelector"),
        {"disk": "ssd", "zone": "b"},
        "kubectl-edit",
    )
    assert find_drift(held, _manifest(**settings)).fields == ("spec.template.spec.nodeSelector",)


def test_what_nobody_wrote_is_tolerated_and_so_is_a_restart_and_the_deployments_own_counter() -> None:
    held = applied_by_us(_manifest())
    held["spec"]["template"]["spec"]["dnsPolicy"] = "ClusterFirst"
    path = ("metadata", "annotations", "deployment.kubernetes.io/revision")
    held = edit(held, path, "3", "kube-controller-manager")
    path = ("spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt")
    held = edit(held, path, "2026-03-01T12:00:00Z", "kubectl-rollout")
    assert not find_drift(held, _manifest())
    patch = {item["path"]: item.get("value") for item in restoring_patch(held, _manifest())}
    assert patch["/spec"]["template"]["metadata"]["annotations"] == {path[-1]: "2026-03-01T12:00:00Z"}
    assert patch["/metadata/annotations"]["deployment.kubernetes.io/revision"] == "3"


def test_an_object_whose_owners_were_wiped_out_is_put_back_as_a_whole() -> None:
    held = applied_by_us(_manifest())
    held["metadata"]["managedFields"] = []
    assert find_drift(held, _manifest()).fields == ("metadata.managedFields",)


def test_a_change_of_our_own_is_no_edit_and_both_at_once_are_told_apart() -> None:
    newer = build_deployment(Workload.of([7]), _NEWER, owner_uid="uid-1")
    held = applied_by_us(_manifest())
    drift = find_drift(held, newer)
    assert drift.edited == ()
    assert {told(path) for path in drift.outdated} == {
        f"metadata.annotations[{APPLIED_HASH}]",
        f"metadata.annotations[{TEMPLATE_HASH}]",
        f"metadata.annotations[{REVISION}]",
        "spec.template.spec.containers[bot].image",
    }
    drift = find_drift(edit(held, ("spec", "replicas"), 0, "kubectl-scale"), newer)
    assert drift.fields == ("spec.replicas",)
    assert len(drift.outdated) == 4


def test_the_patch_leaves_only_what_is_wanted_and_only_our_apply_in_it() -> None:
    held = edit(applied_by_us(_manifest()), ("metadata", "labels", "more"), "x", "kubectl-label")
    held["metadata"] |= {"resourceVersion": "42", "finalizers": ["example.com/hold"]}
    patch = {item["path"]: item for item in restoring_patch(held, _manifest())}
    assert patch["/metadata/resourceVersion"]["value"] == "42"
    assert patch["/metadata/labels"]["value"] == _manifest()["metadata"]["labels"]
    assert patch["/metadata/finalizers"]["op"] == "remove"
    assert [entry["operation"] for entry in patch["/metadata/managedFields"]["value"]] == ["Apply"]
    assert patch["/spec"]["value"] == _manifest()["spec"]


def test_the_patchs_own_entry_is_forgotten_and_nothing_is_sent_where_there_is_none() -> None:
    held = applied_by_us(_manifest())
    assert disowning_patch(held, of_status=False) is None
    held["metadata"]["managedFields"].append({"manager": "tradingbot-operator", "operation": "Update"})
    patch = disowning_patch(held, of_status=False)
    assert patch is not None
    assert patch[1]["value"] == held["metadata"]["managedFields"][:1]


def test_an_edit_waits_for_no_roll_out_and_a_change_of_our_own_does() -> None:
    cluster = a_bot().running()
    assert _plan(cluster, settings=_NEWER, may_roll=False) == []
    assert [type(item) for item in _plan(cluster, settings=_NEWER)] == [ApplyDeployment]
    (restore,) = _plan(cluster.edited("spec", "replicas", to=0), may_roll=False)
    assert isinstance(restore, RestoreDeployment)
    assert restore.fields == ("spec.replicas",)


def test_around_a_pod_that_waits_for_its_update_an_edit_is_put_back_without_a_new_pod() -> None:
    cluster = a_bot().running().edited("spec", "replicas", to=0)
    (restore,) = _plan(cluster, settings=_NEWER, may_roll=False)
    assert isinstance(restore, RestoreDeployment)
    assert restore.manifest["spec"]["replicas"] == 1
    assert cluster.observed.deployment is not None
    held = copy.deepcopy(cluster.observed.deployment.document)
    assert restore.manifest["spec"]["template"] == held["spec"]["template"]
    assert restore.manifest["metadata"]["annotations"] == held["metadata"]["annotations"]


def test_a_pod_that_was_edited_is_made_current_at_once_since_the_edit_has_ended_it() -> None:
    (restore,) = _plan(a_bot().running().edited(*_BOT, "image", to="evil"), settings=_NEWER, may_roll=False)
    assert isinstance(restore, RestoreDeployment)
    assert restore.manifest["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":2")


def test_a_status_that_somebody_wrote_is_put_back() -> None:
    cluster = a_bot().running().up_to_date()
    bot = cluster.observed.bot
    assert bot is not None
    document = edit({**bot.document, "status": bot.status}, ("status", "balance"), "1000000", "kubectl-edit")
    assert foreign_status(document, bot.status) == ("status.balance",)
    lied = replace(bot, document=document, status=document["status"])
    planned = _plan(replace(cluster, observed=replace(cluster.observed, bot=lied)))
    assert [type(item) for item in planned] == [RestoreStatus]


def test_an_event_names_fields_and_no_value_and_stays_short() -> None:
    cluster = a_bot().running()
    for number in range(20):
        cluster = cluster.edited(*_BOT, "env", f"name=EXTRA{number}", "value", to="s3cret")
    planned = plan_bot(a_row().record(), cluster.observed, around())
    (event,) = [item for item in planned if isinstance(item, EmitEvent) and item.reason == "Restored"]
    assert "s3cret" not in event.message
    assert event.message.endswith("and 12 more")
