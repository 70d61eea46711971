import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot_core.models.operation import SchedulingConfig
from bot_core.models.risk import RiskConfig, TradingConfig
from bot_runtime.brokers.paper_venue import PaperVenue
from bot_runtime.domain.account import Account
from bot_runtime.domain.market import MarketRules
from bot_runtime.domain.money import ZERO
from bot_runtime.domain.order import Fill, OrderIntent, OrderType, Purpose, Side, client_order_id
from bot_runtime.domain.order import fill_of as fill_of_report
from bot_runtime.engine.backtest import run_backtest
from bot_runtime.engine.kernel import Kernel
from bot_runtime.engine.outcomes import FREE, Closed, Hold, Opened, Reduced
from bot_runtime.indicators.history import History
from bot_runtime.risk.guard import RiskGuard
from bot_runtime.strategies.registry import ENTRIES, EXITS, build_sizing, build_strategy
from support.bars import CASH, COMMISSION, START, bars_of_closes, made_up_bars, strategy_config

INTERVAL = 300
FAST = {"rsi_period": 5, "bb_period": 8, "cooldown_bars": 4}
BANDS = {"rsi_period": 5, "bb_period": 8, "bb_dev": 1}
TREND = {"vol_ma_period": 6, "min_volume_ratio": 0.5, "st_period": 4, "st_multiplier": 1.5}
MOMENTUM = {"eom_period": 4, "atr_period": 5, "rsi_period": 5}
MACD = {"macd_fast": 4, "macd_slow": 9, "macd_signal": 3}
PAIRS = [
    strategy_config("RSIOrBBEntryMixin", "ATRExitMixin", FAST, {"atr_period": 5}, position_size=0.5),
    strategy_config("RSIOrBBEntryMixin", "RSIBBExitMixin", FAST, BANDS | {"rsi_overbought": 60}),
    strategy_config("RSIBBVolumeEntryMixin", "ATRExitMixin", {"rsi_period": 5, "bb_period": 8}, {"atr_period": 3}),
    strategy_config("RSIBBEntryMixin", "RSIOrBBExitMixin", BANDS | {"rsi_oversold": 45}, BANDS),
    strategy_config("RSIBBEntryMixin", "SimpleATRExitMixin", BANDS, {"atr_period": 4, "breakeven_atr": 0.5}),
    strategy_config(
        "RSIIchimokuEntryMixin",
        "AdvancedATRExitMixin",
        {"rsi_period": 5, "rsi_oversold": 70, "tenkan_period": 4, "kijun_period": 8, "senkou_period": 16},
        {"p_fast": 3, "p_slow": 6, "max_trail_freq": 3, "arm_at_R": 0.3, "phase2_at_R": 0.6, "swing_lookback": 3},
    ),
    strategy_config("RSIOrBBEntryMixin", "AdvancedATRExitMixin", FAST, {"p_fast": 3, "p_slow": 6, "k_init": 1}),
    strategy_config(
        "RSIVolumeSupertrendEntryMixin",
        "TrailingStopExitMixin",
        TREND | {"rsi_period": 5, "rsi_oversold": 60},
        {"use_atr": True, "atr_period": 5},
    ),
    strategy_config(
        "BBVolumeSuperTrendEntryMixin",
        "MultiLevelAtrExitMixin",
        TREND | {"bb_period": 6, "bb_dev": 0.5},
        {"ltf_atr_period": 4, "micro_atr_period": 3, "use_dynamic_k": True, "vol_sma_period": 8},
    ),
    strategy_config(
        "EOMBreakoutEntryMixin",
        "EOMBreakdownExitMixin",
        MOMENTUM | {"breakout_threshold": 0, "volume_sma_period": 5, "use_atr_filter": False, "rsi_overbought": 99},
        {"breakdown_threshold": -0.02, "eom_period": 4, "vol_ma_period": 5, "atr_period": 5},
    ),
    strategy_config(
        "EOMBreakoutEntryMixin",
        "FixedRatioExitMixin",
        MOMENTUM | {"breakout_threshold": -0.01, "volume_sma_period": 5, "atr_sma_period": 9, "rsi_overbought": 99},
        {"take_profit": 0.003, "stop_loss": 0.003},
    ),
    strategy_config(
        "EOMMAcdBreakoutEntryMixin",
        "EOMMAcdBreakdownExitMixin",
        MACD | {"eom_period": 4, "vol_sma_period": 5, "volume_threshold": 0.1, "resistance_range_low": 0.9},
        MACD | {"support_threshold": -0.05, "eom_period": 4, "vol_ma_period": 5},
    ),
    strategy_config(
        "EOMPullbackEntryMixin",
        "EOMRejectionExitMixin",
        MOMENTUM | {"support_threshold": 0.02, "rsi_oversold": 80, "atr_floor_multiplier": 0.1, "atr_sma_period": 9},
        {"resistance_threshold": 0.95, "rsi_overbought": 20, "eom_period": 4, "rsi_period": 5},
    ),
    strategy_config("RSIOrBBEntryMixin", "TrailingStopExitMixin", FAST, {"trail_pct": 0.002}),
    strategy_config("RSIOrBBEntryMixin", "TimeBasedExitMixin", FAST, {"max_bars": 7}),
    strategy_config("RSIOrBBEntryMixin", "TimeBasedExitMixin", FAST, {"use_time": True, "max_minutes": 30}),
    strategy_config("RSIOrBBEntryMixin", "MACrossoverExitMixin", FAST, {"fast_period": 3, "slow_period": 7}),
    strategy_config(
        "RSIOrBBEntryMixin", "MACrossoverExitMixin", FAST, {"fast_period": 3, "slow_period": 7, "ma_type": "EMA"}
    ),
]


