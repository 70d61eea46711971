import json
from pathlib import Path

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from bot_core.models.ml_features import FEATURES, FeatureConfig
from bot_core.models.strategy import parse_strategy
from bot_runtime.ml.features import FeatureTable
from support.bars import made_up_bars
from support.models import columns_of

BARS = made_up_bars(600, seed=2)
HISTORY = columns_of(BARS)


def values_of(name, columns=HISTORY, **parameters):
    config = FeatureConfig.model_validate({"name": name, **parameters})
    return FeatureTable([config]).rows(columns, len(columns))[:, 0]


H, L, C, V = HISTORY.high, HISTORY.low, HISTORY.close, HISTORY.volume
REFERENCES = {
    "ema": lambda: talib.EMA(C, 20),
    "sma": lambda: talib.SMA(C, 20),
    "rsi": lambda: talib.RSI(C, 14),
    "atr": lambda: talib.ATR(H, L, C, 14),
    "bb_upper": lambda: talib.BBANDS(C, 20, 2, 2)[0],
    "bb_middle": lambda: talib.BBANDS(C, 20, 2, 2)[1],
    "bb_lower": lambda: talib.BBANDS(C, 20, 2, 2)[2],
    "macd": lambda: talib.MACD(C, 12, 26, 9)[0],
    "macd_signal": lambda: talib.MACD(C, 12, 26, 9)[1],
    "macd_hist": lambda: talib.MACD(C, 12, 26, 9)[2],
    "stoch_k": lambda: talib.STOCH(H, L, C, 14, 3, 0, 3, 0)[0],
    "stoch_d": lambda: talib.STOCH(H, L, C, 14, 3, 0, 3, 0)[1],
    "williams_r": lambda: talib.WILLR(H, L, C, 14),
    "mfi": lambda: talib.MFI(H, L, C, V, 14),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_a_feature_has_the_values_of_the_reference_library(name):
    reference = REFERENCES[name]()
    defined = ~np.isnan(reference)
    np.testing.assert_allclose(values_of(name)[defined], reference[defined], rtol=1e-9, atol=1e-9)


def test_plain_features_are_what_they_say():
    bar, last = BARS[-1], BARS[-2]
    assert values_of("log_return")[-1] == pytest.approx(np.log(bar.close / last.close))
    assert values_of("log_return", period=5)[-1] == pytest.approx(np.log(bar.close / BARS[-6].close))
    assert values_of("range")[-1] == pytest.approx((bar.high - bar.low) / bar.close)
    assert values_of("sma_ratio", period=2)[-1] == pytest.approx(bar.close / ((bar.close + last.close) / 2) - 1)
    assert values_of("volume_ratio", period=2)[-1] == pytest.approx(bar.volume / ((bar.volume + last.volume) / 2))
    assert values_of("bb_position")[-1] == pytest.approx(
        (bar.close - values_of("bb_lower")[-1]) / (values_of("bb_upper")[-1] - values_of("bb_lower")[-1])
    )
    assert values_of("atr_ratio")[-1] == pytest.approx(values_of("atr")[-1] / bar.close)


@pytest.mark.parametrize("name", FEATURES)
def test_every_feature_of_the_catalogue_is_computed_from_its_first_bar_on(name):
    config = FeatureConfig.model_validate(name)
    table = FeatureTable([config])
    values = table.rows(HISTORY, len(HISTORY))[:, 0]
    first = int(np.argmax(np.isfinite(values)))
    assert first + 1 == table.min_bars
    assert np.isfinite(values[first:]).all()
    assert table.warmup >= table.min_bars or table.min_bars == table.warmup


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(sorted(FEATURES)), end=st.integers(2, 600), rows=st.integers(1, 30))
def test_the_end_of_a_prefix_has_the_very_values_of_the_whole(name, end, rows):
    table = FeatureTable([FeatureConfig.model_validate(name)])
    whole = table.rows(HISTORY, len(HISTORY))[max(0, end - rows) : end]
    part = table.rows(columns_of(BARS[:end]), rows)
    np.testing.assert_array_equal(part[-len(whole) :], whole)
    assert len(part) == rows


@pytest.mark.parametrize("name", FEATURES)
def test_bars_in_which_nothing_moves_give_defined_values(name):
    still = columns_of([bar._replace(open=5.0, high=5.0, low=5.0, close=5.0, volume=0.0) for bar in BARS[:80]])
    assert np.isfinite(values_of(name, still)[-1])


@pytest.mark.parametrize("name", FEATURES)
def test_after_its_warm_up_a_feature_has_forgotten_where_the_history_began(name):
    table = FeatureTable([FeatureConfig.model_validate(name)])
    bars = made_up_bars(table.warmup + 100, seed=3)
    whole, late = columns_of(bars), columns_of(bars[100:])
    np.testing.assert_allclose(table.rows(late, 1), table.rows(whole, 1), rtol=1e-12, atol=1e-12)


def test_the_page_of_models_explains_every_feature_as_the_catalogue_does():
    page = (Path(__file__).parents[3] / "docs" / "ml-strategies.md").read_text(encoding="utf-8")
    for spec in FEATURES.values():
        defaults = ", ".join(f"`{item.name}` {item.default}" for item in spec.parameters)
        assert f"| `{spec.name}` | {spec.meaning} | {defaults} |" in page


def test_the_example_of_the_page_of_models_is_a_valid_strategy():
    page = (Path(__file__).parents[3] / "docs" / "ml-strategies.md").read_text(encoding="utf-8")
    config, problems, notices = parse_strategy(json.loads(page.partition("```json\n")[2].partition("```")[0]))
    assert (problems, notices) == ([], [])
    assert config.exit.name == "ATRExitMixin"
