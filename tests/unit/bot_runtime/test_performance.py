from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import sqrt

import numpy as np
import pytest

from bot_runtime.domain.position import Direction
from bot_runtime.domain.trade import Trade
from bot_runtime.engine.backtest import run_backtest
from bot_runtime.engine.equity import Equity, Holding, equity_of
from bot_runtime.engine.performance import summarize
from bot_runtime.strategies.registry import build_sizing, build_strategy
from support.bars import CASH, COMMISSION, START, made_up_bars, strategy_config

DAY = timedelta(days=1)


def equity(values, *, step=DAY, held=None, first_bar=0, start=START):
    times = [int((start + index * step).timestamp() * 1000) for index in range(len(values))]
    return Equity(
        np.array(times, dtype=np.int64),
        np.linspace(10, 20, len(values)) if values else np.empty(0),
        np.array(values, dtype=np.float64),
        np.array(held if held is not None else [False] * len(values), dtype=bool),
        first_bar,
    )


def a_trade(net, *, at=START, hours=1, commission="0", price="100", size="1"):
    gross_per_unit = (Decimal(net) + Decimal(commission)) / Decimal(size)
    return Trade(
        direction=Direction.LONG,
        size=Decimal(size),
        signal_time=at,
        entry_time=at,
        entry_price=Decimal(price),
        entry_reason="in",
        exit_time=at + timedelta(hours=hours),
        exit_price=Decimal(price) + gross_per_unit,
        exit_reason="out",
        commission=Decimal(commission),
    )


def summary(trades, curve, cash="100", **more):
    return summarize(trades, curve, opening_cash=Decimal(cash), **more)


def test_trades_worked_out_by_hand():
    trades = [a_trade("30", hours=2, commission="1"), a_trade("-10", hours=4, commission="2"), a_trade("0", hours=6)]
    seen = summary(trades, equity([100.0, 120.0]), open_commission=Decimal("0.5"))
    assert (seen.trades, seen.wins, seen.losses) == (3, 1, 1)
    assert seen.win_rate_percent == pytest.approx(100 / 3)
    assert seen.profit_factor == 3.0
    assert seen.net_pnl == 20
    assert seen.commission == Decimal("3.5")
    assert seen.average_holding == timedelta(hours=4)
    assert (seen.best, seen.worst) == (trades[0], trades[1])


def test_best_and_worst_go_by_the_return_on_what_was_bought():
    large, small = a_trade("30", price="1000", size="2"), a_trade("5", price="10")
    seen = summary([large, small], equity([100.0]))
    assert (seen.best, seen.worst) == (small, large)
    assert seen.to_json()["best"]["return_percent"] == pytest.approx(50.0)
    assert seen.to_json()["worst"]["return_percent"] == pytest.approx(1.5)


def test_no_trades_leave_undefined_what_needs_trades():
    seen = summary([], equity([100.0] * 5))
    assert (seen.win_rate_percent, seen.profit_factor, seen.average_holding, seen.best, seen.worst) == (None,) * 5
    assert (seen.trades, seen.commission, seen.total_return_percent, seen.exposure_percent) == (0, 0, 0.0, 0.0)
    assert (seen.max_drawdown, seen.sharpe_daily_365) == (None, None)


def test_without_a_loss_there_is_no_profit_factor():
    seen = summary([a_trade("1"), a_trade("2")], equity([101.0, 103.0]))
    assert (seen.win_rate_percent, seen.profit_factor, seen.losses) == (100.0, None, 0)


def test_drawdown_goes_from_the_last_bar_at_the_peak_to_its_recovery():
    drawdown = summary([], equity([100, 110, 110, 99, 105, 110, 90])).max_drawdown
    assert drawdown is not None
    assert drawdown.percent == pytest.approx(100 * 20 / 110)
    assert (drawdown.peak, drawdown.trough, drawdown.end) == (START + 5 * DAY, START + 6 * DAY, START + 6 * DAY)
    assert not drawdown.recovered
    recovered = summary([], equity([100, 110, 110, 99, 105, 110, 109])).max_drawdown
    assert recovered is not None
    assert recovered.percent == pytest.approx(10.0)
    assert (recovered.peak, recovered.trough, recovered.end) == (START + 2 * DAY, START + 3 * DAY, START + 5 * DAY)
    assert recovered.recovered
    assert recovered.duration == 3 * DAY


def test_a_fall_below_the_opening_cash_on_the_first_bar_is_a_drawdown():
    drawdown = summary([], equity([80.0])).max_drawdown
    assert drawdown is not None
    assert (drawdown.percent, drawdown.peak, drawdown.duration) == (pytest.approx(20.0), START, timedelta())


def test_sharpe_ratio_of_three_days_worked_out_by_hand():
    # Returns 1 %, 3 %, -1 %: mean 1 %, deviation (n - 1) 2 %.
    values = [101.0, 101.0 * 1.03, 101.0 * 1.03 * 0.99]
    assert summary([], equity(values)).sharpe_daily_365 == pytest.approx(0.5 * sqrt(365))


def test_only_the_last_bar_of_a_day_counts_for_the_sharpe_ratio():
    values = [500.0, 101.0, 7.0, 101.0 * 1.03, 900.0, 101.0 * 1.03 * 0.99]
    assert summary([], equity(values, step=DAY / 2)).sharpe_daily_365 == pytest.approx(0.5 * sqrt(365))


def test_days_without_bars_return_nothing_and_count():
    # Returns 2 %, 0, 1 %: mean 1 %, deviation 1 %.
    values = [102.0, 102.0 * 1.01]
    assert summary([], equity(values, step=2 * DAY)).sharpe_daily_365 == pytest.approx(sqrt(365))


