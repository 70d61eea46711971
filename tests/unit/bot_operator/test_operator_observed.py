from typing import Any

import pytest

from bot_operator.manifests import build_deployment
from bot_operator.naming import Workload, labelled_bot_id
from bot_operator.observed import Observed, ObservedPod, parse_deployment, parse_pod, parse_tradingbot
from support.operator_builders import some_settings

_RELEASE = "fleet"


def _pod(status: dict[str, Any], **meta: Any) -> ObservedPod:
    return parse_pod(
        {"metadata": {"name": "bot-7-abc", "creationTimestamp": "2026-03-01T11:00:00Z"} | meta, "status": status}
    )


def test_a_pod_is_ready_by_its_condition_and_counts_the_restarts_of_all_containers() -> None:
    status = {
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"restartCount": 2, "state": {"running": {}}}, {"restartCount": 1}],
    }
    pod = _pod(status)
    assert pod.ready
    assert pod.restarts == 3


def test_a_pod_on_its_way_out_says_when_it_was_to_be_gone() -> None:
    meta = {"name": "bot-7-abc", "uid": "uid-1", "deletionTimestamp": "2026-03-01T12:00:30Z"}
    pod = parse_pod({"metadata": meta})
    assert (pod.uid, pod.deleting, pod.end_due) == ("uid-1", True, "2026-03-01T12:00:30Z")
    assert parse_pod({"metadata": {"name": "bot-7-abc"}}).end_due == ""


def test_the_pod_that_counts_is_the_newest_that_stays_and_has_not_failed() -> None:
    old = ObservedPod("a", "2026-03-01T11:00:00Z")
    new = ObservedPod("b", "2026-03-01T11:00:01Z")
    leaving = ObservedPod("c", "2026-03-01T11:00:02Z", deleting=True)
    evicted = ObservedPod("d", "2026-03-01T11:00:03Z", over=True)
    assert Observed(pods=(new, evicted, leaving, old)).pod == new
    assert Observed(pods=(evicted, leaving)).pod == evicted
    assert Observed(pods=(leaving,)).pod is None


def test_a_deployment_reads_back_as_it_was_built() -> None:
    manifest = build_deployment(Workload.of([7]), some_settings(), owner_uid="uid-1")
    manifest["metadata"]["uid"] = "uid-2"
    seen = parse_deployment(manifest, _RELEASE)
    assert (seen.uid, seen.ours, seen.owner_uid, seen.replicas, seen.deleting) == ("uid-2", True, "uid-1", 1, False)
    assert seen.template_hash == manifest["metadata"]["annotations"]["tradingbot.dev/template-hash"]


@pytest.mark.parametrize(
    "document", [{}, {"metadata": None}, {"metadata": {"labels": None}, "spec": None, "status": None}]
)
def test_an_empty_document_is_somebody_elses_and_raises_nothing(document: dict[str, Any]) -> None:
    assert not parse_tradingbot(document, _RELEASE).ours
    assert not parse_deployment(document, _RELEASE).ours


@pytest.mark.parametrize(("label", "bot_id"), [("7", 7), ("", None), ("seven", None), ("-7", None)])
def test_only_a_number_labels_a_bot(label: str, bot_id: int | None) -> None:
    assert labelled_bot_id({"tradingbot.dev/bot-id": label}) == bot_id
