import pytest

from bot_runtime.strategies.registry import ENTRIES
from support.bars import strategy_config
from support.views import NAN, FakeView


def entry_rule(name, **params):
    config = strategy_config(name, entry_params=params)
    return ENTRIES[name](config.entry)


@pytest.mark.parametrize(
    ("params", "values", "signals"),
    [
        ({}, {"rsi": (25, 28), "lower": 85, "close": 100}, True),
        ({}, {"rsi": 50, "lower": 105, "close": 100}, True),
        ({}, {"rsi": 50, "lower": 85, "close": 100}, False),
        ({}, {"rsi": 30, "lower": 85, "close": 100}, True),
        ({}, {"rsi": 50, "lower": 100, "close": 100}, True),
        ({"use_bb_touch": False}, {"rsi": 50, "lower": 100, "close": 100}, False),
        ({"rsi_oversold": 0}, {"rsi": 25, "lower": 85, "close": 100}, False),
        ({"rsi_cross": True}, {"rsi": (31, 30), "lower": 85, "close": 100}, True),
        ({"rsi_cross": True}, {"rsi": (25, 28), "lower": 85, "close": 100}, False),
        ({"rsi_cross": True}, {"rsi": (31, 30.5), "lower": 85, "close": 100}, False),
        ({"bb_reentry": True}, {"rsi": 50, "lower": (99, 98), "close": (100, 98)}, True),
        ({"bb_reentry": True}, {"rsi": 50, "lower": (99, 98), "close": (100, 98.5)}, False),
        ({"bb_reentry": True}, {"rsi": 50, "lower": (100, 98), "close": (100, 97)}, False),
        ({}, {"close": 100}, False),
        ({"rsi_cross": True, "bb_reentry": True}, {"rsi": (31, NAN), "lower": (99, NAN), "close": (100, NAN)}, False),
    ],
)
def test_rsi_or_bb_entry(params, values, signals):
    reason = entry_rule("RSIOrBBEntryMixin", **params).evaluate(FakeView(**values))
    assert reason == ("RSIOrBBEntryMixin signal" if signals else None)


@pytest.mark.parametrize(
    ("params", "values", "signals"),
    [
        ({}, {"rsi": 25, "lower": 102, "sma": 1000, "close": 100, "volume": 1200}, True),
        ({}, {"rsi": 25, "lower": 102, "sma": 2000, "close": 100, "volume": 1200}, False),
        ({}, {"rsi": 31, "lower": 102, "sma": 1000, "close": 100, "volume": 1200}, False),
        ({}, {"rsi": 25, "lower": 99, "sma": 1000, "close": 100, "volume": 1200}, False),
        ({}, {"rsi": 25, "lower": 100, "sma": 1000, "close": 100, "volume": 1200}, True),
        ({"e_use_bb_touch": False}, {"rsi": 25, "lower": 100, "sma": 1000, "close": 100, "volume": 1200}, False),
        ({"min_volume_ratio": 1.2}, {"rsi": 25, "lower": 102, "sma": 1000, "close": 100, "volume": 1200}, False),
        ({"oversold": 20}, {"rsi": 25, "lower": 102, "sma": 1000, "close": 100, "volume": 1200}, False),
        ({}, {"close": 100, "volume": 1200}, False),
    ],
)
def test_rsi_bb_volume_entry(params, values, signals):
    reason = entry_rule("RSIBBVolumeEntryMixin", **params).evaluate(FakeView(**values))
    assert reason == ("RSIBBVolumeEntryMixin signal" if signals else None)


