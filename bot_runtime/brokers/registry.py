"""Brokers by the type that `broker.type` gives. In this version every built-in type trades on paper."""

from bot_core.models.broker import BROKER_TYPES
from bot_core.models.config import BotConfig
from bot_core.models.errors import InvalidBotError
from bot_core.models.extensions import Group
from bot_runtime.brokers.base import Broker
from bot_runtime.brokers.paper import PaperBroker
from bot_runtime.plugins import installed_plugins


def build_broker(config: BotConfig) -> Broker:
    """Raise InvalidBotError for a type that neither is built in nor has a plugin."""
    kind = config.broker.type
    if kind in BROKER_TYPES:
        return PaperBroker(config.broker.commission)
    try:
        broker: Broker = installed_plugins().find(Group.BROKERS, kind)(config)
    except LookupError as error:
        raise InvalidBotError(f"broker.type: {kind!r} is not installed") from error
    return broker
