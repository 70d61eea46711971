"""What the chart tells the operator: one JSON file named by OPERATOR_SETTINGS, and DATABASE_URL.

It reads the environment and that file, nothing else, and only when `load_settings` is called.
"""

import json
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel

from bot_core.models.errors import FatalError
from bot_core.models.extensions import Group, NamesOnly
from bot_core.models.quantity import quantity

DEFAULT_PORT = 8080
_LABEL_VALUE = r"^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$"
_SECRET_PREFIX = re.compile(r"[a-z0-9][-a-z0-9.]*")
#: What a bot needs at rest and at work, measured; the chart's `bot.resources` replaces it as a whole.
DEFAULT_RESOURCES = {"requests": {"cpu": "10m", "memory": "96Mi"}, "limits": {"memory": "256Mi"}}


class _Settings(BaseModel):
    # A misspelt key would be a setting that silently does nothing.
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class DatabaseSecret(_Settings):
    """Where a bot's pod finds DATABASE_URL. The operator itself never reads that Secret."""

    secret_name: str = Field(min_length=1)
    secret_key: str = Field(min_length=1)
    #: Key of the URL for LISTEN alone, where DATABASE_URL goes through a pooler.
    listen_key: str = ""
    #: A pod closes a connection that nothing used for so long, and does not LISTEN; 0: it keeps its connections.
    idle_seconds: float = Field(default=0, ge=0)


class CredentialSettings(_Settings):
    """Which Secrets a row may name: those whose names begin with one of these. None of them: no Secret at all."""

    secret_prefixes: tuple[str, ...] = ("bot-",)

    @field_validator("secret_prefixes")
    @classmethod
    def _narrow(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_SECRET_PREFIX.fullmatch(prefix) for prefix in value):
            raise ValueError("holds what begins no name of a Secret; an empty prefix would allow every Secret")
        return value


