import json
from pathlib import Path

import numpy as np
import pytest

from bot_core.models.errors import InvalidBotError
from bot_core.models.strategy import parse_strategy
from bot_runtime.engine.backtest import run_backtest
from bot_runtime.ml.cnn_xgboost import TARGETS, Probabilities
from bot_runtime.ml.features import FeatureTable
from bot_runtime.ml.trees import Booster
from bot_runtime.strategies.registry import build_sizing, build_strategy
from support.bars import CASH, COMMISSION, made_up_bars
from support.models import (
    booster_document,
    columns_of,
    feature_configs,
    logistic,
    stump,
    trained_stumps,
    write_boosters,
    write_cnn,
)
from support.restarts import trades_of_a_bot_that_is_restarted

FEATURES = [{"name": "rsi", "period": 5}, "log_return", {"name": "sma_ratio", "period": 10}]
BARS = made_up_bars(900, seed=8)
LENGTH, POOLED = 20, 3


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setenv("TRADINGBOT_MODELS", str(tmp_path))
    closes = np.array([bar.close for bar in BARS])
    scaler = {"mean": [closes.mean()] * 4 + [0.0], "scale": [closes.std()] * 4 + [1000.0]}
    write_cnn(tmp_path / "cnn.onnx", LENGTH, pooled=POOLED, scaler=scaler, features=FEATURES)
    rows = FeatureTable(feature_configs(FEATURES)).rows(columns_of(BARS), len(BARS))[20:-5]
    trees = trained_stumps(rows, (closes[25:] > closes[20:-5]).astype(float))
    for tree in trees:
        tree["split_indices"][0] += POOLED  # after what the network gives
    write_boosters(tmp_path / "xgb", trees, POOLED + len(FEATURES))
    return tmp_path


def parsed(**changes):
    parameters = {"cnn_model_path": "cnn.onnx", "xgb_models_dir": "xgb", "position_size": 0.5} | changes
    return parse_strategy({"type": "CNNXGBoostStrategy", "parameters": parameters})


def config_of(**changes):
    config, problems, _ = parsed(**changes)
    assert config is not None, problems
    return config


def backtest(config, bars=BARS):
    return run_backtest(
        build_strategy(config), bars, position_size=build_sizing(config), cash=CASH, commission=COMMISSION
    )


def test_a_small_network_and_trained_trees_trade_end_to_end(models):
    result = backtest(config_of(signal_threshold=0.05))
    assert len(result.trades) > 10
    assert {trade.entry_reason for trade in result.trades} == {"CNNXGBoostStrategy signal"}
    assert len({trade.exit_reason for trade in result.trades}) >= 2


def test_a_bot_that_is_thrown_away_at_any_time_makes_the_trades_of_the_backtest(models):
    config = config_of(signal_threshold=0.05, exit_logic={"name": "ATRExitMixin", "params": {}})
    whole = [(trade.entry_time, trade.exit_time, trade.exit_reason) for trade in backtest(config).trades]
    parted = trades_of_a_bot_that_is_restarted(config, BARS, every=23)
    assert whole == [(trade.entry_time, trade.exit_time, trade.exit_reason) for trade in parted]
    assert len(whole) > 5


def test_the_signal_is_the_weighted_sum_of_what_the_targets_say(models):
    write_boosters(models / "xgb", [stump(0, 0.0, 1.0, 1.0)], POOLED + 3)
    (models / "xgb" / "target_direction_model.json").write_text(
        json.dumps(booster_document([stump(0, 0.0, -2.0, -2.0)], POOLED + 3))
    )
    values = Probabilities(config_of(weights={"direction": 3, "volatility": 1, "trend": 0, "magnitude": 0}).model)
    found = values.compute(columns_of(BARS))
    assert found["direction"][-1] == pytest.approx(logistic(-2))
    assert found["trend"][-1] == pytest.approx(logistic(1))
    expected = 0.75 * (logistic(-2) - 0.5) + 0.25 * (logistic(1) - 0.5)
    assert found["signal"][-1] == pytest.approx(expected)
    assert np.isnan(found["signal"][:20]).any()
    assert set(found) == {"signal", *TARGETS}


@pytest.mark.parametrize(
    ("margin", "changes", "reasons"),
    [
        (2.0, {}, {"stop_loss", "take_profit"}),
        (2.0, {"stop_loss": 0.0001, "take_profit": 0.5}, {"stop_loss"}),
        (2.0, {"direction_exit": 0.95}, {"direction_against"}),
        (2.0, {"all_below": 0.95, "direction_exit": 0.0}, {"low_probabilities"}),
    ],
)
def test_each_reason_to_sell_can_be_met(models, margin, changes, reasons):
    write_boosters(models / "xgb", [stump(0, 0.0, margin, margin)], POOLED + 3)
    trades = backtest(config_of(**changes)).trades
    assert trades
    assert {trade.exit_reason for trade in trades} <= reasons | {"stop_loss", "take_profit"}
    assert {trade.exit_reason for trade in trades} & reasons