def named(config):
    return f"{config.entry.name}-{config.exit.name}"


def a_kernel(config, *, account=None, capacity=None, **options):
    return Kernel(
        bot_id=7,
        strategy=build_strategy(config),
        account=account or Account(CASH),
        position_size=build_sizing(config),
        history=History(INTERVAL, capacity),
        **options,
    )


class Drive:
    """Takes a kernel over bars as an engine does, and may throw it away between any two calls."""

    def __init__(self, config, bars, *, capacity=None, crash_at=frozenset()):
        self.config, self.bars, self.capacity, self.crash_at = config, bars, capacity, crash_at
        self.kernel = a_kernel(config, capacity=capacity)
        self.venue = PaperVenue(COMMISSION)
        self.events = []
        self.calls = 0

    def run(self):
        for index, bar in enumerate(self.bars):
            self._perhaps_restart(index)
            for fill in map(fill_of_report, self.venue.match(bar)):
                self.events.append(self.kernel.on_fill(self.kernel.pending, fill))
                self._perhaps_restart(index)
            intent = self.kernel.on_bar(bar)
            if intent is not None:
                self.venue.submit(intent)
                self.events.append(intent)
            self._perhaps_restart(index + 1)
        return self.events, self.kernel.account, self.kernel.dump_state()

    def _perhaps_restart(self, seen):
        self.calls += 1
        if self.calls not in self.crash_at:
            return
        old, state = self.kernel, json.loads(json.dumps(self.kernel.dump_state()))
        account = Account(old.account.cash, old.account.position, old.account.realized_pnl)
        self.kernel = a_kernel(self.config, account=account, capacity=self.capacity)
        limit = self.kernel.history.reload_limit
        self.kernel.warm_up(self.bars[:seen] if limit is None else self.bars[max(0, seen - limit) : seen])
        self.kernel.load_state(state)
        self.kernel.pending = old.pending


def test_every_rule_is_in_one_of_the_pairs():
    assert {pair.entry.name for pair in PAIRS} == set(ENTRIES)
    assert {pair.exit.name for pair in PAIRS} == set(EXITS)


@pytest.mark.parametrize("config", PAIRS, ids=named)
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 1000), bounded=st.booleans(), crashes=st.frozensets(st.integers(1, 700), max_size=30))
def test_restarts_at_any_moment_change_no_decision(config, seed, bounded, crashes):
    bars = made_up_bars(300, seed=seed)
    capacity = build_strategy(config).warmup if bounded else None
    undisturbed = Drive(config, bars, capacity=capacity).run()
    assert Drive(config, bars, capacity=capacity, crash_at=crashes).run() == undisturbed


