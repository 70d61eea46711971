import json
import os
import subprocess
import sys
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from bot_core.models.errors import InvalidBotError
from bot_core.models.ml_strategy import ML_STRATEGIES
from bot_core.models.strategy import parse_strategy
from bot_runtime.domain.position import Direction, Position
from bot_runtime.engine.backtest import run_backtest
from bot_runtime.indicators.view import View
from bot_runtime.ml import onnx_model
from bot_runtime.strategies.registry import build_sizing, build_strategy
from support.bars import CASH, COMMISSION, START, made_up_bars, strategy_document
from support.models import columns_of, tensor, write_onnx, write_trained_classifier
from support.restarts import trades_of_a_bot_that_is_restarted

FEATURES = ["log_return", {"name": "rsi", "period": 5}, {"name": "sma_ratio", "period": 10}]
BARS = made_up_bars(1200, seed=4)


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setenv("TRADINGBOT_MODELS", str(tmp_path))
    return tmp_path


def document(**changes):
    parameters = {
        "model_path": "model.onnx",
        "features": FEATURES,
        "window": 4,
        "entry_threshold": 0.55,
        "exit_threshold": 0.48,
        "position_size": 0.5,
    } | changes
    return {
        "type": "ONNXStrategy",
        "parameters": {key: value for key, value in parameters.items() if value is not None},
    }


def config_of(**changes):
    config, problems, _ = parse_strategy(document(**changes))
    assert config is not None, problems
    return config


def problems_of(**changes):
    config, problems, _ = parse_strategy(document(**changes))
    assert config is None
    return [str(problem) for problem in problems]


def backtest(config, bars=BARS):
    return run_backtest(
        build_strategy(config), bars, position_size=build_sizing(config), cash=CASH, commission=COMMISSION
    )


def test_a_trained_model_trades_by_its_thresholds(models):
    write_trained_classifier(models / "model.onnx", BARS[:800], FEATURES, 4)
    result = backtest(config_of())
    assert len(result.trades) > 10
    assert {trade.exit_reason for trade in result.trades} == {"model_exit"}
    assert {trade.entry_reason for trade in result.trades} == {"ONNXStrategy signal"}


def test_the_library_is_told_to_report_nothing_to_its_maker_before_it_is_imported(models):
    write_trained_classifier(models / "model.onnx", BARS[:800], FEATURES, 4)
    code = f"""if True:
        import os, sys
        from pathlib import Path
        from bot_runtime.ml.onnx_model import OnnxModel

        class Watch:
            def find_spec(self, name, *_):
                if name == "onnxruntime":
                    print(os.environ.get("ORT_DISABLE_TELEMETRY"))

        sys.meta_path.insert(0, Watch())
        OnnxModel.load(Path({str(models / "model.onnx")!r}))
    """
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("1\n", 0), done.stderr


def test_an_exit_rule_of_the_catalogue_and_fractions_of_the_price_work_beside_the_model(models):
    write_trained_classifier(models / "model.onnx", BARS[:800], FEATURES, 4)
    exit_logic = {"name": "ATRExitMixin", "params": {"x_atr_period": 5, "x_sl_multiplier": 1.0}}
    config = config_of(exit_threshold=None, exit_logic=exit_logic, stop_loss=0.002, take_profit=0.003)
    assert (config.type, config.entry.name, config.exit.name) == ("ONNXStrategy", "ONNXStrategy", "ATRExitMixin")
    result = backtest(config)
    assert {trade.exit_reason for trade in result.trades} == {"stop_loss", "take_profit"}
    strategy = build_strategy(config)
    assert (strategy.name, strategy.entry_name, strategy.exit_name) == ("ONNXStrategy", "ONNXStrategy", "ATRExitMixin")


