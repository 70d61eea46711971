import json
import math

import numpy as np
import pytest

from bot_core.models.errors import InvalidBotError
from bot_core.models.strategy import parse_strategy
from bot_runtime.engine.backtest import run_backtest
from bot_runtime.ml.regimes import Regimes
from bot_runtime.strategies.registry import build_sizing, build_strategy
from support.bars import CASH, COMMISSION, bars_of_closes, made_up_bars
from support.models import columns_of, write_hmm, write_lstm
from support.restarts import trades_of_a_bot_that_is_restarted

REGIME_FEATURES = ["log_return", "range"]
FEATURES = ["log_return", {"name": "rsi", "period": 5}, {"name": "macd_hist", "fast": 3, "slow": 6, "signal": 3}]
SCALER = {"mean": [0.0, 50.0, 0.0], "scale": [0.002, 20.0, 1.0]}
BARS = made_up_bars(900, seed=8)
QUIET, WILD = [0.0, 0.001], [0.0, 0.004]


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setenv("TRADINGBOT_MODELS", str(tmp_path))
    write_hmm(tmp_path / "hmm.json", REGIME_FEATURES, [QUIET, WILD], [[1e-6, 1e-6], [1e-5, 4e-6]])
    write_lstm(tmp_path / "lstm.onnx", FEATURES, 12, regimes=2, scaler=SCALER, target={"mean": [0.0], "scale": [0.002]})
    return tmp_path


def config_of(**changes):
    parameters = {"hmm_model_path": "hmm.json", "lstm_model_path": "lstm.onnx", "position_size": 0.5} | changes
    config, problems, _ = parse_strategy({"type": "HMMLSTMStrategy", "parameters": parameters})
    assert config is not None, problems
    return config


def backtest(config, bars=BARS):
    return run_backtest(
        build_strategy(config), bars, position_size=build_sizing(config), cash=CASH, commission=COMMISSION
    )


def test_a_small_pair_of_models_trades_end_to_end(models):
    result = backtest(config_of())
    assert len(result.trades) > 20
    assert {trade.entry_reason for trade in result.trades} == {"HMMLSTMStrategy signal"}
    assert len({trade.exit_reason for trade in result.trades}) >= 3


def test_the_defaults_are_those_of_the_old_strategy():
    model = config_of().model
    assert (model.prediction_threshold, model.regime_confidence_threshold) == (0.001, 0.4)
    assert (model.profit_target, model.stop_loss, model.trailing_stop) == (0.01, 0.005, 0.005)
    assert (model.regime_change_confidence, model.min_confidence) == (0.7, 0.3)


def test_a_bot_that_is_thrown_away_at_any_time_makes_the_trades_of_the_backtest(models):
    config = config_of(profit_target=0.05, trailing_stop=0.02, stop_loss=0.03)
    whole = [(trade.entry_time, trade.exit_time, trade.exit_reason) for trade in backtest(config).trades]
    parted = trades_of_a_bot_that_is_restarted(config, BARS, every=23)
    assert whole == [(trade.entry_time, trade.exit_time, trade.exit_reason) for trade in parted]
    assert len(whole) > 5


def test_the_regime_of_the_entry_is_remembered_and_another_one_ends_the_trade(models):
    # The first half hardly moves, the second jumps: two regimes that nobody can mix up.
    moves = [0.0004 * (-1) ** i for i in range(150)] + [0.01 * (-1) ** i for i in range(60)]
    bars = [bar._replace(high=bar.close * (1.001 if i < 150 else 1.02)) for i, bar in enumerate(_walk(moves))]
    write_hmm(models / "hmm.json", REGIME_FEATURES, [[0, 0.001], [0, 0.02]], [[1e-6, 1e-6], [1e-4, 1e-4]])
    write_lstm(models / "lstm.onnx", ["close"], 3, regimes=None, target={"mean": [0.5], "scale": [1e-9]})
    only_regimes = {"profit_target": 9.0, "stop_loss": 0.9, "trailing_stop": 0.9}
    trades = backtest(config_of(**only_regimes), bars).trades
    assert trades[0].exit_reason == "regime_change"
    assert 150 <= (trades[0].exit_time - bars[0].time).total_seconds() / 60 <= 155
    assert {trade.exit_reason for trade in trades} == {"regime_change"}


def _walk(moves):
    closes = [100.0]
    for move in moves:
        closes.append(closes[-1] * math.exp(move))
    return bars_of_closes(closes)


def test_exits_are_asked_in_the_order_of_the_old_strategy(models):
    write_lstm(models / "lstm.onnx", ["close"], 3, regimes=None, target={"mean": [0.5], "scale": [1e-9]})
    assert {trade.exit_reason for trade in backtest(config_of(profit_target=1e-9, stop_loss=1e-9)).trades} == {
        "profit_target",
        "stop_loss",
    }
    strict = config_of(profit_target=9.0, stop_loss=0.9, trailing_stop=0.9, min_confidence=0.9999)
    assert {trade.exit_reason for trade in backtest(strict).trades} <= {"regime_change", "low_confidence"}


