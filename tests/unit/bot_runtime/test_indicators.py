import math
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot_runtime.domain.bar import Bar, epoch_ms
from bot_runtime.indicators.atr import Atr
from bot_runtime.indicators.ema import Ema
from bot_runtime.indicators.eom import Eom
from bot_runtime.indicators.extremes import highest, lowest
from bot_runtime.indicators.history import History
from bot_runtime.indicators.ichimoku import Ichimoku
from bot_runtime.indicators.levels import SupportResistance
from bot_runtime.indicators.macd import Macd
from bot_runtime.indicators.rsi import Rsi
from bot_runtime.indicators.supertrend import Supertrend
from bot_runtime.indicators.view import TAIL, View
from bot_runtime.indicators.windows import AverageOf, BollingerBands, Sma
from support.bars import START, bars_of_closes, made_up_bars

INTERVAL = 300
INDICATORS = (
    Rsi(14),
    Atr(7),
    BollingerBands(20, 2.0),
    Sma(9, "volume"),
    BollingerBands(3, 1.5),
    Sma(200),
    Sma(1),
    Ema(10),
    Ema(1),
    Macd(12, 26, 9),
    Macd(4, 9, 1),
    Ichimoku(9, 26, 52),
    Ichimoku(9, 60, 5),
    Eom(14),
    Eom(1),
    SupportResistance(2),
    SupportResistance(5),
    Supertrend(10, 3.0),
    Supertrend(1, 1.0),
    AverageOf(Atr(14), "atr", 50),
    AverageOf(Atr(3), "atr", 1),
)


def history_of(bars, *, interval=INTERVAL, capacity=None):
    history = History(interval, capacity)
    history.extend(bars)
    return history


OUTPUTS = [
    (indicator, output) for indicator in INDICATORS for output in indicator.compute(history_of(made_up_bars(300)))
]


def unit(indicator, output, factor):
    if indicator in {Rsi(14), Sma(9, "volume")} or output == "direction":
        return 1.0
    return factor**2 if output == "eom" else factor


def readings(view):
    return [np.float64(view.value(indicator, output, ago)).tobytes() for indicator, output in OUTPUTS for ago in (0, 1)]


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), tick=st.sampled_from([None, 0.01, 5.0]))
def test_the_whole_history_at_once_and_bar_by_bar_agree_bit_for_bit(seed, tick):
    bars = made_up_bars(300, seed=seed)
    if tick is not None:
        # Coarse prices make ties and bars without a range.
        bars = [Bar(bar.time, *(round(price / tick) * tick for price in bar[1:5]), bar.volume) for bar in bars]
    whole = View(history_of(bars), INDICATORS)
    growing = History(INTERVAL)
    for index, bar in enumerate(bars):
        growing.append(bar)
        whole.move_to(index)
        assert readings(View(growing, INDICATORS, tail=TAIL)) == readings(whole)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), exponent=st.integers(-60, 60))
def test_values_are_the_same_bits_at_every_scale_of_price(seed, exponent):
    factor = math.ldexp(1.0, exponent)
    bars = made_up_bars(120, seed=seed)
    scaled = [Bar(bar.time, *(price * factor for price in bar[1:5]), bar.volume) for bar in bars]
    plain, other = View(history_of(bars), INDICATORS), View(history_of(scaled), INDICATORS)
    for indicator, output in OUTPUTS:
        value = other.value(indicator, output)
        expected = plain.value(indicator, output) * unit(indicator, output, factor)
        assert value == expected or (math.isnan(value) and math.isnan(expected))


@pytest.mark.parametrize("price", [1e-9, 0.1, 0.00162008, 3.3, 123456.7])
def test_bands_of_a_constant_price_are_that_price_exactly(price):
    view = View(history_of(bars_of_closes([price] * 30)), [BollingerBands(20, 2.0)])
    bands = BollingerBands(20, 2.0)
    assert [view.value(bands, output) for output in ("upper", "middle", "lower")] == [price] * 3


def test_bands_of_tiny_prices_do_not_collapse():
    bands = BollingerBands(4, 2.0)
    view = View(history_of(bars_of_closes([1e-8, 2e-8, 3e-8, 4e-8])), [bands])
    assert view.value(bands, "middle") == pytest.approx(2.5e-8)
    assert view.value(bands, "upper") == pytest.approx(2.5e-8 + 2 * math.sqrt(1.25) * 1e-8)


