import pytest

from bot_runtime.exits.reason import with_numbers
from bot_runtime.strategies.registry import EXITS
from support.bars import strategy_config
from support.views import NAN, FakeView, a_position


def exit_rule(name, **params):
    config = strategy_config(exit_=name, exit_params=params)
    return EXITS[name](config.exit)


@pytest.mark.parametrize(
    ("values", "signals"),
    [
        ({"rsi": (69, 70), "upper": (110, 105), "close": (109, 105)}, True),
        ({"rsi": (70, 71), "upper": (110, 105), "close": (109, 105)}, False),
        ({"rsi": (69, 69.9), "upper": (110, 105), "close": (109, 105)}, False),
        ({"rsi": (69, 70), "upper": (110, 105), "close": (110, 105)}, False),
        ({"rsi": (69, 70), "upper": (110, 105), "close": (109, 104)}, False),
        ({"rsi": (69, NAN), "upper": (110, NAN), "close": (109, 105)}, False),
    ],
)
def test_rsi_bb_exit(values, signals):
    reason = exit_rule("RSIBBExitMixin").evaluate(FakeView(**values), a_position())
    assert reason == ("rsi_bb_cross_exit" if signals else None)


def test_atr_exit_trails_the_highest_high_by_the_atr_of_the_signal_bar():
    rule = exit_rule("ATRExitMixin")
    rule.opened(a_position("100"), rule.at_signal(FakeView(atr=2.0)))
    assert rule.evaluate(FakeView(high=101, close=98, atr=50), a_position()) is None
    assert rule.evaluate(FakeView(high=106, close=103, atr=50), a_position()) is None
    assert rule.evaluate(FakeView(high=103, close=102.5, atr=50), a_position()) is None
    assert rule.evaluate(FakeView(high=103, close=102, atr=50), a_position()) == "stop_loss"


def test_atr_exit_falls_back_to_the_current_atr_and_waits_while_there_is_none():
    rule = exit_rule("ATRExitMixin", x_sl_multiplier=1)
    rule.opened(a_position("100"), rule.at_signal(FakeView()))
    assert rule.evaluate(FakeView(high=100, close=1), a_position()) is None
    assert rule.evaluate(FakeView(high=100, close=98.9, atr=1.0), a_position()) == "stop_loss"


def test_atr_exit_of_an_adopted_position_begins_at_its_entry_price():
    rule = exit_rule("ATRExitMixin")
    assert rule.evaluate(FakeView(high=90, close=95, atr=2.0), a_position("100")) == "stop_loss"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"rsi": (69, 70), "upper": (110, 105), "close": (109, 105)}, "rsi_or_bb_rsi_cross_bb_cross"),
        ({"rsi": (69, 70), "upper": 110, "close": 100}, "rsi_or_bb_rsi_cross"),
        ({"rsi": 50, "upper": (110, 105), "close": (109, 105)}, "rsi_or_bb_bb_cross"),
        ({"rsi": 50, "upper": 110, "close": 100}, None),
        ({"rsi": (69, NAN), "upper": (110, NAN), "close": (109, 105)}, None),
        ({}, None),
    ],
)
def test_rsi_or_bb_exit_names_what_crossed(values, reason):
    assert exit_rule("RSIOrBBExitMixin").evaluate(FakeView(**values), a_position()) == reason


BREAKDOWN = {
    "support": (NAN, 95), "close": 94.5, "eom": (-5, -3), "volume": 15e6, "sma": 10e6, "atr": (3, 2.5),
}  # fmt: skip
REJECTION = {
    "resistance": 100, "high": 100.5, "open": 100.2, "close": 99.5, "eom": (-0.5, 0.5), "rsi": (65, 68),
}  # fmt: skip
MACD_BREAKDOWN = {
    "support": (NAN, 95), "close": 94.5, "macd": (-0.5, -0.2), "signal": (-0.3, -0.4), "hist": (-0.2, -0.1), "eom": -2,
    "volume": 12e6, "sma": 10e6,
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("EOMBreakdownExitMixin", BREAKDOWN, "breakdown_momentum: close=94.5, support=95, eom=-5, volume=1.5e+07, "),
        ("EOMRejectionExitMixin", REJECTION, "resistance_rejection: high=100.5, close=99.5, resistance=100, eom=-0.5"),
        ("EOMMAcdBreakdownExitMixin", MACD_BREAKDOWN, "macd_breakdown: close=94.5, support=95, macd=-0.5, signal=-0.3"),
    ],
)
def test_an_exit_by_momentum_says_its_numbers_and_waits_while_anything_is_undefined(name, values, reason):
    rule = exit_rule(name)
    given = rule.evaluate(FakeView(**values), a_position())
    assert given.startswith(reason)
    assert len(given) <= 100
    for output in values:
        assert rule.evaluate(FakeView(**{**values, output: NAN}), a_position()) is None


