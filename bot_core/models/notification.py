"""The `notifications` section: which events are told, and on which channels."""

from pydantic import BaseModel, ConfigDict


class NotificationConfig(BaseModel):
    """A missing flag is false: nobody is written to who did not ask for it."""

    model_config = ConfigDict(frozen=True, extra="allow")

    position_opened: bool = False
    position_closed: bool = False
    error_notifications: bool = False
    email_enabled: bool = False
    telegram_enabled: bool = False

    @property
    def channels(self) -> list[str]:
        return [name for name, on in (("email", self.email_enabled), ("telegram", self.telegram_enabled)) if on]
