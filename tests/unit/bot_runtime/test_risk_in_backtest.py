from collections import Counter, defaultdict
from decimal import Decimal
from typing import Any

import pytest

from bot_core.models.operation import SchedulingConfig
from bot_core.models.risk import RiskConfig, TradingConfig
from bot_runtime.domain.trade import Trade
from bot_runtime.engine.backtest import run_backtest
from bot_runtime.risk.guard import RiskGuard
from bot_runtime.strategies.registry import build_sizing, build_strategy
from support.bars import CASH, COMMISSION, made_up_bars, strategy_config

STRATEGY = strategy_config(
    "RSIOrBBEntryMixin",
    "TimeBasedExitMixin",
    {"rsi_period": 5, "bb_period": 8, "cooldown_bars": 1, "rsi_oversold": 45},
    {"max_bars": 12},
    position_size=0.5,
)
BARS = made_up_bars(4000)


def trades_with(
    risk: dict[str, Any] | None = None,
    trading: dict[str, Any] | None = None,
    scheduling: dict[str, Any] | None = None,
) -> tuple[Trade, ...]:
    guard = RiskGuard(
        RiskConfig.model_validate(risk or {}),
        TradingConfig.model_validate(trading or {}),
        SchedulingConfig.model_validate(scheduling or {}),
        CASH,
    )
    return run_backtest(
        build_strategy(STRATEGY),
        BARS,
        position_size=build_sizing(STRATEGY),
        cash=CASH,
        commission=COMMISSION,
        guard=guard,
    ).trades


@pytest.fixture(scope="module")
def unlimited() -> tuple[Trade, ...]:
    return trades_with()


def test_a_document_without_limits_trades_as_if_there_were_no_guard(unlimited: tuple[Trade, ...]) -> None:
    alone = run_backtest(
        build_strategy(STRATEGY), BARS, position_size=build_sizing(STRATEGY), cash=CASH, commission=COMMISSION
    )
    assert alone.trades == unlimited
    assert len(unlimited) > 50


def test_stops_and_targets_end_trades_near_their_prices() -> None:
    trades = trades_with({"stop_loss_pct": 0.5, "take_profit_pct": 0.8})
    reasons = Counter(trade.exit_reason for trade in trades)
    assert reasons["stop_loss"] > 3
    assert reasons["take_profit"] > 3
    for trade in trades:
        moved = trade.exit_price / trade.entry_price - 1
        assert trade.exit_reason != "stop_loss" or moved < Decimal("-0.004")
        assert trade.exit_reason != "take_profit" or moved > Decimal("0.006")


def test_a_trailing_stop_ends_trades_below_their_highest_close() -> None:
    trades = trades_with({"trailing_stop": True, "trailing_stop_pct": 0.4, "trailing_stop_activation_pct": 0.3})
    trailed = [trade for trade in trades if trade.exit_reason == "trailing_stop"]
    assert len(trailed) > 3
    for trade in trailed:
        highest = max(bar.close for bar in BARS if trade.entry_time <= bar.time < trade.exit_time)
        assert float(trade.entry_price) * 1.003 <= highest
        assert float(trade.exit_price) < highest


def test_no_day_has_more_entries_or_goes_on_after_more_loss_than_is_allowed(unlimited: tuple[Trade, ...]) -> None:
    by_day = Counter(trade.entry_time.date() for trade in unlimited)
    assert max(by_day.values()) > 3
    limited = Counter(trade.entry_time.date() for trade in trades_with({"max_daily_trades": 3}))
    assert max(limited.values()) == 3
    lost: dict[Any, Decimal] = defaultdict(Decimal)
    trades = trades_with({"max_daily_loss": 30})
    for trade in trades:
        day = trade.signal_time.date()
        assert lost[day] > -30, trade
        lost[trade.exit_time.date()] += trade.net_pnl
    assert min(lost.values()) <= -30
    assert len(trades) < len(unlimited)


@pytest.mark.parametrize(
    ("risk", "trading", "most"),
    [
        ({"max_position_size": 800}, {}, Decimal(800)),
        ({}, {"max_exposure": 0.1}, CASH / 10),
        ({"max_portfolio_risk": 0.001, "stop_loss_pct": 2}, {}, CASH / 20),
    ],
)
def test_no_entry_is_worth_more_than_is_allowed(risk: dict[str, Any], trading: dict[str, Any], most: Decimal) -> None:
    values = [trade.size * trade.entry_price for trade in trades_with(risk, trading)]
    assert max(values) <= most * Decimal("1.02")  # it fills at the next open
    assert max(values) >= most * Decimal("0.9")


def test_a_drawdown_ends_all_entries(unlimited: tuple[Trade, ...]) -> None:
    equity = peak = CASH
    expected = []
    for trade in unlimited:
        expected.append(trade)
        equity += trade.net_pnl
        peak = max(peak, equity)
        if (peak - equity) / peak * 100 >= 1:
            break
    assert len(expected) < len(unlimited)
    assert trades_with({}, {"max_drawdown_pct": 1}) == tuple(expected)


def test_entries_keep_to_the_hours_and_exits_do_not() -> None:
    trades = trades_with(scheduling={"enabled": True, "start_time": "09:00", "end_time": "10:00"})
    assert trades
    assert {trade.signal_time.hour for trade in trades} == {9}
    assert {trade.exit_time.hour for trade in trades} - {9}