@pytest.mark.parametrize("config", PAIRS, ids=named)
def test_bar_by_bar_gives_the_trades_of_the_backtest(config):
    bars = made_up_bars(900, seed=3)
    result = run_backtest(
        build_strategy(config), bars, position_size=build_sizing(config), cash=CASH, commission=COMMISSION
    )
    for capacity in (None, build_strategy(config).warmup):
        events, account, _ = Drive(config, bars, capacity=capacity).run()
        assert tuple(event.trade for event in events if isinstance(event, Closed)) == result.trades
        assert (account.cash, account.position) == (result.cash, result.open_position)
    assert len(result.trades) > 3


def trades_at_scale(config, bars, factor):
    names = ("open", "high", "low", "close")
    scaled = [bar._replace(**{name: getattr(bar, name) * factor for name in names}) for bar in bars]
    cash = CASH * Decimal(factor) + 1
    run = run_backtest(build_strategy(config), scaled, position_size=Decimal("0.1"), cash=cash, commission=COMMISSION)
    return [(trade.entry_time, trade.exit_time, trade.exit_reason.partition(":")[0]) for trade in run.trades]


@pytest.mark.parametrize("config", PAIRS, ids=named)
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 1000), exponent=st.integers(-30, 30))
def test_rules_give_the_same_trades_when_all_prices_are_multiplied(config, seed, exponent):
    bars = made_up_bars(400, seed=seed)
    assert trades_at_scale(config, bars, 2.0**exponent) == trades_at_scale(config, bars, 1.0)


@pytest.mark.parametrize("factor", [1e-5, 1e-8, 1e3])
@pytest.mark.parametrize("config", PAIRS, ids=named)
def test_rules_give_the_same_trades_at_the_prices_of_other_coins(config, factor):
    bars = made_up_bars(600, seed=5)
    trades = trades_at_scale(config, bars, 1.0)
    assert trades
    assert trades_at_scale(config, bars, factor) == trades


def run_to_intent(kernel, bars):
    for index, bar in enumerate(bars):
        intent = kernel.on_bar(bar)
        if intent is not None:
            return intent, index
    raise AssertionError("no signal")


def fill_of(intent, bar, **changes):
    fill = Fill(intent.client_order_id, bar.time, Decimal(str(bar.open)), intent.quantity, Decimal(1))
    return replace(fill, **changes)


def test_an_entry_is_intended_filled_and_booked():
    bars = made_up_bars(300)
    kernel = a_kernel(PAIRS[0])
    intent, index = run_to_intent(kernel, bars)
    assert kernel.pending is intent
    assert (intent.purpose, intent.side, intent.signal_time) == (Purpose.ENTRY, Side.BUY, bars[index].time)
    result = kernel.on_fill(intent, fill_of(intent, bars[index + 1]))
    assert isinstance(result, Opened)
    assert kernel.pending is None
    assert kernel.account.position == result.position
    assert result.position.signal_time == bars[index].time
    assert result.position.entry_time == bars[index + 1].time
    spent = Decimal(str(bars[index + 1].open)) * intent.quantity + 1
    assert kernel.account.cash == (CASH - spent).quantize(Decimal("1e-8"))


def test_nothing_is_decided_while_an_order_is_pending():
    kernel = a_kernel(PAIRS[0])
    bars = made_up_bars(300)
    intent, index = run_to_intent(kernel, bars)
    assert [kernel.on_bar(bar) for bar in bars[index + 1 :]] == [None] * (299 - index)
    assert kernel.pending is intent


def test_nothing_is_decided_before_the_first_bar_or_trade_from():
    bars = made_up_bars(300)
    kernel = a_kernel(PAIRS[0])
    _, first = run_to_intent(kernel, bars)
    assert first >= kernel.strategy.first_bar
    later = bars[first].time + timedelta(seconds=1)
    intent, _ = run_to_intent(a_kernel(PAIRS[0], trade_from=later), bars)
    assert intent.signal_time > later


def a_guarded_kernel(risk, *, quantity="1", price="100", rule="TimeBasedExitMixin", rule_params=None, market=None):
    """A kernel that holds a position, and whose entry rule knows too few bars."""
    config = strategy_config("RSIOrBBEntryMixin", rule, {"rsi_period": 14}, rule_params or {"max_bars": 10_000})
    guard = RiskGuard(RiskConfig.model_validate(risk), TradingConfig(), SchedulingConfig(), CASH)
    kernel = a_kernel(config, guard=guard, market=market)
    kernel.pending = an_entry(quantity, price)
    kernel.on_fill(kernel.pending, Fill(kernel.pending.client_order_id, START, Decimal(price), Decimal(quantity), ZERO))
    return kernel


