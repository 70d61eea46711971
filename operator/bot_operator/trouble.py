"""What keeps a bot's pod from running, and what ended it unasked, read from the API's own documents.

Pure: no client, no clock, no I/O. Texts hold no times, counters or generated names, so that the same trouble reads the
same at every look. How long a trouble may last before it is an error is said here as a patience; whoever has a
clock measures it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

Document = Mapping[str, Any]

CRASH_LOOP = "CrashLoopBackOff"
IMAGE_PULL = "ImagePullBackOff"
NOT_CREATED, NOT_STARTED, NOT_READY = "NotCreated", "NotStarted", "NotReady"
#: The one trouble that is told by an answer of the API server: there is no pod, or not the one that there should be.
DEPLOYMENT_REFUSED = "DeploymentRefused"
FAILED_CREATE, NOT_PROGRESSING = "FailedCreate", "ProgressDeadlineExceeded"

#: The kubelet forgets the crashes of a container that ran for so long.
_FORGIVEN_AFTER = timedelta(minutes=10)
#: Reasons of a pod's condition `DisruptionTarget` that nobody asked for; a drain was asked for.
_TAKEN_AWAY = frozenset({"PreemptionByScheduler", "DeletionByTaintManager", "DeletionByPodGC", "TerminationByKubelet"})
_NEVER_RAN = frozenset({"StartError", "ContainerCannotRun"})
#: A bot's containers are started again whenever they end, so a pod that is over was ended by its node. If its process
#: then ended as told, the kubelet may show a success, and its reason is lost.
_OVER = frozenset({"Failed", "Succeeded"})
_ENDED = ("Ended", "its node ended the pod, as by an eviction; the pod's events tell why")


class Patience(StrEnum):
    """How long a trouble is waited with: what never ends without help is an error at once."""

    NONE = "none"
    SOME = "some"  # settings.trouble.grace_seconds
    MUCH = "much"  # settings.trouble.not_ready_seconds


_WAITING = {
    "CreateContainerConfigError": Patience.NONE,
    "ErrImageNeverPull": Patience.NONE,
    "InvalidImageName": Patience.NONE,
    "ErrImagePull": Patience.SOME,
    "ImagePullBackOff": Patience.SOME,
    "RegistryUnavailable": Patience.SOME,
    "SignatureValidationFailed": Patience.SOME,
    "CreateContainerError": Patience.SOME,
    "RunContainerError": Patience.SOME,
}
#: Every word that the text of a trouble may begin with; those of a pod that failed are the kubelet's own.
REASONS = frozenset(
    {CRASH_LOOP, NOT_CREATED, NOT_STARTED, NOT_READY, FAILED_CREATE, NOT_PROGRESSING, DEPLOYMENT_REFUSED,
     "Unschedulable", "Failed", "Ended",
     "SchedulingGated", "SchedulerError", "Evicted", "Terminated", "NodeShutdown", "NodeLost", "NodeAffinity",
     "NodePorts", "OutOfcpu", "OutOfmemory", "OutOfpods", "OutOfephemeral-storage", "Preempting",
     "UnexpectedAdmissionError", "DeadlineExceeded", "Restarted", "Lost"} | _WAITING.keys()
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trouble:
    """`since` is aware UTC, or None where the document does not tell; `secret` the one that the pod waits for."""

    reason: str
    words: str = ""
    patience: Patience = Patience.NONE
    since: datetime | None = None
    secret: str = ""

    def __str__(self) -> str:
        return f"{self.reason}: {self.words}" if self.words else self.reason

    @property
    def ended_the_process(self) -> bool:
        """Whether the bot's own process did run, and so may have said more than the cluster knows."""
        return self.reason in {CRASH_LOOP, NOT_STARTED, NOT_READY}


@dataclass(frozen=True, slots=True)
class Disruption:
    """A process that ended unasked and is started again by itself. Pod and restarts tell it from all others."""

    pod: str
    restarts: int
    text: str
    at: datetime