def test_a_reason_leaves_out_numbers_for_which_the_column_has_no_room():
    long = with_numbers("x" * 90, first=1.0, second=2.0)
    assert long == f"{'x' * 90}: first=1"


@pytest.mark.parametrize(
    ("name", "params", "values", "changes"),
    [
        ("EOMBreakdownExitMixin", {}, BREAKDOWN, {"close": 96}),
        ("EOMBreakdownExitMixin", {}, BREAKDOWN, {"eom": 2}),
        ("EOMBreakdownExitMixin", {}, BREAKDOWN, {"eom": (-3, -3)}),
        ("EOMBreakdownExitMixin", {}, BREAKDOWN, {"volume": 5e6}),
        ("EOMBreakdownExitMixin", {}, BREAKDOWN, {"atr": (2.5, 2.5)}),
        ("EOMBreakdownExitMixin", {"breakdown_threshold": 0.006}, BREAKDOWN, {}),
        ("EOMRejectionExitMixin", {}, REJECTION, {"high": 98.8}),
        ("EOMRejectionExitMixin", {}, REJECTION, {"eom": 1}),
        ("EOMRejectionExitMixin", {}, REJECTION, {"rsi": (65, 64)}),
        ("EOMRejectionExitMixin", {}, REJECTION, {"rsi": (60, 68)}),
        ("EOMRejectionExitMixin", {}, REJECTION, {"open": 99.5}),
        ("EOMMAcdBreakdownExitMixin", {}, MACD_BREAKDOWN, {"close": 96}),
        ("EOMMAcdBreakdownExitMixin", {}, MACD_BREAKDOWN, {"eom": 1}),
        ("EOMMAcdBreakdownExitMixin", {}, MACD_BREAKDOWN, {"macd": 0.5}),
        ("EOMMAcdBreakdownExitMixin", {}, MACD_BREAKDOWN, {"hist": -0.1}),
        ("EOMMAcdBreakdownExitMixin", {}, MACD_BREAKDOWN, {"volume": 10e6}),
    ],
)
def test_an_exit_by_momentum_stays_when_one_condition_fails(name, params, values, changes):
    assert exit_rule(name, **params).evaluate(FakeView(**{**values, **changes}), a_position()) is None


@pytest.mark.parametrize(
    ("params", "close", "reason"),
    [
        ({}, 110, "take_profit"),
        ({}, 109.9, None),
        ({}, 95, "stop_loss"),
        ({}, 95.1, None),
        ({"take_profit": 0}, 100, "take_profit"),
        ({"stop_loss": 0}, 100, "stop_loss"),
        ({"x_take_profit_pct": 5}, 105, "take_profit"),
        ({}, NAN, None),
    ],
)
def test_fixed_ratio_exit(params, close, reason):
    assert exit_rule("FixedRatioExitMixin", **params).evaluate(FakeView(close=close), a_position()) == reason


@pytest.mark.parametrize(("kind", "output"), [("SMA", "sma"), ("ema", "ema")])
def test_ma_crossover_exit_sells_on_the_bar_of_the_crossing_only(kind, output):
    rule = exit_rule("MACrossoverExitMixin", x_ma_type=kind, x_ma_fast=3, x_ma_slow=9)
    seen = [((2, 1), (1, 2)), ((1, 2), (2, 1)), ((1, 1), (2, 1)), ((1, 2), (1, 1)), ((1, NAN), (2, NAN))]
    reasons = [
        rule.evaluate(FakeView(**{f"{output}_3": fast, f"{output}_9": slow}), a_position()) for fast, slow in seen
    ]
    assert reasons == [None, f"{output}_crossover", None, None, None]


