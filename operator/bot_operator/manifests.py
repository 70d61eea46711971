"""The objects of one bot, as documents for server-side apply. Pure: the same input gives the same document.

No secret is ever in one: a pod gets DATABASE_URL by reference. Every field that is set here is owned by the operator.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from bot_core.models.config import BotConfig, UpdatePolicy
from bot_core.models.credentials import variable_prefix
from bot_core.models.kubernetes import KubernetesConfig, Toleration
from bot_core.models.problem import redacted
from bot_core.models.quantity import amount
from bot_operator.naming import (
    API_VERSION,
    APPLIED_HASH,
    BOT_ID_LABEL,
    INSTANCE_LABEL,
    MANAGER,
    NAME_LABEL,
    PLACEMENT,
    REVISION,
    TEMPLATE_HASH,
    Workload,
    bot_labels,
    object_name,
)
from bot_operator.placement import NO_SHAPE, PodShape
from bot_operator.record import BotRecord
from bot_operator.settings import DEFAULT_RESOURCES, BotPodSettings, OperatorSettings

PORT = 8080
RUN_AS = 10001
#: A frozen process ignores SIGTERM; without this the liveness restart would cost it the pod's whole grace time.
FROZEN_GRACE_SECONDS = 5
_LONGEST_TEXT = 253

Document = dict[str, Any]


def build_tradingbot(record: BotRecord, settings: OperatorSettings) -> Document:
    """The TradingBot without its status."""
    row = record.row
    metadata = {
        "name": object_name(row.id),
        "namespace": settings.namespace,
        "labels": bot_labels(settings.release, row.id),
    }
    return _stamped({"apiVersion": API_VERSION, "kind": "TradingBot", "metadata": metadata, "spec": build_spec(record)})


def build_spec(record: BotRecord) -> Document:
    """The row's projection. An invalid document is shown as far as it can be read; what can't be is empty."""
    row, config = record.row, record.parsed.config
    shown = _of_document(row.document or {}) if config is None else _of_config(config)
    return {
        "botId": row.id,
        "userId": row.user_id,
        "name": row.name[:_LONGEST_TEXT],
        **shown,
        "enabled": record.asked.run,
        "updatePolicy": update_policy(record).value,
        "configHash": row.config_hash,
    }


def update_policy(record: BotRecord) -> UpdatePolicy:
    """The document's; of one that does not hold, as far as it can be read: its author's word on restarts is kept."""
    if record.parsed.config is not None:
        return record.parsed.config.update_policy
    said = (record.row.document or {}).get("update_policy")
    return next((policy for policy in UpdatePolicy if policy == said), UpdatePolicy.NOW)


def _of_config(config: BotConfig) -> Document:
    return {
        "symbol": config.symbol,
        "interval": config.data.interval,
        "strategy": config.strategy.type,
        "entry": config.strategy.entry.name,
        "exit": config.strategy.exit.name,
        "broker": config.broker.type,
        "mode": config.broker.trading_mode,
        "credentialsSecret": redacted("credentials_secret", config.credentials_secret) or "",
    }


def _of_document(document: Mapping[str, Any]) -> Document:
    paths = {
        "symbol": ("symbol",),
        "interval": ("data", "interval"),
        "strategy": ("strategy", "type"),
        "entry": ("strategy", "parameters", "entry_logic", "name"),
        "exit": ("strategy", "parameters", "exit_logic", "name"),
        "broker": ("broker", "type"),
        "mode": ("broker", "trading_mode"),
    }
    # What stands for the Secret's name in a document that is not valid may be a key that somebody pasted.
    return {"credentialsSecret": ""} | {key: _text_at(document, path) for key, path in paths.items()}


def _text_at(document: Any, path: tuple[str, ...]) -> str:
    for key in path:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document[:_LONGEST_TEXT] if isinstance(document, str) else ""


def build_status(name: str, settings: OperatorSettings, status: Document) -> Document:
    metadata = {"name": name, "namespace": settings.namespace}
    return {"apiVersion": API_VERSION, "kind": "TradingBot", "metadata": metadata, "status": status}


def build_deployment(
    workload: Workload, settings: OperatorSettings, shape: PodShape = NO_SHAPE, *, owner_uid: str
) -> Document:
    """The Deployment that runs a workload, owned by the TradingBot of its first bot."""
    bot_id = workload.bot_ids[0]
    labels = bot_labels(settings.release, bot_id)
    template = build_pod_template(workload, settings, shape)
    owner = {
        "apiVersion": API_VERSION,
        "kind": "TradingBot",
        "name": object_name(bot_id),
        "uid": owner_uid,
        "controller": True,
        # True would need the right to update finalizers of TradingBots.
        "blockOwnerDeletion": False,
    }
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": workload.name,
            "namespace": settings.namespace,
            "labels": labels,
            "annotations": {
                TEMPLATE_HASH: template_hash(template),
                PLACEMENT: shape.dump(),
                REVISION: fleet_revision(settings),
            },
            "ownerReferences": [owner],
        },
        "spec": {
            "replicas": 1,
            "revisionHistoryLimit": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {key: labels[key] for key in (NAME_LABEL, INSTANCE_LABEL, BOT_ID_LABEL)}},
            "template": template,
        },
    }
    return _stamped(manifest)


def _stamped(manifest: Document) -> Document:
    """With one hash over the whole of it, by which an edit is told from a change of our own."""
    metadata = manifest["metadata"]
    annotations = metadata.get("annotations", {}) | {APPLIED_HASH: template_hash(manifest)}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def build_pod_template(workload: Workload, settings: OperatorSettings, shape: PodShape = NO_SHAPE) -> Document:
    """What shapes the pod: the chart's settings, the ids, and what rows add within the chart's policy.

    All else of a document is none of the pod's: the runtime applies it itself.
    """
    bot = settings.bot
    spec: Document = {
        "serviceAccountName": bot.service_account_name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": bot.termination_grace_period_seconds,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": RUN_AS,
            "runAsGroup": RUN_AS,
            "fsGroup": RUN_AS,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(workload, settings, shape)],
        "volumes": [{"name": "tmp", "emptyDir": {}}, *bot.volumes],
        **_placement(settings, shape.kubernetes),
    }
    labels = shape.kubernetes.labels | bot_labels(settings.release, workload.bot_ids[0])
    return {"metadata": {"labels": labels}, "spec": spec}


def _placement(settings: OperatorSettings, asked: KubernetesConfig) -> Document:
    """A key that the policy opens to documents is theirs to set, also over the chart's own value."""
    bot = settings.bot
    tolerations = [*bot.tolerations, *map(_toleration, asked.tolerations)]
    optional: Document = {
        "nodeSelector": bot.node_selector | asked.node_selector,
        "tolerations": [*tolerations, *_leaving_lost_nodes(tolerations, settings.recovery.node_lost_seconds)],
        "priorityClassName": asked.priority_class,
        "imagePullSecrets": bot.image_pull_secrets,
    }
    return {key: value for key, value in optional.items() if value}


