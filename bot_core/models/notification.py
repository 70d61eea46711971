"""The `notifications` section: which events are told, and on which channels."""

from typing import Annotated, Any, ClassVar

from pydantic import field_validator

from bot_core.models.section import Section
from bot_core.models.values import FLAG, optional, text

_Flag = Annotated[bool, FLAG]


class NotificationConfig(Section):
    """A missing flag is false: nobody is written to who did not ask for it. `enabled` false silences all of them."""

    inert: ClassVar[frozenset[str]] = frozenset(
        {
            "performance_summaries", "risk_alerts", "system_notifications", "strategy_notifications",
            "notification_levels", "_comment",
        }
    )  # fmt: skip

    enabled: _Flag = True
    position_opened: _Flag = False
    position_closed: _Flag = False
    error_notifications: _Flag = False
    bot_events: _Flag = True
    daily_summary: _Flag = False
    email_enabled: _Flag = False
    telegram_enabled: _Flag = False
    notify_email: Annotated[str | None, optional(text(254))] = None
    notify_telegram_chat_id: str | None = None

    @field_validator("notify_telegram_chat_id", mode="before")
    @classmethod
    def _number_or_text(cls, value: Any) -> str | None:
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise ValueError("is no chat id; allowed: a whole number or text")  # noqa: TRY004  # pydantic wants it
        return str(value).strip()

    @field_validator("notify_email", mode="before")
    @classmethod
    def _empty_is_none(cls, value: Any) -> Any:
        return None if value == "" else value

    @property
    def channels(self) -> list[str]:
        if not self.enabled:
            return []
        return [name for name, on in (("email", self.email_enabled), ("telegram", self.telegram_enabled)) if on]