def test_time_based_exit_counts_bars_from_the_signal_and_goes_on_after_a_restart():
    rule = exit_rule("TimeBasedExitMixin", max_bars=3)
    rule.opened(a_position(), {})
    assert rule.evaluate(FakeView(minute=1), a_position()) is None
    restarted = exit_rule("TimeBasedExitMixin", max_bars=3)
    restarted.load_state(rule.dump_state())
    assert restarted.evaluate(FakeView(minute=2), a_position()) is None
    assert restarted.evaluate(FakeView(minute=3), a_position()) == "time_limit_bars"


def test_time_based_exit_of_an_adopted_position_knows_its_age():
    assert exit_rule("TimeBasedExitMixin").evaluate(FakeView(minute=20), a_position()) == "time_limit_bars"


def test_time_based_exit_counts_minutes_from_the_fill():
    rule = exit_rule("TimeBasedExitMixin", use_time=True, max_minutes=45, max_bars=1)
    assert rule.evaluate(FakeView(minute=44), a_position()) is None
    assert rule.evaluate(FakeView(minute=45), a_position()) == "time_limit_minutes"


def test_trailing_stop_trails_the_highest_close_of_this_trade():
    rule = exit_rule("TrailingStopExitMixin", trail_pct=0.02)
    rule.opened(a_position("100"), {})
    assert rule.evaluate(FakeView(close=97, high=200), a_position()) is None
    assert rule.evaluate(FakeView(close=150), a_position()) is None
    assert rule.evaluate(FakeView(close=147), a_position()) is None
    assert rule.evaluate(FakeView(close=146.9), a_position()) == "trailing_stop"
    rule.closed()
    assert rule.evaluate(FakeView(close=100), a_position()) is None


def test_trailing_stop_waits_for_its_activation_and_may_be_measured_in_atr():
    rule = exit_rule("TrailingStopExitMixin", use_atr=True, atr_multiplier=2, activation_pct=0.05)
    rule.opened(a_position("100"), {})
    assert rule.evaluate(FakeView(close=110, atr=1), a_position()) is None
    assert rule.evaluate(FakeView(close=104.9, atr=1), a_position()) is None
    assert rule.evaluate(FakeView(close=107, atr=NAN), a_position()) is None
    assert rule.evaluate(FakeView(close=108, atr=1), a_position()) is None
    assert rule.evaluate(FakeView(close=107.9, atr=1), a_position()) == "trailing_stop"


def test_simple_atr_break_even_never_lowers_a_higher_stop():
    rule = exit_rule("SimpleATRExitMixin", atr_multiplier=2, breakeven_atr=8)
    rule.opened(a_position("100"), rule.at_signal(FakeView(atr=2.0)))
    assert rule.dump_state() == {"stop": 96.0}
    assert rule.evaluate(FakeView(close=115, atr=2), a_position()) is None
    assert rule.evaluate(FakeView(close=116, atr=2), a_position()) is None
    assert rule.dump_state() == {"stop": 112.0}
    assert rule.evaluate(FakeView(close=112, atr=9), a_position()) == "atr_trailing_stop"


@pytest.mark.parametrize(("use_breakeven", "reason"), [(True, "atr_trailing_stop"), (False, None)])
def test_simple_atr_break_even_brings_the_stop_to_the_entry_price(use_breakeven, reason):
    rule = exit_rule("SimpleATRExitMixin", x_use_breakeven=use_breakeven)
    rule.opened(a_position("100"), {"atr": 2.0})
    assert rule.evaluate(FakeView(close=102, atr=2), a_position()) is None
    assert rule.evaluate(FakeView(close=100, atr=2), a_position()) == reason


