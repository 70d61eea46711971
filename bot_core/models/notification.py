"""The `notifications` section: which events are told, and on which channels. It knows nobody's address but its own."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import ValidationError, field_validator

from bot_core.models.section import Section
from bot_core.models.values import FLAG, optional, text

_Flag = Annotated[bool, FLAG]
#: Channels that have a flag of their own.
FLAGGED = ("email", "telegram", "slack", "webhook")
#: What says that no summary is wanted.
NO_SUMMARY = ("none", "off")
#: A webhook is named, since its URL may be a secret: `ops` stands for WEBHOOK_OPS_URL and WEBHOOK_OPS_SECRET.
WEBHOOK_NAME = r"[A-Za-z][A-Za-z0-9_-]{0,39}"
_CHANNEL = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_MOST_CHANNELS = 10
_ADDRESS = text(254, pattern=r"[^@\s,;<>]+@[^@\s,;<>]+", allowed="an address such as me@example.com")


class SummaryPeriod(StrEnum):
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


class NotificationConfig(Section):
    """A missing flag is false: nobody is written to who did not ask for it. `enabled` false silences all of them.

    `email_enabled` and `telegram_enabled` are None where nothing is said, which is enough for an address that is named
    (`notify_email`, `notify_telegram_chat_id` or the environment), and not for one of the user's profile. A chat id
    of "" is no chat id, and none of the environment either.
    """

    inert: ClassVar[frozenset[str]] = frozenset(
        {"system_notifications", "strategy_notifications", "notification_levels", "_comment"}
    )

    enabled: _Flag = True
    position_opened: _Flag = False
    position_closed: _Flag = False
    error_notifications: _Flag = False
    bot_events: _Flag = True
    risk_alerts: _Flag = False
    daily_summary: _Flag = False
    performance_summaries: tuple[SummaryPeriod, ...] = ()
    email_enabled: Annotated[bool | None, FLAG] = None
    telegram_enabled: Annotated[bool | None, FLAG] = None
    slack_enabled: _Flag = False
    webhook_enabled: _Flag = False
    channels: tuple[str, ...] = ()
    notify_email: Annotated[str | None, optional(_ADDRESS)] = None
    notify_telegram_chat_id: str | None = None
    slack_channel: Annotated[
        str | None, optional(text(80, pattern=r"[#@]?[\w.\-]+", allowed="a channel such as #alerts, or its id"))
    ] = None
    webhook: Annotated[
        str | None, optional(text(40, pattern=WEBHOOK_NAME, allowed="a name such as ops, for WEBHOOK_OPS_URL"))
    ] = None

    @field_validator("notify_telegram_chat_id", mode="before")
    @classmethod
    def _number_or_text(cls, value: Any) -> str | None:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise ValueError("is no chat id; allowed: a whole number or text")  # noqa: TRY004  # pydantic wants it
        return str(value).strip()

    @field_validator("notify_email", mode="before")
    @classmethod
    def _blank_is_none(cls, value: Any) -> Any:
        return (value.strip() or None) if isinstance(value, str) else value

    @field_validator("performance_summaries", mode="before")
    @classmethod
    def _periods(cls, value: Any) -> tuple[SummaryPeriod, ...]:
        given = [] if value is None or value is False else list(value) if isinstance(value, list | tuple) else [value]
        words = [item.strip().lower() if isinstance(item, str) else None for item in given]
        if any(word not in (*SummaryPeriod, *NO_SUMMARY) for word in words):
            allowed = ", ".join((*SummaryPeriod, *NO_SUMMARY))
            raise ValueError(f"is no period of summaries; allowed: {allowed}, or a list of them")
        return tuple(period for period in SummaryPeriod if period in words)

    @field_validator("channels", mode="before")
    @classmethod
    def _names(cls, value: Any) -> tuple[str, ...]:
        names = [] if value is None else list(value) if isinstance(value, list | tuple) else [None]
        if len(names) > _MOST_CHANNELS or not all(isinstance(one, str) and _CHANNEL.fullmatch(one) for one in names):
            raise ValueError(
                f'is no list of channels; allowed: at most {_MOST_CHANNELS} names such as ["apprise"], each "apprise" '
                "or that of a notifier plugin"
            )
        flagged = [name for name in names if name in FLAGGED]
        if flagged:
            raise ValueError(f"names {flagged[0]}, which has a flag; allowed: {flagged[0]}_enabled instead")
        return tuple(dict.fromkeys(map(str, names)))

    @property
    def summaries(self) -> tuple[SummaryPeriod, ...]:
        """The reports that are asked for; `daily_summary` and `performance_summaries: daily` are one."""
        wanted = set(self.performance_summaries) | ({SummaryPeriod.DAILY} if self.daily_summary else set())
        return tuple(period for period in SummaryPeriod if period in wanted)


def readable_notifications(section: Any) -> NotificationConfig:
    """What can be read of a section that may be invalid: a document with a mistake is told of as far as it asks for it.

    A value that is refused counts as not given.
    """
    values = dict(section) if isinstance(section, Mapping) else {}
    try:
        return NotificationConfig.model_validate(values)
    except ValidationError as error:
        refused = {item["loc"][0] for item in error.errors() if item["loc"]}
        return NotificationConfig.model_validate({key: value for key, value in values.items() if key not in refused})