def test_the_filter_agrees_with_the_textbook_recursion_in_logs(models):
    document = json.loads((models / "hmm.json").read_text())
    values = Regimes("hmm.json").compute(columns_of(BARS[:60]))
    bars = BARS[40:60]
    before = [bar.close for bar in BARS[39:59]]
    observed = [
        (math.log(bar.close / last), (bar.high - bar.low) / bar.close) for bar, last in zip(bars, before, strict=True)
    ]
    chances = np.array(document["start"])
    for step, seen in enumerate(observed):
        if step:
            chances = chances @ np.array(document["transition"])
        for state in range(2):
            for value, mean, variance in zip(seen, document["means"][state], document["covars"][state], strict=True):
                chances[state] *= math.exp(-((value - mean) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)
        chances = chances / chances.sum()
    assert values["regime"][-1] == chances.argmax()
    assert values["confidence"][-1] == pytest.approx(chances.max(), rel=1e-9)


def test_a_matrix_of_covariances_with_nothing_off_its_diagonal_is_the_same_as_variances(models):
    plain = Regimes("hmm.json").compute(columns_of(BARS))["confidence"]
    full = [[[1e-6, 0], [0, 1e-6]], [[1e-5, 0], [0, 4e-6]]]
    write_hmm(models / "hmm.json", REGIME_FEATURES, [QUIET, WILD], full)
    np.testing.assert_array_equal(Regimes("hmm.json").compute(columns_of(BARS))["confidence"], plain)


def test_covariances_that_are_symmetric_but_for_the_last_bits_are_taken_as_a_fit_gives_them(models):
    nearly = [[[1e-6, 2e-7], [2e-7 + 1e-21, 1e-6]], [[1e-5, 0], [1e-20, 4e-6]]]
    write_hmm(models / "hmm.json", REGIME_FEATURES, [QUIET, WILD], nearly)
    assert np.isfinite(Regimes("hmm.json").compute(columns_of(BARS))["confidence"]).any()


def test_the_end_of_the_bars_gives_the_very_values_of_the_whole(models):
    strategy = build_strategy(config_of())
    for indicator in strategy.indicators:
        whole = indicator.compute(columns_of(BARS))
        tail = indicator.compute(columns_of(BARS), 2)
        for output, values in whole.items():
            np.testing.assert_array_equal(tail[output][-2:], values[-2:])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"start": [0.5, 0.6]}, "does not add up to 1"),
        ({"start": [1.0]}, "transition has 2 rows; allowed: 1"),
        ({"means": [[0.0, 0.0], [0.0]]}, "means has a row of another length; allowed: 2"),
        ({"transition": [[1.0], [1.0]]}, "transition has a row of another length"),
        ({"covars": [[1e-6, 0], [1e-6, 1e-6]]}, "not positive definite"),
        ({"covars": [[1e-6], [1e-6]]}, "covars is for another number of features"),
        ({"features": ["rsj", "range"]}, "is not a known feature"),
        ({"scaler": {"mean": [0], "scale": [1]}}, "the scaler has 1 columns; allowed: 2"),
        ({"scaler": {"mean": [0, 0], "scale": [1, 0]}}, "greater than 0"),
        ({"model": "pickled"}, "model: Extra inputs are not permitted"),
    ],
)
def test_a_regime_file_that_does_not_fit_together_is_refused(models, changes, words):
    path = models / "hmm.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(InvalidBotError) as caught:
        build_strategy(config_of())
    assert words in str(caught.value)


def test_a_network_that_does_not_fit_its_description_or_the_regimes_is_refused(models):
    write_lstm(models / "lstm.onnx", FEATURES, 12, regimes=3)
    with pytest.raises(InvalidBotError, match=r"input regime has the shape \(any, 3\); the features give \(1, 2\)"):
        build_strategy(config_of())
    write_lstm(models / "lstm.onnx", FEATURES, 12, regimes=None, sequence_length=11)
    with pytest.raises(InvalidBotError, match=r"input sequence has the shape \(any, 12, 3\); the features give"):
        build_strategy(config_of())
    (models / "lstm_config.json").unlink()
    with pytest.raises(InvalidBotError, match=r"lstm_config\.json can't be read"):
        build_strategy(config_of())


def test_old_pickles_are_refused_with_the_way_out(models):
    (models / "hmm_BTCUSDT_1h_20250101.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(InvalidBotError, match="may hold code"):
        build_strategy(config_of(hmm_model_path="hmm_BTCUSDT_1h_20250101.pkl"))


def test_a_folder_of_the_newest_files_is_not_read_and_the_notice_says_why():
    parameters = {"models_dir": "models", "allow_short": True}
    config, problems, notices = parse_strategy({"type": "HMMLSTMStrategy", "parameters": parameters})
    assert config is None
    assert {problem.path.rpartition(".")[2] for problem in problems} == {"hmm_model_path", "lstm_model_path"}
    assert "so that a restart finds the same" in str(notices[0])