def _leaving_lost_nodes(given: list[Document], seconds: int) -> list[Document]:
    """Sooner than the cluster's 300 s: the lease keeps a process on a lost node and a new pod apart.

    What the chart or the document says of such a taint stands; a toleration without a key is for every taint.
    """
    named = {item.get("key") or None for item in given if item.get("effect") in {None, "", "NoExecute"}}
    return [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}
        for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
        if not named & {key, None}
    ]


def _toleration(asked: Toleration) -> Document:
    fields: Document = {
        "key": asked.key,
        "operator": asked.operator,
        "value": asked.value or None,
        "effect": asked.effect,
        "tolerationSeconds": asked.toleration_seconds,
    }
    return {key: value for key, value in fields.items() if value is not None}


def _resources(bot: BotPodSettings, asked: KubernetesConfig) -> Document:
    """The chart's, with what the document names in its place; a request never stands above its limit."""
    base = bot.resources or DEFAULT_RESOURCES
    given = asked.resources.model_dump(exclude_none=True)
    if not any(given.values()):
        return base
    merged = base | {part: base.get(part, {}) | given[part] for part in ("requests", "limits")}
    for kind in ("cpu", "memory"):
        request, limit = merged["requests"].get(kind), merged["limits"].get(kind)
        if request is None or limit is None or not _above(request, limit):
            continue
        # Only one of the two is the document's, else its model had refused them: the chart's follows.
        part = "limits" if kind in given["requests"] else "requests"
        merged[part] = merged[part] | {kind: request if part == "limits" else limit}
    return {key: value for key, value in merged.items() if value}