def an_entry(quantity="1", price="100"):
    name = client_order_id(7, Purpose.ENTRY, START)
    return OrderIntent(
        name, Purpose.ENTRY, Side.BUY, OrderType.MARKET, Decimal(quantity), START, Decimal(price), "a test"
    )


@pytest.mark.parametrize(
    ("risk", "closes", "reason"),
    [
        ({"stop_loss_pct": 5}, [99.0, 94.0], "stop_loss"),
        ({"take_profit_pct": 5}, [101.0, 106.0], "take_profit"),
        ({"trailing_stop": True, "trailing_stop_pct": 5}, [120.0, 113.0], "trailing_stop"),
    ],
)
@pytest.mark.parametrize("hold", [FREE, Hold("late", "late")])
def test_the_guard_ends_a_position_whether_or_not_the_rules_are_warm_and_the_bar_in_time(risk, closes, reason, hold):
    kernel = a_guarded_kernel(risk)
    intents = [kernel.on_bar(bar, hold) for bar in bars_of_closes(closes)]
    assert kernel.history.bars_seen <= kernel.strategy.first_bar
    assert intents[0] is None
    assert (intents[1].purpose, intents[1].reason) == (Purpose.EXIT, reason)


def test_the_stop_of_a_position_is_wanted_and_follows_while_the_rules_warm_up():
    kernel = a_guarded_kernel({"trailing_stop": True, "trailing_stop_pct": 5})
    stops = []
    for bar in bars_of_closes([100.0, 110.0, 120.0]):
        assert kernel.on_bar(bar) is None
        stops.append(kernel.wanted_stop().stop_price)
    assert stops == [Decimal(95), Decimal("104.5"), Decimal(114)]


def test_a_late_bar_holds_the_exit_of_a_rule_but_not_that_of_the_guard():
    late = Hold("late", "late")
    rule = {"rule": "FixedRatioExitMixin", "rule_params": {"take_profit": 0.03, "stop_loss": 0.03}}
    warm = [100.0] * 60
    for risk, reason in (({}, None), ({"stop_loss_pct": 4}, "stop_loss")):
        kernel = a_guarded_kernel(risk, **rule)
        *before, last = bars_of_closes([*warm, 95.0])
        assert [kernel.on_bar(bar) for bar in before] == [None] * len(warm)
        intent = kernel.on_bar(last, late)
        assert (intent and intent.reason) == reason
        assert bool(kernel.refused) is (reason is None)
    assert kernel.refused == ""


LEAST_TEN = MarketRules(quantity_step=Decimal("0.001"), min_notional=Decimal(10))


@pytest.mark.parametrize(
    ("market", "sold", "dust"),
    [
        (LEAST_TEN, "0.95", "0.05"),
        (MarketRules(min_quantity=Decimal("0.2")), "0.9", "0.1"),
        (MarketRules(quantity_step=Decimal("0.1")), "0.95", "0.05"),
        (LEAST_TEN, "1", "0"),
    ],
)
def test_what_an_exit_leaves_and_the_venue_would_not_take_is_dust_and_a_cost_of_the_trade(market, sold, dust):
    kernel = a_guarded_kernel({"stop_loss_pct": 5}, market=market)
    intent = kernel.exit_intent(START + timedelta(minutes=1), Decimal(110), "a test")
    result = kernel.on_fill(intent, Fill(intent.client_order_id, START, Decimal(110), Decimal(sold), Decimal(1)))
    assert isinstance(result, Closed)
    assert (result.dust, result.trade.size) == (Decimal(dust), Decimal(sold))
    assert result.trade.gross_pnl == 10 * Decimal(sold)
    assert result.trade.net_pnl == result.trade.gross_pnl - 1 - 100 * Decimal(dust)
    assert (kernel.account.position, kernel.account.cash) == (None, CASH + kernel.account.realized_pnl)
    assert kernel.wanted_stop() is None


