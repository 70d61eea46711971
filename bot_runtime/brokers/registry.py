"""Brokers by what a document says: on paper everywhere, live at the venue that `broker.type` names, or a plugin's."""

from bot_core.models.broker import BROKER_TYPES
from bot_core.models.config import BotConfig
from bot_core.models.errors import InvalidBotError
from bot_core.models.extensions import Group
from bot_runtime.brokers.base import Broker
from bot_runtime.brokers.paper import PaperBroker, simulation_of
from bot_runtime.plugins import installed_plugins
from bot_runtime.venues.extra import needing_live


def build_broker(config: BotConfig, *, interval_seconds: float) -> Broker:
    """Build what the document asks for; a simulated venue fills on bars of `interval_seconds`.

    Raise InvalidBotError for a type that neither is built in nor has a plugin.
    """
    broker = config.broker
    if broker.type not in BROKER_TYPES:
        return _plugin(config)
    if broker.trading_mode == "live":
        return _live(config)
    simulation = simulation_of(broker.simulation)
    return PaperBroker(broker.commission, simulation, interval_seconds=interval_seconds)


def _live(config: BotConfig) -> Broker:
    with needing_live(f"broker.type: {config.broker.type!r}"):
        return _live_broker(config)


def _live_broker(config: BotConfig) -> Broker:
    """Only the venue that is used is imported."""
    match config.broker.type:
        case "paper":
            raise InvalidBotError("broker.type: 'paper' trades on paper only; allowed with it: trading_mode paper")
        case "alpaca":
            from bot_runtime.brokers.alpaca import AlpacaBroker  # noqa: PLC0415

            return AlpacaBroker(config)
        case "ibkr":
            from bot_runtime.brokers.ibkr import IbkrBroker  # noqa: PLC0415

            return IbkrBroker(config)
        case _:
            from bot_runtime.brokers.ccxt_broker import CcxtBroker  # noqa: PLC0415

            return CcxtBroker(config, symbol=config.symbol)


def _plugin(config: BotConfig) -> Broker:
    kind = config.broker.type
    try:
        found: Broker = installed_plugins().find(Group.BROKERS, kind)(config)
    except LookupError as error:
        raise InvalidBotError(f"broker.type: {kind!r} is not installed") from error
    return found
