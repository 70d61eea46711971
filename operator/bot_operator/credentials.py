"""Whether a bot's pod has its keys, as the cluster tells it, and in words what to do. Pure; it sees no Secret.

That a Secret is missing is known only from the pod that waits for it: the operator may not read Secrets.
"""

from dataclasses import dataclass, replace

from bot_core.models.bot import BotStatus
from bot_operator.naming import BOT_ID_LABEL
from bot_operator.observed import Observed, ObservedPod
from bot_operator.placement import Placement
from bot_operator.record import BotRecord

CONDITION = "CredentialsReady"
_FIELD = "credentials_secret"


@dataclass(frozen=True, slots=True)
class Credentials:
    """`ready` None: not known yet, for no pod has started."""

    ready: bool | None
    reason: str
    message: str = ""


def judge_credentials(record: BotRecord, pod: ObservedPod | None, placement: Placement) -> Credentials | None:
    """What the condition says; None for a bot that gets no keys."""
    refusals = [problem for problem in placement.refusals if problem.path == _FIELD]
    if refusals:
        return Credentials(ready=False, reason="NotAllowed", message=str(refusals[0]))
    if placement.shape is None or not placement.shape.credentials:
        return None
    missing = missing_secret(pod, placement)
    if missing:
        return Credentials(ready=False, reason="SecretMissing", message=missing)
    if record.row.status == BotStatus.ERROR and f"{_FIELD}: " in record.last_error:
        return Credentials(
            ready=False, reason="KeysMissing", message=f"{record.last_error}; {_anew(record, placement)}"
        )
    if pod is None or not pod.started:
        return Credentials(ready=None, reason="NotStarted")
    return Credentials(ready=True, reason="Given")


def missing_secret(pod: ObservedPod | None, placement: Placement) -> str:
    """What to do where the pod waits for a Secret of its keys; empty where it doesn't."""
    name = pod.trouble.secret if pod and pod.trouble else ""
    if not placement.shape or not name or name not in placement.shape.credentials:
        return ""
    return (
        f"the Secret {name} is not there; make it: kubectl --namespace {placement.namespace} create secret"
        f" generic {name} --from-env-file=FILE (lines API_KEY=… and API_SECRET=…); then the bot starts"
    )


def explained(observed: Observed, placement: Placement) -> Observed:
    """With these words in place of the kubelet's own where a pod waits for its keys."""

    def told(pod: ObservedPod) -> ObservedPod:
        words = missing_secret(pod, placement)
        return replace(pod, trouble=replace(pod.trouble, words=words)) if pod.trouble and words else pod

    return replace(observed, pods=tuple(told(pod) for pod in observed.pods))


def _anew(record: BotRecord, placement: Placement) -> str:
    """A pod reads its Secret once."""
    selector = f"{BOT_ID_LABEL}={record.row.id}"
    return f"correct the Secret, then: kubectl --namespace {placement.namespace} delete pod --selector {selector}"