def test_the_old_threshold_of_probability_is_read_as_one_the_signal_can_reach():
    config, _, notices = parsed(signal_threshold=0.6)
    assert config.model.signal_threshold == 0.1
    (notice,) = notices
    assert notice.path == "strategy.parameters.signal_threshold"
    assert notice.message == "0.6 can't be reached, the signal is at most 0.5; read as a probability: 0.1"
    assert parsed()[0].model.signal_threshold == 0.1
    assert parsed(signal_threshold=0.5)[0].model.signal_threshold == 0.5
    assert parsed(signal_threshold=1.1)[0] is None


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({"direction": -1}, "greater than or equal to 0"),
        ({"dirction": 1}, "Extra inputs"),
        ({"direction": 0, "volatility": 0, "trend": 0, "magnitude": 0}, "are all 0"),
    ],
)
def test_weights_that_mean_nothing_are_refused(weights, words):
    config, problems, _ = parsed(weights=weights)
    assert config is None
    assert words in str(problems[0])


def test_models_that_do_not_fit_each_other_are_refused(models):
    write_boosters(models / "xgb", [], POOLED)
    with pytest.raises(InvalidBotError, match="the model of direction takes 3 numbers; the network gives 3, the feat"):
        build_strategy(config_of())
    (models / "xgb" / "target_trend_model.json").unlink()
    with pytest.raises(InvalidBotError, match=r"target_trend_model\.json' is not in the folder of models"):
        build_strategy(config_of())
    (models / "cnn.pth").write_bytes(b"")
    with pytest.raises(InvalidBotError, match="may hold code"):
        build_strategy(config_of(cnn_model_path="cnn.pth"))


def deep_tree():
    """Two levels; the left child asks another feature, a missing value goes right at the root."""
    return {
        "left_children": [1, 3, -1, -1, -1],
        "right_children": [2, 4, -1, -1, -1],
        "split_indices": [0, 1, 0, 0, 0],
        "split_conditions": [0.1, 5.0, 0.25, -0.5, 0.75],
        "default_left": [0, 1, 0, 0, 0],
        "split_type": [0] * 5,
    }


@pytest.mark.parametrize(
    ("row", "leaf"),
    [
        ([0.0, 4.9], -0.5),
        ([0.0, 5.0], 0.75),
        ([0.2, 0.0], 0.25),
        ([0.1, 0.0], 0.25),  # 0.1 as float32 is not below 0.1 as float32, though it is above it as float64
        ([float("nan"), 0.0], 0.25),
        ([0.0, float("nan")], -0.5),
    ],
)
def test_a_row_falls_into_the_leaf_that_xgboost_would_choose(row, leaf):
    booster = Booster(booster_document([deep_tree(), stump(0, 9.0, 0.125, 0.5)], 2))
    assert booster.predict(np.array(row)) == pytest.approx(logistic(leaf + 0.125))


def test_a_model_that_stopped_early_predicts_with_its_best_iteration_only():
    trees = [stump(0, 9.0, leaf, leaf) for leaf in (0.5, 0.25, -3.0)]
    booster = Booster(booster_document(trees, 1, attributes={"best_iteration": "1"}))
    assert booster.predict(np.zeros(1)) == pytest.approx(logistic(0.75))


@pytest.mark.parametrize("base_score", ["2E-1", "[2E-1]", "0.2"])
def test_the_base_score_is_a_probability_for_a_logistic_objective(base_score):
    parameters = {"base_score": base_score, "num_class": "0", "num_feature": "1"}
    booster = Booster(booster_document([], 1, learner_model_param=parameters))
    assert booster.predict(np.zeros(1)) == pytest.approx(0.2)
    plain = Booster(booster_document([], 1, learner_model_param=parameters, objective={"name": "reg:squarederror"}))
    assert plain.predict(np.zeros(1)) == 0.2


def _with(**changes):
    return booster_document([stump(0, 0.0, 1.0, 2.0) | changes], 2)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "TypeError"),
        ({}, "KeyError: 'learner'"),
        (
            booster_document([], 1, objective={"name": "multi:softprob"}),
            "objective multi:softprob; allowed: binary:log",
        ),
        (booster_document([], 1, gradient_booster={"name": "dart", "model": {}}), "booster dart; allowed: gbtree"),
        (_with(split_type=[1, 0, 0]), "a split is by category"),
        (_with(left_children=[0, -1, -1]), "node 0 of a tree leads to 0 and 2"),
        (_with(right_children=[7, -1, -1]), "node 0 of a tree leads to 1 and 7"),
        (_with(split_indices=[2, 0, 0]), "asks for feature 2 of 2"),
        (_with(default_left=[1]), "lists of different lengths"),
        (
            booster_document([], 1, learner_model_param={"base_score": "1", "num_feature": "1"}),
            "base_score 1.0; allowed",
        ),
    ],
)
def test_trees_that_cannot_be_evaluated_are_refused(tmp_path, document, words):
    path = tmp_path / "target_trend_model.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InvalidBotError) as caught:
        Booster.load(path)
    assert words in str(caught.value)
    assert "target_trend_model.json is no model of XGBoost in JSON" in str(caught.value)


def test_a_model_that_xgboost_wrote_gives_the_probabilities_that_xgboost_gave():
    document = json.loads((Path(__file__).parent / "golden" / "xgboost.json").read_text())
    booster = Booster(document["model"])
    for row, expected in zip(document["rows"], document["probabilities"], strict=True):
        given = np.array([np.nan if value is None else value for value in row])
        assert booster.predict(given) == pytest.approx(expected, abs=1e-6)
