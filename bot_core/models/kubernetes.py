"""The `kubernetes` section: what a document asks of the bot's pod. Elsewhere than on a cluster it is checked only.

The shape alone is judged here. What a cluster allows is the operator's to say, by its chart's `bot.policy`.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from bot_core.models.problem import Notice
from bot_core.models.quantity import amount, quantity
from bot_core.models.section import Section, unknown_keys
from bot_core.models.values import optional, text, whole

_MOST = 20  # labels, or tolerations
_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_DOMAIN = r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"
_KEY = text(317, pattern=rf"({_DOMAIN}/)?{_NAME}", allowed="a label's key, such as team or example.com/team")
#: Keys by which Kubernetes, Helm and the operator itself know a pod.
_OWNED = re.compile(
    r"(([^/]+\.)?(kubernetes\.io|k8s\.io)|tradingbot\.dev|helm\.sh)/.*|pod-template-hash|controller-revision-hash"
)
_EXAMPLE_LABELS = 'a JSON object of at most 20 labels, such as {"example.com/team": "a"}'
_EXAMPLE_TOLERATIONS = 'a list of at most 20 tolerations, such as [{"key": "example.com/bots", "operator": "Exists"}]'


def _object(example: str) -> BeforeValidator:
    def read(value: Any) -> Any:
        if isinstance(value, (Mapping, Section)):
            return value
        raise ValueError(f"is not a JSON object; allowed: {example}")

    return BeforeValidator(read)


def _labels(value: Any) -> Any:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or len(value) > _MOST:
        raise ValueError(f"is not allowed; allowed: {_EXAMPLE_LABELS}")
    return value


def _list(value: Any) -> Any:
    if value is None:
        return ()
    if (
        not isinstance(value, list | tuple)
        or len(value) > _MOST
        or not all(isinstance(item, Mapping) for item in value)
    ):
        raise ValueError(f"is not allowed; allowed: {_EXAMPLE_TOLERATIONS}")
    return value


def _free_key(value: str) -> str:
    if _OWNED.fullmatch(value):
        raise ValueError("belongs to Kubernetes, Helm or the operator; allowed: a label of your own")
    return value


def _word(*words: str) -> BeforeValidator:
    """One of some words, in any case; null means that nothing was said."""
    plain = {word.lower(): word for word in words}

    def read(value: Any) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str) or value.lower() not in plain:
            raise ValueError(f"is not allowed; allowed: {', '.join(words)}")
        return plain[value.lower()]

    return BeforeValidator(read)


def _value(value: Any) -> str:
    if not isinstance(value, str) or (value and not re.fullmatch(_NAME, value)):
        raise ValueError('is not allowed; allowed: text of at most 63 letters, digits, - _ and ., such as "true"')
    return value


_LabelKey = Annotated[str, _KEY]
_LabelValue = Annotated[str, BeforeValidator(_value)]


class _PodPart(Section):
    # Unknown keys are reported, not kept: what is here goes into an annotation of the Deployment.
    model_config = ConfigDict(frozen=True, extra="ignore")


class Amounts(_PodPart):
    cpu: Annotated[str | None, quantity("1m", "1000")] = None
    memory: Annotated[str | None, quantity("16Mi", "16Ti")] = None


_Amounts = Annotated[Amounts, _object('such as {"cpu": "100m", "memory": "128Mi"}')]


class PodResources(_PodPart):
    requests: _Amounts = Amounts()
    limits: _Amounts = Amounts()

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for kind in Amounts.model_fields:
            asked, limit = getattr(self.requests, kind), getattr(self.limits, kind)
            if asked and limit and amount(asked) > amount(limit):
                raise ValueError(f"asks for {asked} of {kind}; allowed: at most its limit, {limit}")
        return self


class Toleration(_PodPart):
    """Of a named taint: one without a key would tolerate them all."""

    key: _LabelKey
    operator: Annotated[str | None, _word("Exists", "Equal")] = None
    value: _LabelValue = ""
    effect: Annotated[str | None, _word("NoSchedule", "PreferNoSchedule", "NoExecute")] = None
    toleration_seconds: Annotated[int | None, optional(whole(0, 31_536_000))] = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.operator == "Exists" and self.value:
            raise ValueError("has a value beside operator Exists; allowed: operator Equal, or no value")
        if self.toleration_seconds is not None and self.effect != "NoExecute":
            raise ValueError("has toleration_seconds; allowed: only with effect NoExecute")
        return self


class KubernetesConfig(_PodPart):
    """What is asked of the bot's pod, within what the chart allows (`bot.policy`).

    `tradingbot validate` knows the form of this section; the policy is the cluster's own, and the operator says what is
    above it.
    """

    resources: Annotated[PodResources, _object('such as {"limits": {"memory": "512Mi"}}')] = PodResources()
    node_selector: Annotated[dict[_LabelKey, _LabelValue], BeforeValidator(_labels)] = Field(default_factory=dict)
    tolerations: Annotated[tuple[Toleration, ...], BeforeValidator(_list)] = ()
    priority_class: Annotated[
        str | None,
        optional(text(253, pattern=_DOMAIN, allowed="the name of a PriorityClass, such as trading")),
    ] = None
    labels: Annotated[dict[Annotated[_LabelKey, BeforeValidator(_free_key)], _LabelValue], BeforeValidator(_labels)] = (
        Field(default_factory=dict)
    )


def kubernetes_notices(section: Any) -> list[Notice]:
    """Keys inside the section's parts that nobody reads; those of the section itself are found with all others."""
    resources = _part(section, "resources")
    parts: list[tuple[str, Any, type[Section]]] = [
        ("kubernetes.resources", resources, PodResources),
        ("kubernetes.resources.requests", _part(resources, "requests"), Amounts),
        ("kubernetes.resources.limits", _part(resources, "limits"), Amounts),
    ]
    tolerations = section.get("tolerations") if isinstance(section, Mapping) else None
    for number, item in enumerate(tolerations if isinstance(tolerations, list) else ()):
        parts.append((f"kubernetes.tolerations.{number}", item if isinstance(item, Mapping) else {}, Toleration))
    return [notice for path, part, model in parts for notice in unknown_keys(part, model.model_fields, path)]


def _part(section: Any, key: str) -> Mapping[str, Any]:
    part = section.get(key) if isinstance(section, Mapping) else None
    return part if isinstance(part, Mapping) else {}