def test_what_an_exit_leaves_and_the_venue_takes_is_sold_by_the_next_one():
    kernel = a_guarded_kernel({}, market=LEAST_TEN)
    intent = kernel.exit_intent(START + timedelta(minutes=1), Decimal(100), "a test")
    result = kernel.on_fill(intent, Fill(intent.client_order_id, START, Decimal(100), Decimal("0.9"), ZERO))
    assert isinstance(result, Reduced)
    assert kernel.exit_intent(START + timedelta(minutes=2), Decimal(100), "a test").quantity == Decimal("0.1")


@pytest.mark.parametrize(("least", "refused"), [("4750", False), ("4751", True)])
def test_an_entry_is_refused_that_could_not_be_sold_at_its_stop(least, refused):
    guard = RiskGuard(RiskConfig(stop_loss_pct=Decimal(5)), TradingConfig(), SchedulingConfig(), CASH)
    market = MarketRules(quantity_step=Decimal("0.0001"), min_notional=Decimal(least))
    kernel = a_kernel(PAIRS[0], guard=guard, market=market, account=Account(Decimal(10_001)))
    bar = next(bar for bar in made_up_bars(300) if kernel.on_bar(bar) is not None or kernel.refused)
    assert (kernel.pending is None) is refused
    assert (f"entry signal, but at its stop, {bar.close * 0.95:.2f}" in kernel.refused) is refused


def test_a_stop_that_cannot_rest_is_said_for_as_long_as_it_is_so():
    kernel = a_guarded_kernel({"stop_loss_pct": 5}, quantity="0.102", market=LEAST_TEN)
    assert kernel.wanted_stop() is None
    assert kernel.stop_impossible == "no stop can rest at 95.00: the order is worth 9.69000, the venue's least is 10"
    kernel.market = MarketRules()
    assert kernel.wanted_stop() is not None
    assert kernel.stop_impossible == ""


def test_warming_up_decides_nothing_and_leaves_the_rules_alone():
    kernel = a_kernel(PAIRS[0])
    before = kernel.dump_state()
    kernel.warm_up(made_up_bars(300))
    assert (kernel.pending, kernel.dump_state()) == (None, before)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"client_order_id": "tb7-en-1"}, "offered for order"),
        ({"quantity": Decimal(10**9)}, "filled 1000000000"),
        ({"quantity": Decimal(0)}, "filled 0"),
        ({"price": Decimal(0)}, "at 0"),
        ({"commission": Decimal(-1)}, "commission -1"),
    ],
)
def test_a_fill_that_cannot_be_of_the_order_is_refused_and_changes_nothing(changes, message):
    kernel = a_kernel(PAIRS[0])
    bars = made_up_bars(300)
    intent, index = run_to_intent(kernel, bars)
    with pytest.raises(ValueError, match=message):
        kernel.on_fill(intent, fill_of(intent, bars[index], **changes))
    assert (kernel.pending, kernel.account) == (intent, Account(CASH))


def test_an_exit_without_a_position_and_a_second_entry_are_refused():
    kernel = a_kernel(PAIRS[0])
    bars = made_up_bars(300)
    intent, index = run_to_intent(kernel, bars)
    exit_intent = replace(intent, purpose=Purpose.EXIT, side=Side.SELL)
    with pytest.raises(ValueError, match="without an open position"):
        kernel.on_fill(exit_intent, fill_of(intent, bars[index]))
    kernel.on_fill(intent, fill_of(intent, bars[index]))
    with pytest.raises(ValueError, match="while a position is open"):
        kernel.on_fill(intent, fill_of(intent, bars[index]))


def test_state_of_another_rule_is_not_taken_over():
    kernel = a_kernel(PAIRS[0])
    other = a_kernel(PAIRS[1])
    kernel.load_state({"exit": {"rule": "RSIBBExitMixin", "state": {"nonsense": 1}}})
    other.load_state({})
    assert kernel.dump_state()["exit"]["state"] is None


def test_a_client_order_id_is_stable_short_and_plain():
    name = client_order_id(12, Purpose.ENTRY, START)
    assert name == "tb12-en-1704067200000"
    assert client_order_id(12, Purpose.EXIT, START) == "tb12-ex-1704067200000"
    assert len(client_order_id(2**31 - 1, Purpose.EXIT, START)) <= 36
    with pytest.raises(ValueError, match="36 are allowed"):
        client_order_id(10**30, Purpose.EXIT, START)
