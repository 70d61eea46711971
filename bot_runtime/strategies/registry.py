"""Rules and strategies by the names that documents use. The one place where a configuration becomes objects."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import assert_never

import structlog

from bot_core.models.rule import RuleConfig
from bot_core.models.strategy import CUSTOM_STRATEGY, AssetType, StrategyConfig
from bot_runtime.domain.money import CENT8
from bot_runtime.domain.sizing import Sizing
from bot_runtime.entries.base import EntryRule
from bot_runtime.entries.bb_volume_supertrend import BbVolumeSupertrendEntry
from bot_runtime.entries.eom_breakout import EomBreakoutEntry
from bot_runtime.entries.eom_macd_breakout import EomMacdBreakoutEntry
from bot_runtime.entries.eom_pullback import EomPullbackEntry
from bot_runtime.entries.rsi_bb import RsiBbEntry
from bot_runtime.entries.rsi_bb_volume import RsiBbVolumeEntry
from bot_runtime.entries.rsi_ichimoku import RsiIchimokuEntry
from bot_runtime.entries.rsi_or_bb import RsiOrBbEntry
from bot_runtime.entries.rsi_volume_supertrend import RsiVolumeSupertrendEntry
from bot_runtime.exits.advanced_atr import AdvancedAtrExit
from bot_runtime.exits.atr import AtrExit
from bot_runtime.exits.base import ExitRule
from bot_runtime.exits.eom_breakdown import EomBreakdownExit
from bot_runtime.exits.eom_macd_breakdown import EomMacdBreakdownExit
from bot_runtime.exits.eom_rejection import EomRejectionExit
from bot_runtime.exits.fixed_ratio import FixedRatioExit
from bot_runtime.exits.ma_crossover import MaCrossoverExit
from bot_runtime.exits.multi_level_atr import MultiLevelAtrExit
from bot_runtime.exits.rsi_bb import RsiBbExit
from bot_runtime.exits.rsi_or_bb import RsiOrBbExit
from bot_runtime.exits.simple_atr import SimpleAtrExit
from bot_runtime.exits.time_based import TimeBasedExit
from bot_runtime.exits.trailing_stop import TrailingStopExit
from bot_runtime.strategies.base import Strategy
from bot_runtime.strategies.custom import CustomStrategy
from bot_runtime.strategies.model import build_model_strategy
from bot_runtime.strategies.plugged import plugin_entry, plugin_exit, plugin_strategy

_log = structlog.get_logger(__name__)

ENTRIES: Mapping[str, Callable[[RuleConfig], EntryRule]] = {
    RsiBbEntry.name: RsiBbEntry,
    RsiOrBbEntry.name: RsiOrBbEntry,
    RsiBbVolumeEntry.name: RsiBbVolumeEntry,
    RsiIchimokuEntry.name: RsiIchimokuEntry,
    RsiVolumeSupertrendEntry.name: RsiVolumeSupertrendEntry,
    BbVolumeSupertrendEntry.name: BbVolumeSupertrendEntry,
    EomBreakoutEntry.name: EomBreakoutEntry,
    EomMacdBreakoutEntry.name: EomMacdBreakoutEntry,
    EomPullbackEntry.name: EomPullbackEntry,
}
EXITS: Mapping[str, Callable[[RuleConfig], ExitRule]] = {
    AtrExit.name: AtrExit,
    AdvancedAtrExit.name: AdvancedAtrExit,
    SimpleAtrExit.name: SimpleAtrExit,
    MultiLevelAtrExit.name: MultiLevelAtrExit,
    TrailingStopExit.name: TrailingStopExit,
    FixedRatioExit.name: FixedRatioExit,
    TimeBasedExit.name: TimeBasedExit,
    MaCrossoverExit.name: MaCrossoverExit,
    RsiBbExit.name: RsiBbExit,
    RsiOrBbExit.name: RsiOrBbExit,
    EomBreakdownExit.name: EomBreakdownExit,
    EomMacdBreakdownExit.name: EomMacdBreakdownExit,
    EomRejectionExit.name: EomRejectionExit,
}


def build_strategy(config: StrategyConfig) -> Strategy:
    """Build a strategy without state. Raise InvalidBotError for a rule or a model that can't be used."""
    if config.unknown_type is not None:
        _log.error("strategy_type_unknown", type=config.unknown_type)
        _log.warning("strategy_fell_back", to=CUSTOM_STRATEGY, entry=config.entry.name, exit=config.exit.name)
    if config.model is not None:
        beside = None if config.exit.name == config.type else _exit(config.exit)
        return build_model_strategy(config.type, config.model, beside)
    if config.type != CUSTOM_STRATEGY:
        return plugin_strategy(config.entry)
    return CustomStrategy(_entry(config.entry), _exit(config.exit))


def _entry(config: RuleConfig) -> EntryRule:
    built_in = ENTRIES.get(config.name)
    return plugin_entry(config) if built_in is None else built_in(config)


def _exit(config: RuleConfig) -> ExitRule:
    built_in = EXITS.get(config.name)
    return plugin_exit(config) if built_in is None else built_in(config)


def build_sizing(config: StrategyConfig) -> Sizing:
    """Build the sizing of a strategy: eight decimals of a coin, whole shares."""
    match config.asset_type:
        case AssetType.CRYPTO:
            step = CENT8
        case AssetType.STOCK:
            step = Decimal(1)
        case _:
            assert_never(config.asset_type)
    return Sizing(config.fraction, step)