def test_a_bot_that_is_thrown_away_at_any_time_makes_the_trades_of_the_backtest(models):
    write_trained_classifier(models / "model.onnx", BARS[:800], FEATURES, 4)
    config = config_of(exit_logic={"name": "ATRExitMixin", "params": {}}, take_profit=0.01)
    whole = [(trade.entry_time, trade.exit_time, trade.net_pnl) for trade in backtest(config).trades]
    parted = trades_of_a_bot_that_is_restarted(config, BARS, every=37)
    assert whole == [(trade.entry_time, trade.exit_time, trade.net_pnl) for trade in parted]
    assert len(whole) > 5


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"model_path": None}, "model_path", "is missing"),
        ({"model_path": ""}, "model_path", "at least 1 character"),
        ({"features": None}, "features", "is missing"),
        ({"features": []}, "features", "is no list of features"),
        ({"features": ["rsj"]}, "features.0", "is not a known feature; allowed: open, high"),
        ({"features": [{"name": "rsi", "length": 3}]}, "features.0", "has a parameter length, which rsi has not"),
        ({"features": [{"name": "rsi", "period": 1}]}, "features.0", "has period 1; allowed: a whole number from 2"),
        ({"window": 0}, "window", "greater than or equal to 1"),
        ({"window": "4"}, "window", "valid integer"),
        ({"entry_threshold": None}, "entry_threshold", "is missing"),
        ({"entry_threshold": float("nan")}, "entry_threshold", "finite number"),
        ({"layout": "sideways"}, "layout", "'bars_features', 'features_bars' or 'flat'"),
        ({"stop_loss": 1.5}, "stop_loss", "less than or equal to 1"),
        ({"exit_logic": {"name": "ATRExit"}}, "exit_logic.name", "did you mean ATRExitMixin?"),
        ({"position_size": 2}, "position_size", "is no fraction"),
    ],
)
def test_what_is_wrong_with_the_parameters_is_named_with_its_path(changes, path, words):
    (problem,) = problems_of(**changes)
    assert problem.startswith(f"strategy.parameters.{path}:")
    assert words in problem


def test_a_strategy_without_any_way_to_sell_is_refused():
    assert "has no way to sell" in problems_of(exit_threshold=None)[0]
    assert config_of(exit_threshold=None, stop_loss=0.1).exit.name == "ONNXStrategy"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_KEYS = [name for model in ML_STRATEGIES.values() for name in model.model_fields]


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(sorted(ML_STRATEGIES)),
    parameters=st.dictionaries(st.sampled_from([*_KEYS, "exit_logic", "position_size"]), _JSON, max_size=6),
)
def test_parameters_with_anything_in_them_raise_nothing_and_every_refusal_names_a_path(kind, parameters):
    config, problems, _ = parse_strategy({"type": kind, "parameters": parameters})
    assert (config is None) == bool(problems)
    assert all(problem.path.startswith("strategy.") and str(problem) for problem in problems)


def test_what_is_not_known_is_kept_and_reported():
    _, problems, notices = parse_strategy(document(allow_short=True, frobnicate=1))
    assert problems == []
    assert [str(notice) for notice in notices] == [
        "strategy.parameters.allow_short: is not read: entries are long only",
        "strategy.parameters.frobnicate: is not known here; kept, not read",
    ]


def identity(path, *shape, outputs=("y",), kind=TensorProto.FLOAT):
    nodes = [helper.make_node("Identity", ["x"], [name]) for name in outputs]
    found = [tensor(name, *shape, kind=kind) for name in outputs]
    return write_onnx(path, nodes, [tensor("x", *shape, kind=kind)], found, {})


