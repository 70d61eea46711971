"""The port of a channel: a notifier sends one delivery, or says by the type of the error what is known of it.

A notifier keeps no queue, tries nothing twice and logs nothing: whoever calls it decides what happens next. Its errors
hold no secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from bot_core.models.errors import TradingBotError


class Markup(StrEnum):
    """How a channel's text is written. A template of this ending makes it."""

    TEXT = "text"
    HTML = "html"
    TELEGRAM = "telegram"
    SLACK = "slack"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is sent. `key` is the same whenever the same is sent again; `repeated`: it may have arrived before.

    `text` is plain, `body` in the notifier's own markup; both say so themselves where they are a repetition. `facts` is
    for programs: JSON without money as a float.
    """

    key: str
    target: str
    title: str
    text: str
    body: str
    created_at: datetime
    facts: Mapping[str, Any] = field(default_factory=dict)
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """`external_id`: what the channel calls it."""

    external_id: str | None = None


class Notifier(Protocol):
    """One channel. A notifier may say by `markup` in which Markup it wants `body`; without, it is plain text."""

    @property
    def name(self) -> str:
        """What rows call the channel."""
        ...

    async def send(self, delivery: Delivery) -> Receipt:
        """Send it once, in bounded time. Raises one of the errors below, or UnclearError is assumed."""
        ...

    async def aclose(self) -> None: ...


@runtime_checkable
class Probed(Protocol):
    """A notifier that can be asked, without sending anything, whether its channel works again.

    With `separate_targets = True`, an outage is one of a target, not of the channel.
    """

    async def probe(self, target: str) -> None:
        """Raises ChannelDownError. `target` is empty where the channel as a whole is meant."""
        ...


class DeliveryError(TradingBotError):
    """A delivery did not succeed. The type says what is known and what follows."""


class ChannelDownError(DeliveryError):
    """It was not sent, and no other would be: the channel is left alone for a while. No row uses up a retry."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotSentError(DeliveryError):
    """This one was certainly not taken now, and may be later: a retry, after `patience` times the pause."""

    def __init__(self, message: str, *, patience: float = 1.0) -> None:
        super().__init__(message)
        self.patience = patience


class RejectedError(DeliveryError):
    """This one will never be taken: a dead letter."""


class UnclearError(DeliveryError):
    """It may have arrived: it is repeated under the same key, marked as a repetition."""


class MisconfiguredError(TradingBotError):
    """A channel can't be used as its variables are. The message names the variable and the remedy."""
