"""Puts the dispatcher together from the environment. Without a channel, nothing of it is imported or started."""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from bot_core.models.extensions import Group
from bot_core.store.database import Database
from bot_runtime.notifications.metrics import FIGURES
from bot_runtime.notifications.registry import Channels, build_channels, configured_names, switched_off
from bot_runtime.plugins import installed_plugins
from bot_runtime.settings import number

if TYPE_CHECKING:
    from bot_runtime.notifications.dispatcher import CommandReader, Dispatcher, DispatchRhythm
    from bot_runtime.notifications.rendering import Renderer

_log = structlog.get_logger(__name__)
_CONNECTIONS = 4  # lanes, the renewal of the duty, and figures
_DAYS, _RETRY = "TRADINGBOT_NOTIFY_DAYS", "TRADINGBOT_NOTIFY_RETRY_SECONDS"


def is_wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether any channel is set up in this process."""
    if switched_off(environment):
        return False
    return bool(configured_names(environment) or installed_plugins().names(Group.NOTIFIERS))


def build_dispatcher(
    database_url: str,
    holder: str,
    environment: Mapping[str, str] = os.environ,
    *,
    lease_seconds: float = 30.0,
) -> "Dispatcher | None":
    """A dispatcher, or None where no channel can be used. Must be called inside an event loop."""
    if not is_wanted(environment):
        return None
    if find_spec("jinja2") is None:
        _log.error(
            "notifications_not_delivered",
            error="delivery needs jinja2, which is in the extra `notify`: pip install 'tradingbot-operator[notify]'",
        )
        return None
    from bot_runtime.notifications.dispatcher import Dispatcher  # noqa: PLC0415  # with its libraries
    from bot_runtime.notifications.summaries import SummaryWriter  # noqa: PLC0415

    channels = build_channels(environment)
    if not channels.notifiers:
        return None
    database = Database(database_url, pool_size=_CONNECTIONS)
    return Dispatcher(
        database,
        holder,
        channels.notifiers,
        FIGURES,
        renderer=build_renderer(environment),
        defaults=channels.defaults,
        commands=_commands(channels, database),
        extra_work=[SummaryWriter(database).write_due],
        rhythm=_rhythm(environment),
        lease_seconds=lease_seconds,
    )


def build_renderer(environment: Mapping[str, str] = os.environ) -> "Renderer":
    from bot_runtime.notifications.rendering import FOLDER_VARIABLE, Renderer  # noqa: PLC0415

    folder = environment.get(FOLDER_VARIABLE)
    if folder and not Path(folder).is_dir():
        _log.error("templates_not_found", error=f"{FOLDER_VARIABLE} is {folder!r}; allowed: a folder that exists")
        folder = None
    return Renderer(Path(folder) if folder else None)


def _commands(channels: Channels, database: Database) -> "CommandReader | None":
    if "telegram" not in channels.notifiers:
        return None
    from bot_runtime.notifications.telegram import TelegramNotifier  # noqa: PLC0415
    from bot_runtime.notifications.telegram_commands import TelegramCommands  # noqa: PLC0415

    notifier = channels.notifiers["telegram"]
    return TelegramCommands(notifier.bot, database, FIGURES) if isinstance(notifier, TelegramNotifier) else None


def _rhythm(environment: Mapping[str, str]) -> "DispatchRhythm":
    from bot_runtime.notifications.dispatcher import DispatchRhythm  # noqa: PLC0415

    days = number(environment, _DAYS, DispatchRhythm.expire / 86_400, low=0.01, high=365)
    retry = number(environment, _RETRY, DispatchRhythm.retry, low=0.05, high=600)
    return DispatchRhythm(expire=days * 86_400, retry=retry)