OVERSOLD_AT_BAND = {"rsi": (25, 28), "lower": 102, "close": 100}
ICHIMOKU = {"rsi": 25, "tenkan": (99, 96), "span_a": 75, "span_b": 80, "close": (100, 95)}
IN_TREND = {"rsi": 25, "sma": 1000, "volume": 3000, "direction": 1}
AT_BAND_IN_TREND = {"lower": 102, "close": 100, "sma": 1000, "volume": 2000, "direction": 1}
BREAKOUT = {
    "resistance": (NAN, 98), "close": 98 * 1.002 + 0.5, "eom": (0.5, 0.3), "sma": 1000, "volume": 1500, "rsi": 50,
}  # fmt: skip
FILTERED_BREAKOUT = {
    "resistance": (110, 100), "close": 105, "eom": (5, 4), "volume": 15e6, "sma": 10e6, "atr": 3, "average": 2.5,
    "rsi": 65,
}  # fmt: skip
PULLBACK = {
    "support": 90, "low": 90, "open": 89, "close": 95, "eom": (0.1, -0.05), "rsi": (35, 33), "atr": 2, "average": 1.5,
}  # fmt: skip
SHALLOW_PULLBACK = {
    "support": 95, "low": 94.8, "open": 95, "close": 95.5, "eom": (0.5, -0.5), "rsi": (38, 35), "atr": 2.5,
    "average": 2,
}  # fmt: skip
MACD_BREAKOUT = {
    "resistance": 100, "close": 100, "macd": (0.5, -0.1), "signal": (0.3, 0.0), "hist": (0.2, 0.1), "eom": 0.3,
    "sma": 1000, "volume": 900,
}  # fmt: skip
ENTERS = [
    ("RSIBBEntryMixin", {}, OVERSOLD_AT_BAND),
    ("RSIIchimokuEntryMixin", {}, ICHIMOKU),
    ("RSIVolumeSupertrendEntryMixin", {}, IN_TREND),
    ("BBVolumeSuperTrendEntryMixin", {}, AT_BAND_IN_TREND),
    ("EOMBreakoutEntryMixin", {"use_atr_filter": False}, BREAKOUT),
    ("EOMBreakoutEntryMixin", {}, FILTERED_BREAKOUT),
    ("EOMPullbackEntryMixin", {}, PULLBACK),
    ("EOMPullbackEntryMixin", {}, SHALLOW_PULLBACK),
    ("EOMMAcdBreakoutEntryMixin", {}, MACD_BREAKOUT),
    (
        "EOMMAcdBreakoutEntryMixin",
        {},
        {
            **MACD_BREAKOUT,
            "close": 99.8,
            "macd": (0.5, 0.3),
            "signal": (0.3, 0.4),
            "eom": 2,
            "volume": 12e6,
            "sma": 10e6,
        },
    ),
]


@pytest.mark.parametrize(("name", "params", "values"), ENTERS)
def test_an_entry_rule_enters_when_all_its_conditions_hold(name, params, values):
    assert entry_rule(name, **params).evaluate(FakeView(**values))


@pytest.mark.parametrize(("name", "params", "values"), ENTERS)
def test_an_entry_rule_does_not_enter_while_anything_that_it_reads_is_undefined(name, params, values):
    rule = entry_rule(name, **params)
    assert not rule.evaluate(FakeView())
    for output in values:
        assert not rule.evaluate(FakeView(**{**values, output: NAN}))