def rows_of(*rows):
    return [Bar(START + timedelta(minutes=index), *row) for index, row in enumerate(rows)]


def of_ranges(*ranges, volume=1e8):
    return rows_of(*[(low, high, low, (high + low) / 2, volume) for low, high in ranges])


def test_ema_begins_with_the_mean_of_its_first_closes():
    ema = Ema(3)
    view = View(history_of(bars_of_closes([1, 2, 6, 7])), [ema])
    assert (view.value(ema, "ema", 1), view.value(ema, "ema")) == (3.0, 5.0)
    assert math.isnan(view.value(ema, "ema", 2))


def test_macd_seeds_both_averages_on_the_bar_of_the_slow_one():
    closes = [1.0, 2.0, 4.0, 8.0, 3.0]
    macd = Macd(2, 3, 2)
    fast, slow = 3.0, 7 / 3
    expected = [fast - slow]
    for close in closes[3:]:
        fast, slow = fast + (close - fast) * 2 / 3, slow + (close - slow) * 2 / 4
        expected.append(fast - slow)
    signal = sum(expected[:2]) / 2
    signal += (expected[2] - signal) * 2 / 3
    view = View(history_of(bars_of_closes(closes)), [macd])
    assert view.value(macd, "macd") == pytest.approx(expected[2])
    assert view.value(macd, "signal") == pytest.approx(signal)
    assert view.value(macd, "hist") == pytest.approx(expected[2] - signal)


def test_the_cloud_of_a_bar_was_computed_26_bars_before():
    bars = made_up_bars(140)
    view, ichimoku = View(history_of(bars), [Ichimoku(9, 26, 52)]), Ichimoku(9, 26, 52)

    def middle(period, ago):
        window = bars[len(bars) - ago - period : len(bars) - ago]
        return (max(bar.high for bar in window) + min(bar.low for bar in window)) / 2

    assert view.value(ichimoku, "tenkan", 1) == middle(9, 1)
    assert view.value(ichimoku, "kijun") == middle(26, 0)
    assert view.value(ichimoku, "span_a") == (middle(9, 26) + middle(26, 26)) / 2
    assert view.value(ichimoku, "span_b", 1) == middle(52, 27)


def test_ease_of_movement_is_distance_times_range_over_volume_and_zero_without_a_range_or_volume():
    eom = Eom(1)
    bars = of_ranges((10, 12), (12, 16), (15, 15))
    idle = bars[-1]._replace(time=START + timedelta(hours=1), high=20, volume=0.0)
    view = View(history_of([*bars, idle]), [eom])
    assert [view.value(eom, "eom", ago) for ago in (2, 1, 0)] == [12.0, 0.0, 0.0]
    assert math.isnan(view.value(eom, "eom", 3))


def test_ease_of_movement_that_cancels_out_is_zero_and_equal_windows_are_equal():
    eom = Eom(3)
    bars = of_ranges((10, 11), (10.1, 11.1), (10, 11), (10, 11), (10.1, 11.1), (10, 11), (10, 11), volume=3.7)
    values = eom.compute(history_of(bars))["eom"].tolist()
    assert values[1] == values[2] == values[3]
    assert values[0] == 0.0


def test_ease_of_movement_of_tiny_prices_is_not_lost():
    eom = Eom(1)
    view = View(history_of(of_ranges((1e-8, 2e-8), (2e-8, 3e-8))), [eom])
    assert view.value(eom, "eom") == pytest.approx(1e-16)


def test_supertrend_changes_sides_when_the_close_reaches_the_line():
    supertrend = Supertrend(1, 1.0)
    bars = rows_of((0, 10, 8, 9, 1), (0, 12, 10, 11, 1), (0, 12, 10, 8, 1), (0, 9, 7, 8, 1), (0, 11, 9, 11, 1))
    result = supertrend.compute(history_of(bars))
    # True ranges 3, 2, 2, 3; the lines are 11 -+ 3, 11 -+ 2, 8 -+ 2, 10 -+ 3.
    assert result["line"].tolist() == [8.0, 13.0, 10.0, 7.0]
    assert result["direction"].tolist() == [1.0, -1.0, -1.0, 1.0]


