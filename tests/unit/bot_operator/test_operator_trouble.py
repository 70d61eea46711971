"""What pods tell, by documents of a real API server (Kubernetes 1.34) in `pods/`, each provoked and recorded once."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot_operator.observed import ObservedPod, parse_pod
from bot_operator.trouble import Patience, deployment_trouble, pod_disruption, pod_trouble, reason_of

_SAMPLES = Path(__file__).parent / "pods"
_KILLED = "killed, exit code 137, as after failed liveness or startup probes"
_SILENT = "NotStarted: the process does not answer its startup probe"


def _document(name: str) -> Any:
    return json.loads((_SAMPLES / f"{name}.json").read_text())


def _pod(name: str) -> ObservedPod:
    return parse_pod(_document(name))


@pytest.mark.parametrize(
    ("name", "begins", "patience"),
    [
        ("crash-loop", "CrashLoopBackOff: Error, exit code 1", Patience.NONE),
        ("crash-loop-running", "CrashLoopBackOff: Error, exit code 1", Patience.NONE),
        ("crash-loop-ended", "CrashLoopBackOff: Error, exit code 1", Patience.NONE),
        ("oom-loop", "CrashLoopBackOff: OOMKilled, exit code 137", Patience.NONE),
        ("startup-loop", f"CrashLoopBackOff: {_KILLED}", Patience.NONE),
        ("liveness-loop", f"CrashLoopBackOff: {_KILLED}", Patience.NONE),
        ("command-loop", "CrashLoopBackOff: StartError, failed to create", Patience.NONE),
        ("image-never-pulled", 'ErrImageNeverPull: Container image "localhost/nope:1" is not present', Patience.NONE),
        ("image-name-invalid", "InvalidImageName: ", Patience.NONE),
        ("image-pull-error", "ImagePullBackOff: failed to pull and unpack", Patience.SOME),
        ("image-pull-back-off", "ImagePullBackOff: failed to pull and unpack", Patience.SOME),
        (
            "secret-missing",
            "CreateContainerConfigError: the Secret missing is missing; the pod starts by itself once it is there",
            Patience.NONE,
        ),
        (
            "secret-key-missing",
            "CreateContainerConfigError: couldn't find key missing in Secret trading/db",
            Patience.NONE,
        ),
        ("command-missing", "RunContainerError: ", Patience.SOME),
        ("unschedulable", "Unschedulable: 0/1 nodes are available: 1 node(s) didn't match", Patience.SOME),
        ("unschedulable-cpu", "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu.", Patience.SOME),
        ("evicted", 'Evicted: Usage of EmptyDir volume "tmp" exceeds the limit "1Mi".', Patience.SOME),
        ("evicted-graceful", "Ended: its node ended the pod", Patience.SOME),
        ("first-start", _SILENT, Patience.MUCH),
        ("after-one-crash", _SILENT, Patience.MUCH),
        ("startup-failing", _SILENT, Patience.MUCH),
        ("startup-killed-once", _SILENT, Patience.MUCH),
        ("creating", "NotCreated: ", Patience.MUCH),
        ("volume-missing", "NotCreated: ", Patience.MUCH),
        ("not-ready", "NotReady: ", Patience.MUCH),
        ("oom-restarted", "NotReady: ", Patience.MUCH),
    ],
)
def test_a_pod_tells_its_trouble_and_how_long_to_wait_with_it(name: str, begins: str, patience: Patience) -> None:
    pod = _pod(name)
    assert pod.trouble is not None
    assert str(pod.trouble).startswith(begins)
    assert pod.trouble.patience is patience
    assert pod.failing is (patience is Patience.NONE)
    assert pod.trouble.since is not None
    assert reason_of(str(pod.trouble)) == pod.trouble.reason


@pytest.mark.parametrize(
    "name", ["healthy", "scheduled", "first-crash", "oom-first", "oom-well-again", "liveness-loop-ready", "drained"]
)
def test_a_pod_that_runs_is_just_made_or_was_asked_to_leave_has_no_trouble(name: str) -> None:
    assert _pod(name).trouble is None


def test_an_image_that_can_not_be_pulled_reads_the_same_at_each_try() -> None:
    assert str(_pod("image-pull-error").trouble) == str(_pod("image-pull-back-off").trouble)


@pytest.mark.parametrize(
    ("name", "text", "restarts"),
    [
        ("oom-restarted", "Restarted: OOMKilled, exit code 137", 1),
        ("oom-well-again", "Restarted: OOMKilled, exit code 137", 1),
        ("liveness-killed-once", f"Restarted: {_KILLED}", 1),
        ("after-one-crash", "Restarted: Error, exit code 1", 1),
        ("evicted", 'Evicted: Usage of EmptyDir volume "tmp" exceeds the limit "1Mi".', 0),
        ("evicted-graceful", "Ended: its node ended the pod, as by an eviction; the pod's events tell why", 0),
    ],
)
def test_a_process_that_ended_unasked_is_told_from_all_others(name: str, text: str, restarts: int) -> None:
    found = _pod(name).disruption
    assert found is not None
    assert (found.text, found.restarts, found.pod) == (text, restarts, _pod(name).name)
    assert found.at.tzinfo is not None


@pytest.mark.parametrize("name", ["healthy", "crash-loop-running", "liveness-loop-ready", "oom-loop", "drained"])
def test_a_loop_and_a_drain_are_no_disruption(name: str) -> None:
    assert _pod(name).disruption is None


def test_a_pod_that_was_deleted_and_had_to_be_killed_is_no_disruption() -> None:
    ended = {"terminated": {"reason": "Error", "exitCode": 137, "finishedAt": "2026-03-01T12:00:30Z"}}
    status = {"phase": "Failed", "containerStatuses": [{"restartCount": 0, "state": ended}]}
    left = {"metadata": {"name": "bot-7-abc"}, "status": status}
    assert pod_disruption(left) is not None
    assert (
        pod_disruption({**left, "metadata": {"name": "bot-7-abc", "deletionTimestamp": "2026-03-01T12:00:30Z"}}) is None
    )


def test_a_pod_that_was_preempted_is_a_disruption() -> None:
    document = _document("drained")
    (target,) = [item for item in document["status"]["conditions"] if item["type"] == "DisruptionTarget"]
    assert target["reason"] == "EvictionByEvictionAPI"
    target |= {"reason": "PreemptionByScheduler", "message": "scheduler: preempting to accommodate a higher priority"}
    found = pod_disruption(document)
    assert found is not None
    assert found.text.startswith("Lost: PreemptionByScheduler: scheduler: preempting")


def test_a_pod_whose_node_does_not_answer_says_so() -> None:
    document = _document("healthy")
    (ready,) = [item for item in document["status"]["conditions"] if item["type"] == "Ready"]
    ready["status"] = "False"
    assert str(pod_trouble(document)) == "NotReady: the node does not answer"


def test_a_container_that_ran_long_before_it_died_is_in_no_loop() -> None:
    document = _document("crash-loop-running")
    last = document["status"]["containerStatuses"][0]["lastState"]["terminated"]
    last["startedAt"] = "2026-11-23T09:00:00Z"
    pod = parse_pod(document)
    assert str(pod.trouble) == _SILENT
    assert pod.disruption is not None


@pytest.mark.parametrize(
    ("name", "text", "patience"),
    [
        ("quota", "FailedCreate: the pod is forbidden: exceeded quota: q, requested: pods=1", Patience.SOME),
        ("pod-security", 'FailedCreate: the pod is forbidden: violates PodSecurity "restricted', Patience.NONE),
        ("deadline", "ProgressDeadlineExceeded: the pod did not become ready", Patience.NONE),
    ],
)
def test_a_deployment_tells_why_it_gets_no_pod(name: str, text: str, patience: Patience) -> None:
    trouble = deployment_trouble(_document(f"deployment-{name}"))
    assert trouble is not None
    assert str(trouble).startswith(text)
    assert trouble.patience is patience


@pytest.mark.parametrize(
    "document", [{}, {"status": None}, {"status": {"conditions": None, "containerStatuses": None}}]
)
def test_an_empty_document_has_no_trouble(document: dict[str, Any]) -> None:
    assert pod_trouble(document) is deployment_trouble(document) is pod_disruption(document) is None


def test_the_bots_own_words_are_no_trouble_of_a_pod() -> None:
    assert reason_of("the broker refused: no such key") == ""
    assert reason_of("") == ""


def test_node_and_image_are_those_of_the_pod() -> None:
    pod = _pod("healthy")
    assert (pod.node, pod.image) == ("node-1", "registry.example.com/bot-runtime:1.2.3")
    assert _pod("unschedulable").node == ""


def test_every_sample_is_read_in_a_test() -> None:
    text = Path(__file__).read_text()
    assert all(f'"{path.stem.removeprefix("deployment-")}"' in text for path in _SAMPLES.glob("*.json"))


def test_patience_is_measured_from_when_the_trouble_began() -> None:
    trouble = _pod("unschedulable").trouble
    assert trouble is not None
    assert trouble.since is not None
    assert trouble.since.utcoffset() == timedelta()
