"""Which channels this process has, by its environment. Libraries of a channel are imported only where it is set up.

A channel that is set up wrongly is named with the variable and the remedy, and stops no other.
"""

import os
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from bot_core.logs import hide, masked
from bot_core.models.errors import InvalidBotError, first_line
from bot_core.models.extensions import Group
from bot_runtime.notifications.base import MisconfiguredError, Notifier
from bot_runtime.plugins import installed_plugins

_log = structlog.get_logger(__name__)
SWITCH = "TRADINGBOT_NOTIFY"
_WEBHOOK = re.compile(r"WEBHOOK(?:_([A-Z0-9_]+))?_URL")
_LARGEST_PORT = 65_535
Environment = Mapping[str, str]


@dataclass
class Channels:
    """`troubles`: why a channel that was meant to be there is not."""

    notifiers: dict[str, Notifier] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)
    defaults: dict[str, str] = field(default_factory=dict)


def configured_names(environment: Environment = os.environ) -> list[str]:
    """The built-in channels that the environment speaks of; nothing is imported for that."""
    if switched_off(environment):
        return []
    return [name for name, (is_meant, _) in _BUILT_IN.items() if is_meant(environment)]


def switched_off(environment: Environment = os.environ) -> bool:
    return environment.get(SWITCH, "").strip().lower() in {"off", "false", "0", "no"}


def build_channels(environment: Environment = os.environ) -> Channels:
    """Must be called inside an event loop. Raises nothing."""
    channels = Channels()
    if switched_off(environment):
        return channels
    for name in configured_names(environment):
        _add(channels, name, lambda build=_BUILT_IN[name][1]: build(environment))  # type: ignore[misc]
    plugins = installed_plugins()
    for name in plugins.names(Group.NOTIFIERS):
        _add(channels, name, lambda name=name: plugins.find(Group.NOTIFIERS, name)(environment))  # type: ignore[misc]
    if environment.get("SLACK_CHANNEL"):
        channels.defaults["slack"] = environment["SLACK_CHANNEL"]
    return channels


def _add(channels: Channels, name: str, build: Callable[[], Notifier | None]) -> None:
    try:
        notifier = build()
    except ImportError as error:
        extra = "apprise" if name == "apprise" else "notify"
        trouble = (
            f"{name} needs {error.name}, which is in the extra `{extra}`: pip install 'tradingbot-operator[{extra}]'"
        )
    except (MisconfiguredError, InvalidBotError) as error:
        trouble = first_line(error)
    except Exception as error:  # noqa: BLE001  # a plugin may raise whatever it likes
        trouble = f"{name}: {type(error).__name__}: {first_line(error)}"
    else:
        if notifier is not None:
            channels.notifiers[name] = notifier
        return
    channels.troubles[name] = masked(trouble)
    _log.error("notifier_misconfigured", channel=name, error=channels.troubles[name])


def _email(environment: Environment) -> Notifier:
    from bot_runtime.notifications.email import EmailNotifier, Security  # noqa: PLC0415

    port = _port(environment.get("SMTP_PORT") or "587")
    chosen = (environment.get("SMTP_SECURITY") or ("tls" if port == 465 else "starttls")).lower()  # noqa: PLR2004
    allowed: dict[str, Security] = {"starttls": "starttls", "tls": "tls", "none": "none"}
    if chosen not in allowed:
        raise MisconfiguredError(f"SMTP_SECURITY is {chosen!r}; allowed: starttls, tls, none")
    user, password = environment.get("SMTP_USER", ""), environment.get("SMTP_PASSWORD", "")
    hide(password)
    sender = environment.get("SMTP_FROM") or user
    if not re.fullmatch(r"[^\s@<>,]+@[A-Za-z0-9.\-]+", sender):
        raise MisconfiguredError(f"SMTP_FROM is {sender!r}; allowed: the address that messages come from")
    return EmailNotifier(
        environment["SMTP_SERVER"], port, sender, user=user, password=password, security=allowed[chosen]
    )


def _telegram(environment: Environment) -> Notifier:
    token = environment["TELEGRAM_BOT_TOKEN"].strip()
    hide(token)
    if not re.fullmatch(r"\d+:[\w\-]{5,}", token):
        raise MisconfiguredError("TELEGRAM_BOT_TOKEN is no token; allowed: what BotFather gives, NUMBER:LETTERS")
    from bot_runtime.notifications.telegram import API, TelegramNotifier  # noqa: PLC0415

    return TelegramNotifier(token, api_url=_address("TELEGRAM_API_URL", environment.get("TELEGRAM_API_URL") or API))


def _slack(environment: Environment) -> Notifier:
    token = environment["SLACK_BOT_TOKEN"].strip()
    hide(token)
    if not token.startswith("xox"):
        raise MisconfiguredError("SLACK_BOT_TOKEN is no token of a Slack app; allowed: xoxb-…")
    from bot_runtime.notifications.slack import API, SlackNotifier  # noqa: PLC0415

    return SlackNotifier(token, api_url=_address("SLACK_API_URL", environment.get("SLACK_API_URL") or API))


def _webhook(environment: Environment) -> Notifier:
    from bot_runtime.notifications.webhook import Endpoint, WebhookNotifier  # noqa: PLC0415

    endpoints = {}
    for variable, value in environment.items():
        found = _WEBHOOK.fullmatch(variable)
        if found is None or not value:
            continue
        hide(value)
        secret = environment.get(f"{variable.removesuffix('_URL')}_SECRET", "")
        hide(secret)
        endpoints[(found[1] or "").lower()] = Endpoint(_address(variable, value), secret)
    return WebhookNotifier(endpoints)


def _apprise(environment: Environment) -> Notifier:
    urls = environment["APPRISE_URLS"].split()
    for url in urls:
        hide(url)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of modules that Apprise imports, some only for an address
        from bot_runtime.notifications.apprise import AppriseNotifier  # noqa: PLC0415

        notifier = AppriseNotifier(urls)
    if notifier.refused:
        raise MisconfiguredError(
            f"APPRISE_URLS: Apprise can't read address number {notifier.refused[0]}; allowed: its addresses, "
            "with spaces between"
        )
    return notifier


def _address(variable: str, value: str) -> str:
    if not re.match(r"https?://[^\s/]", value):
        raise MisconfiguredError(f"{variable} is no address; allowed: http://… or https://…")
    return value


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= _LARGEST_PORT:
        raise MisconfiguredError(f"SMTP_PORT is {text!r}; allowed: a whole number from 1 to {_LARGEST_PORT}")
    return int(text)


def _any_webhook(environment: Environment) -> bool:
    return any(value and _WEBHOOK.fullmatch(name) for name, value in environment.items())


_BUILT_IN: Mapping[str, tuple[Callable[[Environment], bool], Callable[[Environment], Notifier]]] = {
    "email": (lambda environment: bool(environment.get("SMTP_SERVER")), _email),
    "telegram": (lambda environment: bool(environment.get("TELEGRAM_BOT_TOKEN")), _telegram),
    "slack": (lambda environment: bool(environment.get("SLACK_BOT_TOKEN")), _slack),
    "webhook": (_any_webhook, _webhook),
    "apprise": (lambda environment: bool(environment.get("APPRISE_URLS")), _apprise),
}