def test_the_line_of_a_supertrend_only_follows_its_trend():
    result = Supertrend(5, 2.0).compute(history_of(made_up_bars(500)))
    line, direction = result["line"], result["direction"]
    moves = np.diff(line)[direction[1:] == direction[:-1]] * direction[1:][direction[1:] == direction[:-1]]
    assert (moves >= 0).all()
    assert set(direction) == {1.0, -1.0}


def levels_by_hand(bars, lookback):
    highs, lows, levels = [], [], []
    for index in range(len(bars)):
        middle = index - lookback
        around = [bar for at, bar in enumerate(bars[: index + 1]) if at >= middle - lookback and at != middle]
        if index >= 2 * lookback:
            for kept, value, beaten in (
                (highs, bars[middle].high, all(bars[middle].high > bar.high for bar in around)),
                (lows, bars[middle].low, all(bars[middle].low < bar.low for bar in around)),
            ):
                if beaten and not (kept and abs(value - kept[-1]) <= 0.0001 * value):
                    kept.append(value)
                    del kept[:-50]
        close = bars[index].close
        above, below = [value for value in highs if value > close], [value for value in lows if value < close]
        levels.append((min(above, default=math.nan), max(below, default=math.nan)))
    return levels


@pytest.mark.parametrize("lookback", [1, 2, 5])
@pytest.mark.parametrize("seed", [1, 2])
def test_levels_are_the_nearest_of_the_last_fifty_swings(lookback, seed):
    bars = made_up_bars(900, seed=seed)
    result = SupportResistance(lookback).compute(history_of(bars))
    found = list(zip(result["resistance"].tolist(), result["support"].tolist(), strict=True))
    assert [str(pair) for pair in found] == [str(pair) for pair in levels_by_hand(bars, lookback)]


def test_a_swing_is_known_as_many_bars_later_as_it_must_overtop_and_equal_highs_are_none():
    levels = SupportResistance(2)
    highs = [10, 11, 15, 12, 11, 10, 10, 10, 10]
    bars = rows_of(*[(5, high, 1, 5, 1) for high in highs])
    assert [str(value) for value in levels.compute(history_of(bars))["resistance"]] == ["nan"] * 4 + ["15.0"] * 5
    assert np.isnan(levels.compute(history_of(bars))["support"]).all()


@pytest.mark.parametrize("period", [1, 2, 3, 7, 8, 9, 26, 52])
def test_extremes_of_sliding_windows_are_those_of_each_window(period):
    values = history_of(made_up_bars(80)).high
    windows = [values[at : at + period] for at in range(len(values) - period + 1)]
    assert highest(values, period).tolist() == [window.max() for window in windows]
    assert lowest(values, period).tolist() == [window.min() for window in windows]
    assert highest(values[:0], period).tolist() == []


def test_rsi_is_wilders():
    rsi = Rsi(2)
    view = View(history_of(bars_of_closes([10, 11, 10, 12])), [rsi])
    assert view.value(rsi, "rsi", 1) == pytest.approx(50.0)
    assert view.value(rsi, "rsi", 0) == pytest.approx(100 * 1.25 / 1.5)
    assert math.isnan(view.value(rsi, "rsi", 2))


def test_rsi_of_a_price_that_stands_still_is_zero():
    rsi = Rsi(5)
    assert View(history_of(bars_of_closes([7.0] * 20)), [rsi]).value(rsi, "rsi") == 0


def test_atr_leaves_out_the_first_bar_and_is_in_units_of_price():
    atr = Atr(2)
    rows = [(10, 20, 5, 10), (10, 12, 9, 11), (11, 13, 11, 12), (12, 16, 12, 15)]
    bars = [Bar(START + timedelta(minutes=index), *row, 1.0) for index, row in enumerate(rows)]
    view = View(history_of(bars), [atr])
    assert view.value(atr, "atr", 1) == pytest.approx(2.5)
    assert view.value(atr, "atr", 0) == pytest.approx((2.5 + 4) / 2)