@pytest.mark.parametrize(
    ("name", "params", "values", "changes"),
    [
        ("RSIBBEntryMixin", {}, OVERSOLD_AT_BAND, {"rsi": 45}),
        ("RSIBBEntryMixin", {}, OVERSOLD_AT_BAND, {"lower": 90}),
        ("RSIBBEntryMixin", {"rsi_oversold": 0}, OVERSOLD_AT_BAND, {}),
        ("RSIBBEntryMixin", {"rsi_cross": True}, OVERSOLD_AT_BAND, {}),
        ("RSIBBEntryMixin", {"bb_reentry": True}, OVERSOLD_AT_BAND, {}),
        ("RSIIchimokuEntryMixin", {}, ICHIMOKU, {"span_b": 120}),
        ("RSIIchimokuEntryMixin", {}, ICHIMOKU, {"span_a": 100}),
        ("RSIIchimokuEntryMixin", {}, ICHIMOKU, {"rsi": 55}),
        ("RSIIchimokuEntryMixin", {}, ICHIMOKU, {"tenkan": (100, 96)}),
        ("RSIIchimokuEntryMixin", {}, ICHIMOKU, {"tenkan": (99, 94)}),
        ("RSIVolumeSupertrendEntryMixin", {}, IN_TREND, {"direction": -1}),
        ("RSIVolumeSupertrendEntryMixin", {}, IN_TREND, {"rsi": 50}),
        ("RSIVolumeSupertrendEntryMixin", {}, IN_TREND, {"volume": 1500}),
        ("BBVolumeSuperTrendEntryMixin", {}, AT_BAND_IN_TREND, {"lower": 90}),
        ("BBVolumeSuperTrendEntryMixin", {}, AT_BAND_IN_TREND, {"direction": -1}),
        ("BBVolumeSuperTrendEntryMixin", {}, AT_BAND_IN_TREND, {"sma": 2000}),
        ("BBVolumeSuperTrendEntryMixin", {"use_bb_touch": False}, AT_BAND_IN_TREND, {"lower": 100}),
        ("EOMBreakoutEntryMixin", {"use_atr_filter": False}, BREAKOUT, {"resistance": 100, "close": 95}),
        ("EOMBreakoutEntryMixin", {"use_atr_filter": False}, BREAKOUT, {"eom": (-0.1, -0.2)}),
        ("EOMBreakoutEntryMixin", {"use_atr_filter": False}, BREAKOUT, {"eom": (0.3, 0.3)}),
        ("EOMBreakoutEntryMixin", {"use_atr_filter": False}, BREAKOUT, {"rsi": 75}),
        ("EOMBreakoutEntryMixin", {"use_atr_filter": False}, BREAKOUT, {"volume": 1000}),
        ("EOMBreakoutEntryMixin", {}, FILTERED_BREAKOUT, {"close": 99}),
        ("EOMBreakoutEntryMixin", {}, FILTERED_BREAKOUT, {"eom": (-2, 4)}),
        ("EOMBreakoutEntryMixin", {}, FILTERED_BREAKOUT, {"rsi": 75}),
        ("EOMBreakoutEntryMixin", {}, FILTERED_BREAKOUT, {"atr": 2.5}),
        ("EOMBreakoutEntryMixin", {"e_breakout_threshold": 0.05}, FILTERED_BREAKOUT, {}),
        ("EOMPullbackEntryMixin", {}, PULLBACK, {"eom": (0.1, 0.2)}),
        ("EOMPullbackEntryMixin", {}, PULLBACK, {"rsi": (35, 38)}),
        ("EOMPullbackEntryMixin", {}, PULLBACK, {"open": 95}),
        ("EOMPullbackEntryMixin", {}, SHALLOW_PULLBACK, {"close": 98, "low": 97}),
        ("EOMPullbackEntryMixin", {}, SHALLOW_PULLBACK, {"eom": (-1, -0.5)}),
        ("EOMPullbackEntryMixin", {}, SHALLOW_PULLBACK, {"rsi": (40, 35)}),
        ("EOMPullbackEntryMixin", {}, SHALLOW_PULLBACK, {"atr": 1.8}),
        ("EOMMAcdBreakoutEntryMixin", {}, MACD_BREAKOUT, {"macd": (0.5, 0.6), "signal": (0.3, 0.2)}),
        ("EOMMAcdBreakoutEntryMixin", {}, MACD_BREAKOUT, {"close": 85}),
        ("EOMMAcdBreakoutEntryMixin", {}, MACD_BREAKOUT, {"close": 100.3}),
        ("EOMMAcdBreakoutEntryMixin", {}, MACD_BREAKOUT, {"hist": (0.1, 0.1)}),
        ("EOMMAcdBreakoutEntryMixin", {}, MACD_BREAKOUT, {"volume": 799}),
        ("EOMMAcdBreakoutEntryMixin", {}, MACD_BREAKOUT, {"eom": 0}),
    ],
)
def test_an_entry_rule_does_not_enter_when_one_condition_fails(name, params, values, changes):
    assert not entry_rule(name, **params).evaluate(FakeView(**{**values, **changes}))


@pytest.mark.parametrize("name", ENTRIES)
def test_every_entry_rule_waits_for_some_bars_and_says_why_it_enters(name):
    rule = entry_rule(name)
    assert rule.lookback > 0
    assert rule.indicators


def test_cooldown_counts_bars_from_the_last_signal_and_survives_a_restart():
    rule = entry_rule("RSIOrBBEntryMixin", e_cooldown_bars=3)
    signal = {"rsi": 20, "lower": 90, "close": 100}
    assert rule.evaluate(FakeView(minute=0, **signal))
    assert not rule.evaluate(FakeView(minute=2, **signal))
    restarted = entry_rule("RSIOrBBEntryMixin", e_cooldown_bars=3)
    restarted.load_state(rule.dump_state())
    assert not restarted.evaluate(FakeView(minute=2, **signal))
    assert restarted.evaluate(FakeView(minute=3, **signal))