class PodPolicy(_Settings):
    """What the `kubernetes` section of a document may ask for; of the lists, nothing that is not named."""

    max_cpu: Annotated[str, quantity("1m", "1000")] = "1"
    max_memory: Annotated[str, quantity("16Mi", "16Ti")] = "1Gi"
    node_selector_keys: tuple[str, ...] = ()
    toleration_keys: tuple[str, ...] = ()
    priority_classes: tuple[str, ...] = ()
    label_prefixes: tuple[str, ...] = ("bots.tradingbot.dev/",)

    @field_validator("label_prefixes")
    @classmethod
    def _not_empty(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(value):
            raise ValueError("holds an empty prefix, which would allow every label")
        return value


class BotPodSettings(_Settings):
    """What shapes every bot's pod. A change of any of it makes new pods."""

    image: str = Field(min_length=1)
    image_pull_policy: str = "IfNotPresent"
    service_account_name: str = "default"
    resources: dict[str, Any] = {}
    node_selector: dict[str, str] = {}
    tolerations: list[dict[str, Any]] = []
    volumes: list[dict[str, Any]] = []
    volume_mounts: list[dict[str, Any]] = []
    env: list[dict[str, Any]] = []
    termination_grace_period_seconds: int = Field(default=30, ge=1)
    image_pull_secrets: list[dict[str, str]] = []
    credentials: CredentialSettings = CredentialSettings()
    policy: PodPolicy = PodPolicy()


class PluginNames(_Settings):
    """What the bots' image and their plugin folder bring. The operator knows the names and never the code."""

    strategies: tuple[str, ...] = ()
    entries: tuple[str, ...] = ()
    exits: tuple[str, ...] = ()
    brokers: tuple[str, ...] = ()
    feeds: tuple[str, ...] = ()
    notifiers: tuple[str, ...] = ()

    def extensions(self) -> NamesOnly:
        return NamesOnly({group: getattr(self, group.value) for group in Group})


class SafetySettings(_Settings):
    """A set of bots that should run, shrunken by more than `max_shrink_percent` and by at least `min_bots`, is held.

    A second read after `confirm_seconds` releases them, but above `ask_above_percent` only a person does.
    Bots that were stopped within `window_seconds` count as one shrinking.
    """

    max_shrink_percent: float = Field(default=30, ge=0, le=100)
    min_bots: int = Field(default=5, ge=1)
    confirm_seconds: float = Field(default=60, ge=0)
    ask_above_percent: float = Field(default=60, ge=0, le=100)
    window_seconds: float = Field(default=600, ge=0)


class TroubleSettings(_Settings):
    """What may end by itself is an error only after a while; what ended a bot once is shown for `remember_seconds`.

    `grace_seconds`: no node, no image, no container. `not_ready_seconds`: a pod that has not started or is not ready,
    or whose container is still being made.
    """

    grace_seconds: float = Field(default=60, ge=0)
    not_ready_seconds: float = Field(default=300, ge=0)
    remember_seconds: float = Field(default=600, ge=0)


class RecoverySettings(_Settings):
    """A ready pod whose bot gave no heartbeat for `missed_heartbeats` intervals is deleted.

    After `max_recoveries` within `within_seconds` the bot is quarantined as well. While at least `hold_min_bots` and
    more than `hold_above_percent` of the bots are late, none is touched. A pod leaves a node that is lost for
    `node_lost_seconds`.
    """

    enabled: bool = True
    missed_heartbeats: int = Field(default=12, ge=2)
    max_recoveries: int = Field(default=3, ge=1)
    within_seconds: float = Field(default=1800, gt=0)
    hold_above_percent: float = Field(default=30, ge=0, le=100)
    hold_min_bots: int = Field(default=3, ge=1)
    node_lost_seconds: int = Field(default=60, ge=0)


class RolloutSettings(_Settings):
    """At most `max_unavailable_percent` of the bots (one at least) are made anew at a time.

    A bot that is not ready `ready_seconds` after its new pod was asked for has failed; `pause_after_failures` of them
    pause the roll-out.
    """

    max_unavailable_percent: float = Field(default=10, gt=0, le=100)
    ready_seconds: float = Field(default=300, gt=0)
    pause_after_failures: int = Field(default=2, ge=1)


class LeaderSettings(_Settings):
    """One of several replicas works, by a Lease that it renews; without `enabled` each one works."""

    enabled: bool = False
    lease_name: str = "tradingbot-operator"
    lease_seconds: int = Field(default=10, ge=3)
    renew_seconds: float = Field(default=2, gt=0)
    #: The operator's own Deployment, which owns the Lease, so that both go together. Empty: nothing owns it.
    deployment: str = ""

    @property
    def deadline_seconds(self) -> float:
        """So long after a renewal the leader stops writing by itself; the rest of the lease is the margin."""
        return self.lease_seconds * 0.7

    @model_validator(mode="after")
    def _renews_in_time(self) -> Self:
        # In whole numbers, as the chart does it: 2.1 s of a lease of 6 s are not too long by a rounding.
        if self.renew_seconds * 20 > self.lease_seconds * 7:
            raise ValueError(f"renewSeconds must be at most {self.deadline_seconds / 2:g}, a third of leaseSeconds")
        return self


class OperatorSettings(_Settings):
    """Times are seconds."""

    namespace: str = Field(min_length=1)
    release: str = Field(pattern=_LABEL_VALUE)
    database: DatabaseSecret
    bot: BotPodSettings
    plugins: PluginNames = PluginNames()
    safety: SafetySettings = SafetySettings()
    trouble: TroubleSettings = TroubleSettings()
    recovery: RecoverySettings = RecoverySettings()
    rollout: RolloutSettings = RolloutSettings()
    leader: LeaderSettings = LeaderSettings()
    poll_seconds: float = Field(default=30, gt=0)
    status_seconds: float = Field(default=15, gt=0)
    log_level: str = Field(default="INFO", pattern=r"^(DEBUG|INFO|WARNING|ERROR|CRITICAL)$")

    def __hash__(self) -> int:
        """By identity: there is one in a process, and what is derived from it alone is kept by it."""
        return id(self)


def load_settings(environ: Mapping[str, str]) -> OperatorSettings:
    """Read the file that OPERATOR_SETTINGS names. Raises FatalError that says what is wrong with it."""
    path = environ.get("OPERATOR_SETTINGS")
    if not path:
        raise FatalError("OPERATOR_SETTINGS is not set; it names the JSON file of the operator's settings")
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise FatalError(f"OPERATOR_SETTINGS names {path}, which can't be read: {error.strerror}") from error
    except ValueError as error:
        raise FatalError(f"{path} is no JSON: {error}") from error
    return parse_settings(document, path)


def parse_settings(document: Any, source: str = "settings") -> OperatorSettings:
    """Check a settings document; the FatalError names every wrong key, but no value: `env` may hold a private one."""
    try:
        return OperatorSettings.model_validate(document)
    except ValidationError as error:
        found = [f"{'.'.join(str(part) for part in item['loc']) or source}: {item['msg']}" for item in error.errors()]
        raise FatalError(f"{source}: " + "; ".join(found)) from None


@dataclass(frozen=True)
class ProcessSettings:
    """What is one process's own, from its environment. `name` is a person's hint at who holds the Lease.

    `direct_url` leads to the same database past a pooler, for LISTEN alone; empty: there is none in the way.
    """

    database_url: str
    direct_url: str = ""
    port: int = DEFAULT_PORT
    name: str = "operator"


def process_settings(environ: Mapping[str, str]) -> ProcessSettings:
    """DATABASE_URL, DATABASE_LISTEN_URL, PORT, POD_NAME. Raises FatalError."""
    return ProcessSettings(
        database_url(environ),
        environ.get("DATABASE_LISTEN_URL", ""),
        int(environ.get("PORT") or DEFAULT_PORT),
        environ.get("POD_NAME") or socket.gethostname(),
    )


def database_url(environ: Mapping[str, str]) -> str:
    """DATABASE_URL. There is no default: an operator on a private SQLite file would find an empty table."""
    url = environ.get("DATABASE_URL")
    if not url:
        raise FatalError("DATABASE_URL is not set; allowed: postgresql+psycopg://USER:PASSWORD@HOST/NAME")
    return url