def test_equal_returns_have_no_sharpe_ratio():
    assert summary([], equity([100 * 1.01 ** (day + 1) for day in range(50)])).sharpe_daily_365 is None
    assert summary([], equity([101.0])).sharpe_daily_365 is None
    assert summary([], equity([50.0, 0.0, 0.0])).sharpe_daily_365 is None


def test_returns_of_less_than_a_year_are_not_annualised():
    assert summary([], equity([100.0] * 364 + [150.0])).cagr_percent is None
    assert summary([], equity([100.0] * 365 + [150.0])).cagr_percent == pytest.approx(50.0)
    assert summary([], equity([100.0] * 730 + [121.0])).cagr_percent == pytest.approx(10.0)
    assert summary([], equity([100.0] * 730 + [-1.0])).cagr_percent is None


def test_exposure_is_of_the_bars_that_were_evaluated():
    held = [False, False, True, True, True, False]
    assert summary([], equity([100.0] * 6, held=held, first_bar=2)).exposure_percent == 75.0
    short = summary([], equity([100.0] * 6, first_bar=9))
    assert (short.exposure_percent, short.evaluated_bars) == (None, 0)


@pytest.mark.parametrize(("values", "cash"), [([], "100"), ([100.0], "100"), ([0.0, 0.0], "0")])
def test_little_data_and_no_cash_make_a_summary_that_is_json(values, cash):
    seen = summary([], equity(values), cash=cash).to_json()
    assert seen["bars"] == len(values)
    assert seen["final_value"] == (values[-1] if values else 100.0)
    assert seen["total_return_percent"] == (None if cash == "0" else 0.0)


def test_json_has_plain_times_and_seconds():
    seen = summary([a_trade("1", hours=2)], equity([100.0, 90.0])).to_json()
    assert seen["average_holding"] == 7200.0
    assert seen["first_time"] == "2024-01-01T00:00:00Z"
    assert seen["max_drawdown"] == {
        "percent": pytest.approx(10.0),
        "peak": "2024-01-01T00:00:00Z",
        "trough": "2024-01-02T00:00:00Z",
        "end": "2024-01-02T00:00:00Z",
        "recovered": False,
        "duration": 86400.0,
    }


def test_equity_is_cash_plus_position_at_each_close():
    time = np.arange(5, dtype=np.int64)
    close = np.array([10.0, 11.0, 12.0, 13.0, 14.0])
    curve = equity_of(time, close, [Holding(0, 100.0, 0.0), Holding(2, 50.0, 4.0), Holding(4, 101.0, 0.0)], 1)
    assert curve.value.tolist() == [100.0, 100.0, 98.0, 102.0, 101.0]
    assert curve.held.tolist() == [False, False, True, True, False]


def test_the_curve_of_a_run_agrees_with_its_trades():
    config = strategy_config()
    bars = made_up_bars(900, seed=3)
    result = run_backtest(
        build_strategy(config), bars, position_size=build_sizing(config), cash=CASH, commission=COMMISSION
    )
    at = {bar.time: index for index, bar in enumerate(bars)}
    held = [False] * len(bars)
    for trade in result.trades:
        for index in range(at[trade.entry_time], at[trade.exit_time]):
            held[index] = True
    if result.open_position is not None:
        held[at[result.open_position.entry_time] :] = [True] * (len(bars) - at[result.open_position.entry_time])
    assert result.equity.held.tolist() == held
    assert result.equity.value[-1] == pytest.approx(float(result.final_value), abs=1e-7)
    assert result.summary.net_pnl == sum(trade.net_pnl for trade in result.trades)
    first = at[result.trades[0].entry_time]
    assert (result.equity.value[:first] == float(CASH)).all()


def test_progress_tells_how_many_bars_are_done():
    config, told = strategy_config(), []
    bars = made_up_bars(20_000)
    run_backtest(
        build_strategy(config),
        bars,
        position_size=Decimal("0.1"),
        cash=CASH,
        commission=COMMISSION,
        progress=told.append,
    )
    assert told == sorted(told)
    assert len(told) > 1
    assert told[-1] == len(bars)


def test_bars_out_of_order_are_refused_with_both_times():
    bars = made_up_bars(3)
    with pytest.raises(ValueError, match=r"bar of 2024-01-01 00:05:00.* not after the bar before, of 2024-01-01 00:10"):
        run_backtest(
            build_strategy(strategy_config()),
            [bars[0], bars[2], bars[1]],
            position_size=Decimal("0.1"),
            cash=CASH,
            commission=COMMISSION,
        )


def test_open_position_at_the_end_counts_in_value_exposure_and_commission():
    config = strategy_config()
    bars = made_up_bars(900, seed=3)
    whole = run_backtest(
        build_strategy(config), bars, position_size=build_sizing(config), cash=CASH, commission=COMMISSION
    )
    count = next(index for index, bar in enumerate(bars) if bar.time == whole.trades[0].entry_time) + 1
    cut = run_backtest(
        build_strategy(config), bars[:count], position_size=build_sizing(config), cash=CASH, commission=COMMISSION
    )
    assert cut.open_position is not None
    assert (cut.summary.trades, cut.summary.commission) == (0, cut.open_position.entry_commission)
    assert cut.summary.exposure_percent == pytest.approx(100 / cut.summary.evaluated_bars)
    assert cut.summary.to_json()["last_time"] == bars[count - 1].time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def test_a_midnight_bar_belongs_to_the_day_that_it_opens():
    start = datetime(2024, 1, 1, 12, tzinfo=UTC)
    # Noon of the 1st, midnight and noon of the 2nd: two daily returns, 1 % and 3 %.
    seen = summary([], equity([101.0, 55.0, 101.0 * 1.03], step=DAY / 2, start=start))
    assert seen.sharpe_daily_365 == pytest.approx(0.02 / (0.01 * sqrt(2)) * sqrt(365))
