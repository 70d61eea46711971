"""What a bot's row adds to its pod: the Secret of its keys, resources, placement, labels; within what the chart allows.

Pure: no client, no clock, no I/O. Names of Secrets only, never what is in one. It decides about the shape; when a pod
is made anew for it is not its business.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError

from bot_core.models.config import BotConfig
from bot_core.models.credentials import variable_prefix
from bot_core.models.kubernetes import KubernetesConfig
from bot_core.models.problem import Problem
from bot_core.models.quantity import amount
from bot_operator.record import BotRecord
from bot_operator.settings import CredentialSettings, OperatorSettings, PodPolicy

#: Brokers that take no key from the environment, whatever the mode.
_KEYLESS = frozenset({"paper", "ibkr"})
_SECRET_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LONGEST_NAME = 253
#: A Secret whose name gives one of these could replace what the process, its libraries or its loader are told.
_RESERVED_VARIABLES = (
    "ALL_", "CURL_", "DATABASE_", "GLIBC_", "HTTPS_", "HTTP_", "KUBERNETES_", "LD_", "MALLOC_", "NO_", "OPENSSL_",
    "OTEL_", "POD_", "PYTHON", "REQUESTS_", "SSL_", "TRADINGBOT_",
)  # fmt: skip
_HELM = "sh.helm."


class PodShape(BaseModel):
    """What the rows of a workload add to its pod; the chart's settings give all else."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    credentials: tuple[str, ...] = ()
    kubernetes: KubernetesConfig = KubernetesConfig()

    def dump(self) -> str:
        """For the Deployment's annotation: an operator without memory reads there what was last good."""
        return json.dumps(self.model_dump(mode="json", exclude_defaults=True), sort_keys=True, separators=(",", ":"))


NO_SHAPE = PodShape()


@dataclass(frozen=True)
class Placement:
    """The pod that there should be. `shape` None: none is made, and one that runs is left as it is.

    `refusals` is why the document's own shape is not it; `held` why a part of it waits. `namespace` is the pod's.
    """

    shape: PodShape | None
    namespace: str = ""
    refusals: tuple[Problem, ...] = ()
    held: str = ""

    @property
    def refusal(self) -> str:
        """Why, in one text, for the row and the TradingBot; empty where nothing is refused."""
        return "not allowed on this cluster: " + "; ".join(map(str, self.refusals)) if self.refusals else ""


def place(record: BotRecord, annotation: str | None, settings: OperatorSettings) -> Placement:
    """The shape for a bot whose Deployment carries this annotation; None: it has no Deployment."""
    last = None if annotation is None else _last_good(annotation, settings)
    config = record.parsed.config
    if config is None:
        return Placement(last, settings.namespace)
    wanted = shape_of(config)
    refusals = tuple(refused(wanted, settings))
    if refusals:
        return Placement(last, settings.namespace, refusals)
    if last is None or last.credentials == wanted.credentials or record.figures.flat:
        return Placement(wanted, settings.namespace)
    # A runtime keeps to the account of its position and orders, and needs that account's keys for as long.
    kept = wanted.model_copy(update={"credentials": last.credentials})
    held = "the keys of credentials_secret are changed once it has neither a position nor an order"
    return Placement(kept, settings.namespace, held=held)


def shape_of(config: BotConfig) -> PodShape:
    """What a document asks for. Who trades on paper gets no key, whatever it names."""
    name = config.credentials_secret
    keyed = config.broker.trading_mode == "live" and config.broker.type not in _KEYLESS
    return PodShape(credentials=(name,) if keyed and name else (), kubernetes=config.kubernetes)


def refused(shape: PodShape, settings: OperatorSettings) -> Iterator[Problem]:
    """Everything of a shape that this release does not allow."""
    for name in shape.credentials:
        why = _why_no_secret(name, settings)
        if why:
            yield Problem("credentials_secret", name, why)
    yield from _over_policy(shape.kubernetes, settings.bot.policy)


def _why_no_secret(name: str, settings: OperatorSettings) -> str:
    allowed = _allowed_names(settings.bot.credentials)
    if len(name) > _LONGEST_NAME or not _SECRET_NAME.fullmatch(name):
        return f"is no name of a Secret; allowed: {allowed}"
    own = name == settings.database.secret_name or name.startswith(_HELM)
    if own or not name.startswith(settings.bot.credentials.secret_prefixes):
        return f"is no Secret that a row may name; allowed: {allowed}"
    try:
        prefix = variable_prefix(name)
    except ValueError as error:
        return f"{error}; allowed: a name that begins with a letter"
    if prefix.startswith(_RESERVED_VARIABLES):
        return f"would set variables such as {prefix}…, which are not for keys; allowed: another name"
    return ""


def _allowed_names(credentials: CredentialSettings) -> str:
    if not credentials.secret_prefixes:
        return "none (bot.credentials.secretPrefixes of the chart is empty)"
    prefixes = " or ".join(credentials.secret_prefixes)
    return f"a name that begins with {prefixes} (bot.credentials.secretPrefixes of the chart)"


def _over_policy(asked: KubernetesConfig, policy: PodPolicy) -> Iterator[Problem]:
    yield from _over_limits(asked, policy)
    for key, value in asked.node_selector.items():
        if key not in policy.node_selector_keys:
            words = _allows(policy.node_selector_keys, "nodeSelectorKeys")
            yield Problem(f"kubernetes.node_selector.{key}", value, words)
    for number, toleration in enumerate(asked.tolerations):
        if toleration.key not in policy.toleration_keys:
            words = _allows(policy.toleration_keys, "tolerationKeys")
            yield Problem(f"kubernetes.tolerations.{number}.key", toleration.key, words)
    if asked.priority_class is not None and asked.priority_class not in policy.priority_classes:
        words = _allows(policy.priority_classes, "priorityClasses")
        yield Problem("kubernetes.priority_class", asked.priority_class, words)
    for key, value in asked.labels.items():
        if not key.startswith(policy.label_prefixes):
            yield Problem(
                f"kubernetes.labels.{key}",
                value,
                _allows(policy.label_prefixes, "labelPrefixes", "keys that begin with "),
            )


def _over_limits(asked: KubernetesConfig, policy: PodPolicy) -> Iterator[Problem]:
    most = {"cpu": ("maxCpu", policy.max_cpu), "memory": ("maxMemory", policy.max_memory)}
    for part in ("requests", "limits"):
        for kind, (value, limit) in most.items():
            given = getattr(getattr(asked.resources, part), kind)
            if given is not None and amount(given) > amount(limit):
                path = f"kubernetes.resources.{part}.{kind}"
                yield Problem(
                    path, given, f"is more than allowed; allowed: at most {limit} (bot.policy.{value} of the chart)"
                )


def _allows(words: tuple[str, ...], value: str, what: str = "") -> str:
    allowed = f"{what}{', '.join(words)}" if words else "none"
    return f"is not allowed; allowed: {allowed} (bot.policy.{value} of the chart)"


def _last_good(annotation: str, settings: OperatorSettings) -> PodShape | None:
    """The shape that a Deployment has; None where it can't be understood, or is allowed no more: left alone, then."""
    if not annotation:
        return NO_SHAPE  # made by an operator whose pods were shaped by the chart alone
    try:
        shape = PodShape.model_validate_json(annotation)
    except ValidationError:
        return None
    return None if any(refused(shape, settings)) else shape
