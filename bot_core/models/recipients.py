"""Who is told of what: the flags of a document, the addresses that it or the environment names, else the profile. Pure.

The rules are those of the platform whose tables these are, word for word where rows exist that rely on them. An address
of the user's profile is left to whoever delivers: only channel and user are said here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from bot_core.models.bot import BotRow
from bot_core.models.config import BotConfig, parse_config
from bot_core.models.notification import NotificationConfig, readable_notifications

EMAIL_VARIABLE = "TRADING_NOTIFY_EMAIL"
CHAT_VARIABLE = "TRADING_NOTIFY_TELEGRAM_CHAT_ID"


class Purpose(StrEnum):
    """Why somebody is written to."""

    TRADE_BUY = "trade_buy"
    TRADE_SELL = "trade_sell"
    ERROR = "error"
    BOT_EVENT = "bot_event"
    RISK = "risk"
    HALT = "halt"
    SUMMARY = "summary"


@dataclass(frozen=True, slots=True)
class Targets:
    """The addresses that an environment names for all bots of its process; empty where it names none."""

    email: str = ""
    telegram: str = ""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        return cls(environment.get(EMAIL_VARIABLE, "").strip(), environment.get(CHAT_VARIABLE, "").strip())


@dataclass(frozen=True, slots=True)
class Address:
    """One channel to one recipient; `data` is what a message to it carries beside its facts."""

    channel: str
    recipient_id: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subject:
    """The bot that is told of, as far as its row and document can be read. `simulated`: its bars are from a file."""

    bot_id: int
    name: str
    user_id: int | None
    notifications: NotificationConfig
    symbol: str | None = None
    mode: str | None = None
    simulated: bool = False

    @classmethod
    def of(cls, row: BotRow, config: BotConfig) -> Self:
        """The bot as it runs, which may be with an older document than its row's."""
        return cls(
            row.id,
            row.name,
            config.user_id or row.user_id or None,
            config.notifications,
            symbol=config.symbol,
            mode=config.broker.trading_mode,
            simulated=config.data.data_source == "file",
        )

    @classmethod
    def readable(cls, row: BotRow) -> Self:
        """The bot as its row describes it, valid or not."""
        document = parse_config(row.config).canonical or {}
        source = _word(document, "data", "data_source")
        user = document.get("user_id")
        owner = user if isinstance(user, int) and not isinstance(user, bool) and user > 0 else row.user_id
        symbol = document.get("symbol")
        return cls(
            row.id,
            row.name,
            owner or None,
            readable_notifications(document.get("notifications")),
            symbol=symbol if isinstance(symbol, str) else None,
            mode=_word(document, "broker", "trading_mode") or None,
            simulated=source == "file",
        )


def addresses(subject: Subject, purpose: Purpose, targets: Targets) -> tuple[Address, ...]:
    """Where the owner of a bot is told of this; nowhere where he did not ask for it.

    Bars from a file are a simulation: of those nobody is told. Addresses that are named, if there is one, keep e-mail
    and Telegram of the profile out. Other channels have no profile: their flags add them.
    """
    asked = subject.notifications
    if subject.simulated or not asked.enabled or not _asks(asked, purpose):
        return ()
    owner = f"manifest-{subject.bot_id}" if subject.user_id is None else str(subject.user_id)
    named = _named(asked, owner, targets)
    return (*(named or _of_profile(asked, subject.user_id)), *_others(asked, owner))


def _asks(asked: NotificationConfig, purpose: Purpose) -> bool:
    """Whether the flag of this purpose is set.

    A trade is first asked whether the document wants any of trades and errors, which its own flag implies.
    """
    flags = {
        Purpose.TRADE_BUY: asked.position_opened,
        Purpose.TRADE_SELL: asked.position_closed,
        Purpose.ERROR: asked.error_notifications,
        Purpose.BOT_EVENT: asked.bot_events,
        Purpose.RISK: asked.risk_alerts,
        Purpose.HALT: asked.risk_alerts or asked.error_notifications,
        Purpose.SUMMARY: bool(asked.summaries),
    }
    return flags[purpose]


def _named(asked: NotificationConfig, owner: str, targets: Targets) -> list[Address]:
    """Addresses of the document, else of the environment: a flag that is absent does not keep them back."""
    email = asked.notify_email or targets.email
    chat = targets.telegram if asked.notify_telegram_chat_id is None else asked.notify_telegram_chat_id
    found = []
    if email and asked.email_enabled is not False:
        found.append(Address("email", owner, {"email_receiver": email}))
    if chat and asked.telegram_enabled is not False:
        found.append(Address("telegram", owner, {"telegram_chat_id": chat}))
    return found


def _of_profile(asked: NotificationConfig, user_id: int | None) -> list[Address]:
    if user_id is None:
        return []
    flags = (("email", asked.email_enabled), ("telegram", asked.telegram_enabled))
    return [Address(channel, str(user_id)) for channel, on in flags if on]


def _others(asked: NotificationConfig, owner: str) -> list[Address]:
    found = []
    if asked.slack_enabled:
        found.append(Address("slack", owner, {"slack_channel": asked.slack_channel} if asked.slack_channel else {}))
    if asked.webhook_enabled:
        found.append(Address("webhook", owner, {"webhook": asked.webhook} if asked.webhook else {}))
    return [*found, *(Address(name, owner) for name in asked.channels)]


def _word(document: Mapping[str, Any], section: str, key: str) -> str:
    values = document.get(section)
    value = values.get(key) if isinstance(values, Mapping) else None
    return value.strip().lower() if isinstance(value, str) else ""