def _above(request: Any, limit: Any) -> bool:
    try:
        return amount(str(request)) > amount(str(limit))
    except ValueError:
        return False  # the chart's own spelling, which the API server judges


def _container(workload: Workload, settings: OperatorSettings, shape: PodShape) -> Document:
    bot = settings.bot
    return {
        "name": "bot",
        "image": bot.image,
        "imagePullPolicy": bot.image_pull_policy,
        "args": ["run", *(str(bot_id) for bot_id in workload.bot_ids)],
        "env": _environment(settings),
        **_keys(shape),
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "resources": _resources(bot, shape.kubernetes),
        **_probes(),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, *bot.volume_mounts],  # noqa: S108  # the pod's own
    }


def _environment(settings: OperatorSettings) -> list[Document]:
    secret = {"name": settings.database.secret_name, "key": settings.database.secret_key}
    ours: list[Document] = [
        {"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": secret}},
        {"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "PORT", "value": str(PORT)},
    ]
    # A pod brakes by the same limits; those that are as they come make no pod anew.
    safety = settings.safety.model_dump(exclude_defaults=True)
    ours += [{"name": f"TRADINGBOT_SAFETY_{key.upper()}", "value": f"{value:g}"} for key, value in safety.items()]
    if settings.database.idle_seconds:
        ours.append({"name": "DATABASE_IDLE_SECONDS", "value": f"{settings.database.idle_seconds:g}"})
    elif settings.database.listen_key:
        direct = {"name": settings.database.secret_name, "key": settings.database.listen_key}
        ours.append({"name": "DATABASE_LISTEN_URL", "valueFrom": {"secretKeyRef": direct}})
    # Server-side apply merges `env` by name and refuses doubles; what makes a bot a bot is not the chart's to change.
    names = {item["name"] for item in ours}
    return ours + [item for item in settings.bot.env if item.get("name") not in names]


def _keys(shape: PodShape) -> Document:
    """Each Secret under a prefix of its own: no key of it can stand for DATABASE_URL, PYTHONPATH or another bot's."""
    sources = [{"prefix": variable_prefix(name), "secretRef": {"name": name}} for name in shape.credentials]
    return {"envFrom": sources} if sources else {}


def _probes() -> Document:
    """Frozen at the worst moment, a process fails at 8, 13, 18 and 23 s and is killed at 28 s."""
    alive = {"httpGet": {"path": "/healthz", "port": "http"}, "timeoutSeconds": 3}
    frozen = {"terminationGracePeriodSeconds": FROZEN_GRACE_SECONDS}
    ready = {"httpGet": {"path": "/readyz", "port": "http"}, "timeoutSeconds": 3}
    return {
        "startupProbe": {**alive, **frozen, "periodSeconds": 2, "failureThreshold": 60},
        "livenessProbe": {**alive, **frozen, "periodSeconds": 5, "failureThreshold": 4},
        "readinessProbe": {**ready, "periodSeconds": 3, "failureThreshold": 3},
    }


def template_hash(template: Document) -> str:
    """One hash over the whole rendered pod template: equal means that nothing about the pod has changed."""
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@lru_cache
def fleet_revision(settings: OperatorSettings) -> str:
    """A short hash of what all pods of the release have in common, as a bot without wishes of its own would get it."""
    return template_hash(build_pod_template(Workload.of([0]), settings))[:12]


def build_event(
    bot_id: int, uid: str, settings: OperatorSettings, *, kind: str, reason: str, message: str, now: datetime
) -> Document:
    """An Event on the TradingBot. `kind` is Normal or Warning; the name is unique by its time."""
    name, at = object_name(bot_id), now.strftime("%Y-%m-%dT%H:%M:%SZ")
    involved = {"apiVersion": API_VERSION, "kind": "TradingBot", "name": name, "namespace": settings.namespace}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "generateName": f"{name}.",
            "namespace": settings.namespace,
            "labels": bot_labels(settings.release, bot_id),
        },
        "involvedObject": {**involved, "uid": uid},
        "type": kind,
        "reason": reason,
        "message": message[:1024],
        "count": 1,
        "firstTimestamp": at,
        "lastTimestamp": at,
        "source": {"component": MANAGER},
        "reportingComponent": MANAGER,
        "reportingInstance": settings.release,
    }
