"""How a bot is kept rather than what it trades: `logging`, `scheduling` and the keys that are ours alone."""

from collections.abc import Mapping
from datetime import UTC, tzinfo
from enum import StrEnum
from typing import Annotated, Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import field_validator

from bot_core.models.problem import Notice
from bot_core.models.section import Section
from bot_core.models.values import FLAG, MAYBE_FLAG, one_of, optional, text

_LEVELS = ("debug", "info", "warning", "error", "critical")
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_Clock = Annotated[
    str | None, optional(text(5, pattern=r"([01]\d|2[0-3]):[0-5]\d", allowed="a time of day such as 09:30"))
]
_Quantity = Annotated[
    str | None,
    optional(text(20, pattern=r"\d+(\.\d+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?", allowed="a quantity such as 100m or 128Mi")),
]
_ZONE = "a name of the IANA database such as UTC or Europe/Berlin"
SECRET_NAME = optional(
    text(253, pattern=r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", allowed="the name of a Kubernetes Secret, such as bot-keys")
)


class UpdatePolicy(StrEnum):
    """When a changed document is applied to a running bot."""

    NOW = "now"
    WHEN_FLAT = "when_flat"
    MANUAL = "manual"


class OnStop(StrEnum):
    """What a bot that is stopped on request does with what it has.

    `keep` leaves everything, `cancel` cancels entries on their way and keeps the position with its protective stop,
    `flatten` closes the position as well.
    """

    KEEP = "keep"
    CANCEL = "cancel"
    FLATTEN = "flatten"


class LoggingConfig(Section):
    inert: ClassVar[frozenset[str]] = frozenset({"file", "max_size_mb", "backup_count", "console_output"})

    level: Annotated[str | None, optional(one_of(_LEVELS, "log level"))] = None
    save_trades: Annotated[bool | None, MAYBE_FLAG] = None
    save_equity_curve: Annotated[bool | None, MAYBE_FLAG] = None
    log_file: Annotated[str | None, optional(text(1000))] = None


#: Keys that speak of files of one bot: here the process writes all lines of all bots to standard error.
_NO_FILES = {
    "log_file": "is not written: log lines go to standard error, with the bot's id in each",
    "file": "is not written: log lines go to standard error, with the bot's id in each",
    "save_equity_curve": "is not done: equity is a metric, and trading_performance_metrics has its figures",
}


def logging_notices(section: Any) -> list[Notice]:
    """What a document asks of the log that is not done."""
    given = section if isinstance(section, Mapping) else {}
    return [Notice(f"logging.{key}", text) for key, text in _NO_FILES.items() if given.get(key)]


def time_zone(name: str) -> tzinfo:
    """The zone of this name in the machine's (or Python's) database of zones. Raise ValueError where there is none."""
    if name.upper() in {"UTC", "Z"}:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"is no known time zone; allowed: {_ZONE}") from error


class SchedulingConfig(Section):
    """Entries are allowed from `start_time` to `end_time` of the zone on these days, where `enabled`."""

    enabled: Annotated[bool, FLAG] = False
    start_time: _Clock = None
    end_time: _Clock = None
    timezone: Annotated[str, text(64, pattern=r"[A-Za-z0-9_+\-/]+", allowed=_ZONE)] = "UTC"
    trading_days: tuple[str, ...] = DAYS

    @property
    def zone(self) -> tzinfo:
        return time_zone(self.timezone)

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        time_zone(value)
        return value

    @field_validator("trading_days", mode="before")
    @classmethod
    def _days(cls, value: Any) -> tuple[str, ...]:
        days = (
            [day.lower() if isinstance(day, str) else day for day in value] if isinstance(value, list | tuple) else []
        )
        if not days or any(day not in DAYS for day in days):
            raise ValueError(f"is no list of days; allowed: {', '.join(DAYS)}")
        return tuple(day for day in DAYS if day in days)


class ResourceList(Section):
    cpu: _Quantity = None
    memory: _Quantity = None


class Resources(Section):
    """Checked only: rows have run without it. What shapes a pod is `kubernetes.resources`."""

    requests: ResourceList = ResourceList()
    limits: ResourceList = ResourceList()

    @field_validator("requests", "limits", mode="before")
    @classmethod
    def _object(cls, value: Any) -> Any:
        if not isinstance(value, (Mapping, ResourceList)):
            raise ValueError('is not a JSON object; allowed: such as {"cpu": "100m", "memory": "128Mi"}')  # noqa: TRY004
        return value
