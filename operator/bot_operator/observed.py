"""What the cluster holds for one bot, read from the API's own documents. Pure: no client, no clock, no I/O.

A document is only ever read here, never changed; what can't be understood is taken as absent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bot_operator.naming import CONFIRM_SHRINK, PLACEMENT, REVISION, TEMPLATE_HASH, is_ours, labelled_bot_id
from bot_operator.trouble import (
    Disruption,
    Patience,
    Trouble,
    condition,
    deployment_trouble,
    pod_disruption,
    pod_over,
    pod_trouble,
)


@dataclass(frozen=True)
class ObservedTradingBot:
    uid: str
    ours: bool
    generation: int = 1
    deleting: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    status: Mapping[str, Any] = field(default_factory=dict)
    document: Mapping[str, Any] = field(default_factory=dict)  # the whole of it, as the API server holds it
    confirmation: str = ""  # what a person wrote there to let go what is held

    @property
    def phase(self) -> str:
        return str(self.status.get("phase", ""))


@dataclass(frozen=True)
class ObservedDeployment:
    uid: str
    ours: bool
    deleting: bool = False
    template_hash: str = ""
    placement: str = ""  # what its rows added to its pod, as `placement` wrote it
    replicas: int = 1
    owner_uid: str = ""
    document: Mapping[str, Any] = field(default_factory=dict)  # as above
    trouble: Trouble | None = None  # why its ReplicaSet may make no pod, such as a quota
    revision: str = ""
    seen: bool = True  # its controller has seen it as it is now
    rolled: bool = True  # and its pods are of its template as it is now

    @property
    def adopts(self) -> bool:
        """Whether it is there only to end the pods that another left behind (see `adoption`)."""
        return self.ours and not self.deleting and not self.replicas and not self.template_hash


@dataclass(frozen=True)
class ObservedPod:
    """`trouble` is why it does not run as it should; `disruption` how its process ended unasked, if it did.

    `end_due` is when a pod that is being deleted was to be killed at the latest.
    """

    name: str
    created: str
    deleting: bool = False
    started: bool = False
    ready: bool = False
    over: bool = False
    restarts: int = 0
    node: str = ""
    image: str = ""
    trouble: Trouble | None = None
    disruption: Disruption | None = None
    uid: str = ""
    end_due: str = ""
    bot_id: int = 0

    @property
    def failing(self) -> bool:
        """Whether it won't run without help."""
        return self.trouble is not None and self.trouble.patience is Patience.NONE


@dataclass(frozen=True)
class Observed:
    """One look at everything of one bot. Absent is None or empty, never an error."""

    bot: ObservedTradingBot | None = None
    deployment: ObservedDeployment | None = None
    pods: tuple[ObservedPod, ...] = ()

    @property
    def runs(self) -> bool:
        """Whether it has a Deployment of ours that stays, or pods that outlived it: what the safety brake counts."""
        if self.deployment is None or self.deployment.adopts:
            return bool(self.orphans)
        return self.deployment.ours and not self.deployment.deleting

    @property
    def orphans(self) -> tuple[ObservedPod, ...]:
        """Pods that stay although their Deployment is gone."""
        if self.deployment is not None and not self.deployment.adopts:
            return ()
        return tuple(pod for pod in self.pods if not pod.deleting)

    @property
    def nothing(self) -> bool:
        """Whether the cluster holds nothing of ours for this bot."""
        return not self.pods and not any(item is not None and item.ours for item in (self.bot, self.deployment))

    @property
    def pod(self) -> ObservedPod | None:
        """The pod that counts: the newest that is not on its way out, one that is over only where there is no other."""
        staying = [pod for pod in self.pods if not pod.deleting]
        return max(staying, key=lambda pod: (not pod.over, pod.created, pod.name), default=None)

    @property
    def disruption(self) -> Disruption | None:
        """The last one, of whichever pod."""
        found = [pod.disruption for pod in self.pods if pod.disruption is not None]
        return max(found, key=lambda disruption: disruption.at, default=None)


def parse_tradingbot(document: Mapping[str, Any], release: str) -> ObservedTradingBot:
    meta = _mapping(document, "metadata")
    labels = _mapping(meta, "labels")
    return ObservedTradingBot(
        uid=str(meta.get("uid", "")),
        ours=is_ours(labels, release),
        generation=int(meta.get("generation", 1)),
        deleting="deletionTimestamp" in meta,
        labels=labels,
        annotations=_mapping(meta, "annotations"),
        spec=_mapping(document, "spec"),
        status=_mapping(document, "status"),
        document=document,
        confirmation=str(_mapping(meta, "annotations").get(CONFIRM_SHRINK, "")),
    )


def parse_deployment(document: Mapping[str, Any], release: str) -> ObservedDeployment:
    meta = _mapping(document, "metadata")
    status = _mapping(document, "status")
    seen = int(status.get("observedGeneration", 0)) >= int(meta.get("generation", 1))
    owners = [owner for owner in meta.get("ownerReferences") or [] if owner.get("controller")]
    return ObservedDeployment(
        uid=str(meta.get("uid", "")),
        ours=is_ours(_mapping(meta, "labels"), release),
        deleting="deletionTimestamp" in meta,
        template_hash=str(_mapping(meta, "annotations").get(TEMPLATE_HASH, "")),
        placement=str(_mapping(meta, "annotations").get(PLACEMENT, "")),
        replicas=int(_mapping(document, "spec").get("replicas", 1)),
        owner_uid=str(owners[0].get("uid", "")) if owners else "",
        document=document,
        trouble=deployment_trouble(document),
        revision=str(_mapping(meta, "annotations").get(REVISION, "")),
        seen=seen,
        rolled=seen and int(status.get("updatedReplicas", 0)) > 0,
    )


def parse_pod(document: Mapping[str, Any]) -> ObservedPod:
    meta, spec, status = (_mapping(document, key) for key in ("metadata", "spec", "status"))
    containers = status.get("containerStatuses") or []
    images = [str(container.get("image", "")) for container in spec.get("containers") or []]
    return ObservedPod(
        name=str(meta.get("name", "")),
        created=str(meta.get("creationTimestamp", "")),
        deleting="deletionTimestamp" in meta,
        started=any("running" in _mapping(container, "state") for container in containers),
        ready=condition(status, "Ready").get("status") == "True",
        over=pod_over(document),
        restarts=sum(int(container.get("restartCount", 0)) for container in containers),
        node=str(spec.get("nodeName", "")),
        image=images[0] if images else "",
        trouble=pod_trouble(document),
        disruption=pod_disruption(document),
        uid=str(meta.get("uid", "")),
        end_due=str(meta.get("deletionTimestamp", "")),
        bot_id=labelled_bot_id(_mapping(meta, "labels")) or 0,
    )


def _mapping(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key)
    return value if isinstance(value, Mapping) else {}
