import math
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot_runtime.domain.bar import Bar, epoch_ms
from bot_runtime.indicators.atr import Atr
from bot_runtime.indicators.history import History
from bot_runtime.indicators.rsi import Rsi
from bot_runtime.indicators.view import TAIL, View
from bot_runtime.indicators.windows import BollingerBands, Sma
from support.bars import START, bars_of_closes, made_up_bars

INTERVAL = 300
INDICATORS = (Rsi(14), Atr(7), BollingerBands(20, 2.0), Sma(9, "volume"), BollingerBands(3, 1.5), Sma(200))
OUTPUTS = [
    (indicator, output)
    for indicator in INDICATORS
    for output in {Rsi: ("rsi",), Atr: ("atr",), Sma: ("sma",), BollingerBands: ("upper", "middle", "lower")}[
        type(indicator)
    ]
]


def history_of(bars, *, interval=INTERVAL, capacity=None):
    history = History(interval, capacity)
    history.extend(bars)
    return history


def readings(view):
    return [np.float64(view.value(indicator, output, ago)).tobytes() for indicator, output in OUTPUTS for ago in (0, 1)]


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_whole_history_at_once_and_bar_by_bar_agree_bit_for_bit(seed):
    bars = made_up_bars(300, seed=seed)
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
        unit = 1.0 if isinstance(indicator, Rsi) or indicator == Sma(9, "volume") else factor
        value, expected = other.value(indicator, output), plain.value(indicator, output) * unit
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


@pytest.mark.parametrize("indicator", INDICATORS)
def test_the_first_value_is_at_min_bars(indicator):
    bars = made_up_bars(indicator.min_bars)
    output = next(name for known, name in OUTPUTS if known == indicator)
    assert math.isfinite(View(history_of(bars), [indicator]).value(indicator, output))
    assert math.isnan(View(history_of(bars[:-1]), [indicator]).value(indicator, output))


def test_after_the_warm_up_it_does_not_matter_where_history_began():
    bars = made_up_bars(1500)
    for indicator in (Rsi(14), Atr(14)):
        output = next(iter(indicator.compute(history_of(bars))))
        long = View(history_of(bars), [indicator]).value(indicator, output)
        short = View(history_of(bars[-indicator.warmup :]), [indicator]).value(indicator, output)
        assert short == pytest.approx(long, rel=1e-14)


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