# An average of an indicator is not waited for; a level exists once there has been a swing.
WAITED_FOR = [each for each in INDICATORS if not isinstance(each, (AverageOf, SupportResistance))]


def are_defined(indicator, bars):
    view = View(history_of(bars), [indicator])
    return [math.isfinite(view.value(indicator, output)) for known, output in OUTPUTS if known == indicator]


@pytest.mark.parametrize("indicator", WAITED_FOR)
def test_all_values_are_there_at_min_bars_and_not_before(indicator):
    bars = made_up_bars(indicator.min_bars)
    assert all(are_defined(indicator, bars))
    assert not all(are_defined(indicator, bars[:-1]))


@pytest.mark.parametrize("indicator", INDICATORS)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_on_few_bars_values_are_undefined_and_nothing_is_raised(indicator, count):
    view = View(history_of(made_up_bars(count)), [indicator], tail=TAIL)
    assert all(isinstance(view.value(known, output), float) for known, output in OUTPUTS if known == indicator)


@pytest.mark.parametrize("indicator", INDICATORS)
def test_a_tail_has_the_last_values_of_the_whole(indicator):
    history = history_of(made_up_bars(700))
    whole, tail = indicator.compute(history), indicator.compute(history, TAIL)
    for output, values in whole.items():
        assert tail[output][-TAIL:].tobytes() == values[-TAIL:].tobytes()


def test_after_the_warm_up_it_does_not_matter_where_history_began():
    bars = made_up_bars(1500)
    for indicator in (Rsi(14), Atr(14), Ema(20), Macd(12, 26, 9), AverageOf(Atr(14), "atr", 50)):
        for output in indicator.compute(history_of(bars)):
            long = View(history_of(bars), [indicator]).value(indicator, output)
            short = View(history_of(bars[-indicator.warmup :]), [indicator]).value(indicator, output)
            assert short == pytest.approx(long, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "indicator",
    [
        Supertrend(10, 3.0),
        Supertrend(7, 2.0),
        Supertrend(3, 6.0),
        Supertrend(50, 3.0),
        SupportResistance(2),
        SupportResistance(5),
    ],
)
def test_what_depends_on_the_path_has_forgotten_its_beginning_after_the_warm_up_exactly(indicator, seed):
    bars = made_up_bars(4000, seed=seed)
    whole = View(history_of(bars), [indicator])
    for end in range(indicator.warmup, len(bars) + 1, 97):
        part = View(history_of(bars[end - indicator.warmup : end]), [indicator], tail=TAIL)
        whole.move_to(end - 1)
        for output in indicator.compute(history_of(bars[:50])):
            value, expected = part.value(indicator, output), whole.value(indicator, output)
            assert value == expected or (math.isnan(value) and math.isnan(expected))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 90), st.integers(1, 400), st.sets(st.integers(0, 399), max_size=200))
def test_a_bounded_history_is_a_function_of_its_last_bar_and_reloads_the_same(capacity, count, missing):
    bars = [bar for index, bar in enumerate(made_up_bars(count)) if index not in missing]
    running = history_of(bars, capacity=capacity)
    reloaded = history_of(bars[-running.reload_limit :], capacity=capacity)
    assert running.time.tolist() == reloaded.time.tolist()
    assert running.close.tolist() == reloaded.close.tolist()
    assert len(running) <= 2 * capacity
    if not missing:
        assert len(running) >= min(capacity, count)


def test_a_history_refuses_a_bar_that_is_not_later():
    history = history_of(made_up_bars(3))
    with pytest.raises(ValueError, match="is not after the last bar"):
        history.append(made_up_bars(3)[-1])


def test_a_history_keeps_everything_while_it_grows():
    bars = made_up_bars(3000)
    history = history_of(bars)
    assert history.bars_seen == len(history) == 3000
    assert history.volume.tolist() == [bar.volume for bar in bars]
    assert history.time[0] == epoch_ms(START)


def test_bars_since_counts_bars_and_says_none_for_what_is_forgotten():
    view = View(history_of(bars_of_closes([1, 2, 3, 4]), interval=60), [])
    assert view.bars_since(epoch_ms(START)) == 3
    view.move_to(1)
    assert view.bars_since(epoch_ms(START)) == 1
    assert view.bars_since(epoch_ms(START) - 1) is None