def reason_of(text: str) -> str:
    """The reason of a trouble's text; empty for other words, such as the bot's own."""
    reason = text.split(":", 1)[0]
    return reason if reason in REASONS else ""


def pod_trouble(document: Document) -> Trouble | None:
    """Why a pod does not run as it should; None where it does, or is only just being made."""
    status = _mapping(document, "status")
    if pod_over(document):
        return Trouble(*_failure(status), Patience.SOME, _over_since(status))
    scheduled = condition(status, "PodScheduled")
    if scheduled.get("status") == "False":
        reason = str(scheduled.get("reason") or "Unschedulable")
        return Trouble(
            reason, _text(scheduled.get("message")), Patience.SOME, moment(scheduled.get("lastTransitionTime"))
        )
    for container in status.get("containerStatuses") or []:
        found = _container_trouble(container, status, moment(scheduled.get("lastTransitionTime")))
        if found is not None:
            return found
    return None


def pod_over(document: Document) -> bool:
    """Whether nothing of a pod runs any more, nor ever will; another takes its place."""
    return _mapping(document, "status").get("phase") in _OVER


def deployment_trouble(document: Document) -> Trouble | None:
    """Why a Deployment gets no pod, such as a quota or Pod Security; else that it does not get on."""
    status = _mapping(document, "status")
    failure = condition(status, "ReplicaFailure")
    if failure.get("status") == "True":
        # Each try has a pod name of its own in it.
        words = re.sub(r'^pods "[^"]*" is ', "the pod is ", _text(failure.get("message")))
        patience = Patience.NONE if "violates PodSecurity" in words else Patience.SOME
        return Trouble(FAILED_CREATE, words, patience, moment(failure.get("lastTransitionTime")))
    progress = condition(status, "Progressing")
    if progress.get("status") == "False" and progress.get("reason") == NOT_PROGRESSING:
        return Trouble(NOT_PROGRESSING, "the pod did not become ready in the Deployment's time")
    return None


def pod_disruption(document: Document) -> Disruption | None:
    """How this pod, or its process once, ended unasked. A crash loop is a trouble and none of these."""
    status, name = _mapping(document, "status"), str(_mapping(document, "metadata").get("name", ""))
    taken = condition(status, "DisruptionTarget")
    # Whoever deleted it asked for its end, and a process that had to be killed leaves a pod that has failed.
    deleted = "deletionTimestamp" in _mapping(document, "metadata")
    if pod_over(document) and not deleted:
        at, text = _over_since(status), str(Trouble(*_failure(status)))
        return Disruption(name, 0, text, at) if at else None
    if taken.get("status") == "True" and taken.get("reason") in _TAKEN_AWAY:
        at = moment(taken.get("lastTransitionTime"))
        text = f"Lost: {taken.get('reason')}: {_text(taken.get('message'))}"
        return Disruption(name, 0, text, at) if at else None
    for container in status.get("containerStatuses") or []:
        ended, restarts = (
            _mapping(_mapping(container, "lastState"), "terminated"),
            int(container.get("restartCount", 0)),
        )
        at = moment(ended.get("finishedAt"))
        if at and restarts and not _in_crash_loop(container):
            return Disruption(name, restarts, f"Restarted: {_ending(ended)}", at)
    return None


def condition(status: Document, kind: str) -> Document:
    """One condition of a status, or an empty mapping."""
    return next((item for item in status.get("conditions") or [] if item.get("type") == kind), {})


def moment(text: Any) -> datetime | None:
    """A time of the API as aware UTC."""
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC) if text else None
    except ValueError:
        return None


