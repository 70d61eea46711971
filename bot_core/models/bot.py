"""What a row of `trading_bots` is and what it asks for. Pure: no clock, no I/O.

Both the operator and the runtime decide with `desired_state`; neither has a rule of its own.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from bot_core.models.shapes.normalise import too_deep


class BotStatus(StrEnum):
    """The values of `trading_bots.status` that mean something; the column itself is free text."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    RESTARTING = "restarting"
    ERROR = "error"


class StoppedBy(StrEnum):
    """`extra_metadata.stopped_by`: why a row says `stopped`, and so whether the bot comes back by itself."""

    REQUEST = "request"
    CONFIG = "config"
    SHUTDOWN = "shutdown"


#: In `extra_metadata`: when a runtime last answered `restarting`, for whoever had no time to see the request itself.
RESTARTED_AT = "restarted_at"

#: Written by a person or an API; the runtime answers them and must never overwrite them with an observation.
STOP_REQUESTS = frozenset({BotStatus.DISABLED, BotStatus.STOPPING})
REQUESTS = STOP_REQUESTS | {BotStatus.RESTARTING}
#: The key of `extra_metadata` that says what of a running bot's document its cluster does not allow.
REFUSED = "not_allowed"


class BotRow(BaseModel):
    """One row of `trading_bots`. Times are aware UTC, money is Decimal in the quote currency."""

    model_config = ConfigDict(frozen=True)

    id: int
    user_id: int
    status: str
    started_at: datetime | None = None
    last_heartbeat: datetime | None = None
    error_count: int | None = None
    current_balance: Decimal | None = None
    total_pnl: Decimal | None = None
    extra_metadata: dict[str, Any] = {}
    config: Any = None
    description: str | None = None
    #: Why the row can't be read as a whole; values that can't are missing, at most all but id, user and status.
    unreadable: str | None = None

    @field_validator("status")
    @classmethod
    def _status_in_lower_case(cls, value: str) -> str:
        return value.strip().lower()

    @field_validator("extra_metadata", mode="before")
    @classmethod
    def _metadata_is_an_object(cls, value: Any) -> dict[str, Any]:
        if isinstance(value, str):
            value = _parse_json(value)
        return dict(value) if isinstance(value, Mapping) else {}

    @field_validator("config", mode="before")
    @classmethod
    def _config_text_is_parsed(cls, value: Any) -> Any:
        return _parse_json(value) if isinstance(value, str) else value

    @property
    def document(self) -> Mapping[str, Any] | None:
        """The config document, or None where the column holds no JSON object."""
        return self.config if isinstance(self.config, Mapping) else None

    @property
    def switched_off(self) -> bool:
        """Whether the document says `enabled: false`; `overrides` and `modules` may say it as well."""
        document = self.document or {}
        for section in (document.get("overrides"), document, document.get("modules")):
            said = section.get("enabled") if isinstance(section, Mapping) else None
            if said is not None:
                return said is False
        return False

    @property
    def config_hash(self) -> str:
        return document_hash(self.config)

    @property
    def quarantined(self) -> bool:
        """Whether the bot failed too often on this very document, and nobody has asked for it since.

        Such a row still asks to run (its pod stays), but no process tries it, a restarted one neither.
        """
        found = self.extra_metadata.get("quarantined")
        if self.status != BotStatus.ERROR or not isinstance(found, Mapping):
            return False
        return bool(found.get("config_hash", self.config_hash) == self.config_hash)

    @property
    def name(self) -> str:
        """The document's name, else the description, else `Bot <id>`."""
        named = (self.document or {}).get("name")
        return str(named or self.description or f"Bot {self.id}")


class Desired(StrEnum):
    RUN = "run"
    STOP = "stop"


@dataclass(frozen=True)
class Quarantine:
    """A bot that failed too often to be tried again; `config_hash` is of the document that it failed on."""

    failures: int
    config_hash: str


@dataclass(frozen=True)
class DesiredState:
    """What a row asks for, and in words why."""

    state: Desired
    reason: str
    restart: bool = False

    @property
    def run(self) -> bool:
        return self.state is Desired.RUN


def desired_state(row: BotRow) -> DesiredState:
    """Run, unless the row is disabled, its document is, or the bot was stopped on request.

    A shutdown or a crash is no request: such a bot runs again. The document's validity is not judged here.
    """
    on_request = row.extra_metadata.get("stopped_by") == StoppedBy.REQUEST
    if row.switched_off:
        return DesiredState(Desired.STOP, "config.enabled is false")
    if row.status == BotStatus.STOPPED and on_request:
        return DesiredState(Desired.STOP, "it was stopped on request")
    if row.status in STOP_REQUESTS:
        return DesiredState(Desired.STOP, f"status is {row.status}")
    if row.status == BotStatus.STOPPED:
        return DesiredState(Desired.RUN, "it was stopped by a shutdown, not by a request")
    return DesiredState(Desired.RUN, f"status is {row.status}", restart=row.status == BotStatus.RESTARTING)


def stopped_by(row: BotRow) -> StoppedBy:
    """Why a bot that is being stopped now stops, as `extra_metadata.stopped_by` shall say."""
    if row.status in STOP_REQUESTS or (
        row.status == BotStatus.STOPPED and row.extra_metadata.get("stopped_by") == StoppedBy.REQUEST
    ):
        return StoppedBy.REQUEST
    if row.switched_off:
        return StoppedBy.CONFIG
    return StoppedBy.SHUTDOWN


def may_write(old: str, new: BotStatus) -> bool:
    """Whether an observation may replace what the row says.

    A request stands until it has been answered: only `stopped` answers `stopping` and `disabled`, only
    `stopped` and `starting` answer `restarting`. What a person wrote last always wins over what was seen.
    """
    if new is BotStatus.STOPPED:
        return True
    if old in STOP_REQUESTS:
        return False
    return old != BotStatus.RESTARTING or new is BotStatus.STARTING


def document_hash(document: Any) -> str:
    """A short hash of a config document, equal for equal documents whatever the order of their keys."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _parse_json(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if too_deep(value) else value
