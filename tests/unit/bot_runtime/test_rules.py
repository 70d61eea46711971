from datetime import timedelta
from decimal import Decimal

import pytest

from bot_core.models.rule_parameters import RULES, RuleKind
from bot_runtime.domain.bar import epoch_ms
from bot_runtime.domain.position import Direction, Position
from bot_runtime.strategies.registry import ENTRIES, EXITS, build_sizing
from support.bars import START, strategy_config

NAN = float("nan")


class FakeView:
    """Injected values: `output=(now, before)`, or one value for both."""

    def __init__(self, *, minute=0, **values):
        self._values = values
        self.time = epoch_ms(START + timedelta(minutes=minute))

    def value(self, _indicator, output, ago=0):
        given = self._values.get(output, NAN)
        return given[ago] if isinstance(given, tuple) else given

    def close(self, ago=0):
        return self.value(None, "close", ago)

    def high(self, ago=0):
        return self.value(None, "high", ago)

    def volume(self, ago=0):
        return self.value(None, "volume", ago)

    def bars_since(self, time):
        return (self.time - time) // 60_000


def entry_rule(name, **params):
    config = strategy_config(name, entry_params=params)
    return ENTRIES[name](config.entry)


def exit_rule(name, **params):
    config = strategy_config(exit_=name, exit_params=params)
    return EXITS[name](config.exit)


def a_position(price="100"):
    return Position(Direction.LONG, Decimal(1), Decimal(price), START, START, Decimal(0), "reason")


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


def test_cooldown_counts_bars_from_the_last_signal_and_survives_a_restart():
    rule = entry_rule("RSIOrBBEntryMixin", e_cooldown_bars=3)
    signal = {"rsi": 20, "lower": 90, "close": 100}
    assert rule.evaluate(FakeView(minute=0, **signal))
    assert not rule.evaluate(FakeView(minute=2, **signal))
    restarted = entry_rule("RSIOrBBEntryMixin", e_cooldown_bars=3)
    restarted.load_state(rule.dump_state())
    assert not restarted.evaluate(FakeView(minute=2, **signal))
    assert restarted.evaluate(FakeView(minute=3, **signal))


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


def test_atr_exit_forgets_everything_when_flat():
    rule = exit_rule("ATRExitMixin")
    rule.opened(a_position("100"), {"atr": 2.0})
    rule.evaluate(FakeView(high=200, close=199), a_position())
    rule.closed()
    assert rule.dump_state() is None


@pytest.mark.parametrize(("rules", "kind"), [(ENTRIES, RuleKind.ENTRY), (EXITS, RuleKind.EXIT)])
def test_the_catalogue_names_exactly_the_rules_that_exist(rules, kind):
    assert set(rules) == set(RULES[kind])
    assert all(name == rules[name].name for name in rules)


@pytest.mark.parametrize(("asset_type", "quantity"), [("crypto", "0.33333333"), ("stock", "0")])
def test_sizing_rounds_down_to_the_step_of_the_asset(asset_type, quantity):
    sizing = build_sizing(strategy_config(asset_type=asset_type))
    assert sizing.quantity(Decimal(1000), Decimal(300)) == Decimal(quantity)