def _container_trouble(container: Document, status: Document, scheduled: datetime | None) -> Trouble | None:
    state = _mapping(container, "state")
    waiting, running, ended = (_mapping(state, kind) for kind in ("waiting", "running", "terminated"))
    last = ended or _mapping(_mapping(container, "lastState"), "terminated")
    if not container.get("ready") and (waiting.get("reason") == CRASH_LOOP or _in_crash_loop(container)):
        return Trouble(CRASH_LOOP, _ending(last), since=moment(last.get("finishedAt")))
    since = moment(last.get("finishedAt")) or scheduled
    if (reason := str(waiting.get("reason", ""))) in _WAITING:
        return _waiting_trouble(reason, container, since)
    if waiting:
        return Trouble(NOT_CREATED, "its container can't be made yet, see the pod's events", Patience.MUCH, since)
    if running and not container.get("started", True):
        words = "the process does not answer its startup probe"
        # On a busy node a start takes its time. What hangs is ended by the startup probe, and soon is a crash loop.
        return Trouble(NOT_STARTED, words, Patience.MUCH, moment(running.get("startedAt")))
    ready = condition(status, "Ready")
    if running and ready.get("status") == "False":
        # A node that does not answer leaves its containers as they were, and takes readiness from the pod alone.
        words = "the node does not answer" if container.get("ready") else "the bot's process says that it is not ready"
        times = (moment(running.get("startedAt")), moment(ready.get("lastTransitionTime")))
        return Trouble(NOT_READY, words, Patience.MUCH, max(filter(None, times), default=None))
    return None


def _waiting_trouble(reason: str, container: Document, since: datetime | None) -> Trouble:
    words = _text(_mapping(_mapping(container, "state"), "waiting").get("message"))
    patience = _WAITING[reason]
    if reason in {"ErrImagePull", IMAGE_PULL}:
        # The two alternate, with the same cause.
        reason = IMAGE_PULL
        words = re.sub(r'^Back-off pulling image "[^"]*"(: ErrImagePull: )?', "", words)
        words = words or f"the image {container.get('image', '')} can't be pulled"
    missing = re.fullmatch(r'(secret|configmap) "([^"]*)" not found', words)
    if not missing:
        return Trouble(reason, words, patience, since)
    kind, name = missing.groups()
    words = f"the {'Secret' if kind == 'secret' else 'ConfigMap'} {name} is missing"
    words = f"{words}; the pod starts by itself once it is there"
    return Trouble(reason, words, patience, since, secret=name if kind == "secret" else "")


def _in_crash_loop(container: Document) -> bool:
    """Whether the container died at least twice, the last time soon after its start."""
    last = _mapping(_mapping(container, "lastState"), "terminated")
    if int(container.get("restartCount", 0)) < 2:  # noqa: PLR2004
        return False
    began, ended = moment(last.get("startedAt")), moment(last.get("finishedAt"))
    return last.get("reason") in _NEVER_RAN or bool(began and ended and ended - began < _FORGIVEN_AFTER)


def _ending(ended: Document) -> str:
    reason, code = ended.get("reason", "ended"), ended.get("exitCode", "?")
    if reason in _NEVER_RAN:
        return f"{reason}, {_text(ended.get('message'))}"
    if (reason, code) == ("Error", 137):
        return "killed, exit code 137, as after failed liveness or startup probes"
    if (reason, code) == ("Completed", 0):
        return "ended as told, exit code 0, as after failed liveness or startup probes"
    return f"{reason}, exit code {code}"


def _failure(status: Document) -> tuple[str, str]:
    """The reason, and the words for it."""
    if status.get("phase") == "Succeeded":
        return _ENDED
    reason = str(status.get("reason") or "Failed")
    return reason if reason in REASONS else "Failed", _text(status.get("message"))


def _over_since(status: Document) -> datetime | None:
    ends = [
        moment(_mapping(_mapping(container, "state"), "terminated").get("finishedAt"))
        for container in status.get("containerStatuses") or []
    ]
    changes = [moment(condition(status, kind).get("lastTransitionTime")) for kind in ("DisruptionTarget", "Ready")]
    return max(filter(None, [*ends, *changes]), default=moment(status.get("startTime")))


def _text(message: Any) -> str:
    return " ".join(str(message).split()) if message else ""


def _mapping(document: Document, key: str) -> Document:
    value = document.get(key)
    return value if isinstance(value, Mapping) else {}