@pytest.mark.parametrize(
    ("shape", "changes", "words"),
    [
        ((1, 4, 3), {}, "output_index: None of 12 numbers that model.onnx gives; allowed: 0 to 11"),
        ((1, 4, 3), {"output_index": 12}, "output_index: 12 of 12 numbers"),
        ((1, 4, 2), {"output_index": 0}, "input x has the shape (1, 4, 2); the features give (1, 4, 3)"),
        ((1, 3, 4), {"output_index": 0}, "input x has the shape (1, 3, 4)"),
        ((1, 12), {"output_index": 0}, "input x has the shape (1, 12)"),
        ((1, 4, 3), {"output_index": 0, "output": "z"}, "output: 'z' is no output of model.onnx; allowed: y"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_at_the_start(models, shape, changes, words):
    identity(models / "model.onnx", *shape)
    with pytest.raises(InvalidBotError) as caught:
        build_strategy(config_of(**changes))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "layout", "place"),
    [((1, 4, 3), "bars_features", 9), (("batch", 3, "bars"), "features_bars", 3), (("batch", 12), "flat", 9)],
)
def test_each_layout_gives_the_model_what_its_input_asks_for(models, shape, layout, place):
    identity(models / "model.onnx", *shape)
    strategy = build_strategy(config_of(layout=layout, output_index=place))
    score = strategy.indicators[0].compute(columns_of(BARS[:60]))["score"]
    closes = [bar.close for bar in BARS[:60]]
    assert score[-1] == pytest.approx(np.log(closes[-1] / closes[-2]), abs=1e-7)


def test_several_outputs_need_a_name(models):
    identity(models / "model.onnx", 1, 4, 3, outputs=("label", "chance"))
    with pytest.raises(InvalidBotError, match=r"output: None is no output of model\.onnx; allowed: label, chance"):
        build_strategy(config_of(output_index=0))
    assert build_strategy(config_of(output="chance", output_index=3)).name == "ONNXStrategy"


def test_a_model_of_other_types_is_refused(models):
    identity(models / "model.onnx", 1, 4, 3, kind=TensorProto.INT64)
    with pytest.raises(InvalidBotError, match=r"input x is tensor\(int64\); allowed: tensor\(float\), tensor\(double"):
        build_strategy(config_of())


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("model.onnx", None, "'model.onnx' is not in the folder of models"),
        ("model.onnx", b"no model", "model.onnx is no usable ONNX model"),
        ("../model.onnx", b"", "leads out of the folder of models"),
        ("/etc/hostname", None, "leads out of the folder of models"),
        ("model.pkl", b"", "may hold code, which reading it would run; allowed: ONNX and JSON"),
        ("folder", "", "folder can't be read"),
    ],
)
def test_a_file_that_is_not_to_be_read_is_refused(models, name, content, words):
    if content == "":
        (models / name).mkdir()
    elif content is not None:
        (models / name).write_bytes(content)
    with pytest.raises(InvalidBotError) as caught:
        build_strategy(config_of(model_path=name))
    assert words in str(caught.value)
    assert str(models) not in str(caught.value)


def test_without_the_extra_the_error_says_how_to_install_it(models, monkeypatch):
    (models / "model.onnx").write_bytes(b"")

    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(onnx_model.importlib, "import_module", absent)
    with pytest.raises(InvalidBotError, match=r"pip install tradingbot-operator\[ml\]"):
        build_strategy(config_of())


def test_the_sizes_of_the_document_count_as_for_any_strategy():
    assert config_of(position_size=0.5, max_position_size=0.3).fraction == Decimal("0.3")
    assert json.loads(json.dumps(config_of().model_dump(mode="json")))["model"]["window"] == 4


def test_a_document_that_changes_its_strategy_in_the_middle_of_a_trade_starts_the_new_one_afresh(models):
    write_trained_classifier(models / "model.onnx", BARS[:800], FEATURES, 4)
    exit_logic = {"name": "ATRExitMixin", "params": {}}
    with_model = build_strategy(config_of(exit_logic=exit_logic))
    rules, _, _ = parse_strategy(strategy_document(exit_="ATRExitMixin"))
    by_rules = build_strategy(rules)
    position = Position(Direction.LONG, CASH, Decimal(100), START, START, Decimal(0), "signal")
    view = View(columns_of(BARS), (*with_model.indicators, *by_rules.indicators))
    for one, other in ((with_model, by_rules), (by_rules, with_model)):
        one.opened(position)
        one.exit(view, position)
        other.load_state(json.loads(json.dumps(one.dump_state())))
        other.exit(view, position)
