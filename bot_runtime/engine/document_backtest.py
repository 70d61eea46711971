"""A backtest of a whole document: its rules, its sizes, its limits and its simulated venue, as its bot would trade."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

from bot_core.models.config import BotConfig
from bot_runtime.brokers.paper import simulation_of
from bot_runtime.domain.bar import Bar
from bot_runtime.engine.backtest import BacktestResult, run_backtest
from bot_runtime.feeds.intervals import interval_seconds
from bot_runtime.risk.guard import RiskGuard
from bot_runtime.strategies.registry import build_sizing, build_strategy


def backtest_document(
    config: BotConfig,
    bars: Sequence[Bar],
    *,
    cash: Decimal | None = None,
    commission: Decimal | None = None,
    slippage_bps: Decimal | None = None,
    progress: Callable[[int], None] | None = None,
) -> BacktestResult:
    """Run a document over bars in ascending order; what is given here replaces what the document says.

    Raise InvalidBotError for a rule or a model that can't be built, ValueError for bars out of order.
    """
    simulation = simulation_of(config.broker.simulation)
    if slippage_bps is not None:
        simulation = replace(simulation, slippage_bps=slippage_bps)
    opening = config.broker.cash if cash is None else cash
    return run_backtest(
        build_strategy(config.strategy),
        bars,
        position_size=build_sizing(config.strategy),
        cash=opening,
        commission=config.broker.commission if commission is None else commission,
        simulation=simulation,
        guard=RiskGuard(config.risk_management, config.trading, config.scheduling, opening),
        limit_entries=config.trading.order_type == "limit",
        interval_seconds=interval_seconds(config.data.interval),
        progress=progress,
    )