def test_advanced_atr_meets_the_stop_of_the_bar_before_and_then_tightens_in_steps():
    rule = exit_rule("AdvancedATRExitMixin", k_init=2.5, k_run=2.0, k_phase2=1.0)
    rule.opened(a_position("100"), rule.at_signal(FakeView(atr_7=1.0, atr_21=2.0)))
    assert rule.dump_state()["stop"] == 95.0
    assert rule.evaluate(FakeView(high=106, low=95.5, close=105, atr=2), a_position()) is None
    assert rule.dump_state()["stop"] == 102.0
    assert rule.evaluate(FakeView(high=112, low=103, close=111, atr=2), a_position()) is None
    assert rule.dump_state()["stop"] == 110.0
    assert rule.evaluate(FakeView(high=111, low=110, close=111, atr=2), a_position()) == "stop_hit"
    rule.closed()
    assert rule.dump_state() is None


def test_advanced_atr_moves_its_stop_on_the_first_bar_and_then_only_so_often():
    rule = exit_rule("AdvancedATRExitMixin", max_trail_freq=3, anchor="close", k_init=1)
    rule.opened(a_position("100"), {"atr": 10.0})
    stops = []
    for close in (101, 102, 103, 104):
        rule.evaluate(FakeView(high=200, low=close, close=close, atr=10), a_position())
        stops.append(rule.dump_state()["stop"])
    assert stops == [91.0, 91.0, 91.0, 94.0]


def test_advanced_atr_waits_while_an_atr_is_undefined_and_has_a_floor():
    rule = exit_rule("AdvancedATRExitMixin", k_init=1, atr_floor=5)
    rule.opened(a_position("100"), rule.at_signal(FakeView(atr_7=1.0)))
    assert rule.evaluate(FakeView(high=100, low=1, close=100, atr_7=1.0), a_position()) is None
    assert rule.evaluate(FakeView(high=100, low=1, close=100, atr=1.0), a_position()) is None
    assert rule.evaluate(FakeView(high=100, low=95, close=100, atr=1.0), a_position()) == "stop_hit"


def test_multi_level_atr_takes_the_highest_of_its_stops():
    rule = exit_rule("MultiLevelAtrExitMixin", htf_atr_period=5, ltf_atr_period=6, micro_atr_period=7)
    atr = {"atr_5": 1.0, "atr_6": 4.0, "atr_7": 10.0}
    rule.opened(a_position("100"), rule.at_signal(FakeView(**atr)))
    assert rule.dump_state()["stop"] == 97.5
    assert rule.evaluate(FakeView(high=101, close=97.5, **atr), a_position()) is None
    assert rule.evaluate(FakeView(high=110, close=104, **atr), a_position()) is None
    assert rule.dump_state()["stop"] == 103.0
    assert rule.evaluate(FakeView(high=110, close=102.9, **atr), a_position()) == "multi_tf_atr_stop"


def test_multi_level_atr_widens_with_the_ratio_of_the_atr_to_its_average():
    rule = exit_rule("MultiLevelAtrExitMixin", use_dynamic_k=True)
    rule.opened(a_position("100"), rule.at_signal(FakeView(atr=2.0, average=1.0)))
    assert rule.dump_state()["stop"] == 90.0
    assert rule.evaluate(FakeView(high=100, close=91, atr=2.0), a_position()) is None
    assert rule.evaluate(FakeView(high=100, close=91, atr=2.0, average=1.0), a_position()) == "multi_tf_atr_stop"


@pytest.mark.parametrize("name", EXITS)
def test_every_exit_rule_forgets_a_trade_and_judges_an_adopted_position(name):
    rule = exit_rule(name)
    plain = {"open": 100, "high": 101, "low": 99, "close": 100, "volume": 1, "atr": 2, "rsi": 50}
    rule.evaluate(FakeView(**plain), a_position())
    rule.closed()
    assert rule.dump_state() == exit_rule(name).dump_state()
    rule.opened(a_position(), rule.at_signal(FakeView()))
    assert rule.evaluate(FakeView(), a_position()) is None


def test_atr_exit_forgets_everything_when_flat():
    rule = exit_rule("ATRExitMixin")
    rule.opened(a_position("100"), {"atr": 2.0})
    rule.evaluate(FakeView(high=200, close=199), a_position())
    rule.closed()
    assert rule.dump_state() is None
