"""Small models for tests: trained with numpy on made-up bars, written in the formats that the product reads."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bot_core.models.ml_features import FeatureConfig
from bot_runtime.domain.bar import Bar
from bot_runtime.indicators.history import History
from bot_runtime.ml.features import FeatureTable
from bot_runtime.ml.onnx_model import OnnxModel
from bot_runtime.ml.regimes import Regimes


def columns_of(bars: Sequence[Bar]) -> History:
    history = History(1)
    history.extend(bars)
    return history


def feature_configs(features: Sequence[Any]) -> list[FeatureConfig]:
    return [FeatureConfig.model_validate(item) for item in features]


def write_onnx(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: dict[str, Any]) -> Path:
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "small", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


def tensor(name: str, *shape: Any, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def write_trained_classifier(path: Path, bars: Sequence[Bar], features: Sequence[Any], window: int) -> Path:
    """A logistic regression for "the close is higher in five bars", by gradient descent, as a graph."""
    ahead = 5
    rows = FeatureTable(feature_configs(features)).rows(columns_of(bars), len(bars))
    closes = np.array([bar.close for bar in bars])
    usable = [i for i in range(window - 1, len(bars) - ahead) if np.isfinite(rows[i - window + 1 : i + 1]).all()]
    inputs = np.array([rows[i - window + 1 : i + 1].ravel() for i in usable])
    targets = (closes[np.array(usable) + ahead] > closes[usable]).astype(float)
    mean, scale = inputs.mean(axis=0), inputs.std(axis=0) + 1e-12
    scaled, weights, bias = (inputs - mean) / scale, np.zeros(inputs.shape[1]), 0.0
    for _ in range(300):
        error = 1 / (1 + np.exp(-(scaled @ weights + bias))) - targets
        weights -= 0.1 * scaled.T @ error / len(error)
        bias -= 0.1 * error.mean()
    slope = (weights / scale).astype(np.float32)[:, np.newaxis]
    level = np.array([bias - (weights / scale * mean).sum()], dtype=np.float32)
    nodes = [
        helper.make_node("Reshape", ["x", "flat"], ["row"]),
        helper.make_node("Gemm", ["row", "slope", "level"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["probability"]),
    ]
    flat = np.array([1, window * len(features)], dtype=np.int64)
    return write_onnx(
        path,
        nodes,
        [tensor("x", 1, window, len(features))],
        [tensor("probability", 1, 1)],
        {"flat": flat, "slope": slope, "level": level},
    )


def write_hmm(path: Path, features: Sequence[Any], means: Sequence[Any], covars: Sequence[Any], **more: Any) -> Path:
    states = len(means)
    stay = 0.9
    leave = (1 - stay) / (states - 1)
    document = {
        "features": list(features),
        "start": [1 / states] * states,
        "transition": [[stay if i == j else leave for j in range(states)] for i in range(states)],
        "means": means,
        "covars": covars,
        "window": 20,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document | more))
    return path


def write_lstm(
    path: Path, features: Sequence[Any], length: int, *, regimes: int | None, head: Any = None, **more: Any
) -> Path:
    """A real LSTM of one layer and two units, its last state mapped to numbers; with a regime beside it, or not."""
    hidden, width = 2, len(features)
    noise = np.random.default_rng(5)
    head = noise.normal(0, 1.0, (hidden + (regimes or 0), 1)) if head is None else head
    weights = {
        "W": noise.normal(0, 0.6, (1, 4 * hidden, width)).astype(np.float32),
        "R": noise.normal(0, 0.3, (1, 4 * hidden, hidden)).astype(np.float32),
        "B": np.zeros((1, 8 * hidden), dtype=np.float32),
        "head": head.astype(np.float32),
        "axes": np.array([0], dtype=np.int64),
    }
    nodes = [
        helper.make_node("Transpose", ["sequence"], ["by_time"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["by_time", "W", "R", "B"], ["", "last"], hidden_size=hidden),
        helper.make_node("Squeeze", ["last", "axes"], ["state"]),
        *([helper.make_node("Concat", ["state", "regime"], ["known"], axis=1)] if regimes else []),
        helper.make_node("MatMul", ["known" if regimes else "state", "head"], ["prediction"]),
    ]
    inputs = [tensor("sequence", "batch", length, width)] + ([tensor("regime", "batch", regimes)] if regimes else [])
    write_onnx(path, nodes, inputs, [tensor("prediction", "batch", head.shape[1])], weights)
    document = {"features": list(features), "sequence_length": length} | more
    path.with_name(f"{path.stem}_config.json").write_text(json.dumps(document))
    return path


def write_trained_lstm(path: Path, bars: Sequence[Bar], features: Sequence[Any], length: int, hmm: Regimes) -> Path:
    """The LSTM above with a head that is trained, by least squares, on the next bar's log return."""
    columns = columns_of(bars)
    rows = FeatureTable(feature_configs(features)).rows(columns, len(bars))
    regimes = hmm.compute(columns)["regime"]
    usable = [i for i in range(length - 1, len(bars) - 1) if np.isfinite(rows[i - length + 1]).all()]
    usable = [i for i in usable if np.isfinite(regimes[i])]
    scaler = {"mean": np.nanmean(rows, axis=0).tolist(), "scale": np.nanstd(rows, axis=0).tolist()}
    scaled = (rows - scaler["mean"]) / scaler["scale"]
    states = OnnxModel.load(write_lstm(path, features, length, regimes=hmm.count, head=np.eye(2 + hmm.count)))
    hot = np.eye(hmm.count)
    feeds = [{"sequence": scaled[np.newaxis, i - length + 1 : i + 1], "regime": hot[[int(regimes[i])]]} for i in usable]
    known = np.array([states.run(feed, "prediction") for feed in feeds])
    returns = np.diff(np.log([bar.close for bar in bars]))[usable]
    target = {"mean": [float(returns.mean())], "scale": [float(returns.std())]}
    head, *_ = np.linalg.lstsq(known, (returns - target["mean"][0]) / target["scale"][0], rcond=None)
    return write_lstm(path, features, length, regimes=hmm.count, head=head[:, np.newaxis], scaler=scaler, target=target)


def write_cnn(path: Path, length: int, *, pooled: int = 3, **more: Any) -> Path:
    """A convolution over the bars of five channels, then the average of each filter."""
    noise = np.random.default_rng(9)
    weights = {
        "filters": noise.normal(0, 0.5, (pooled, 5, 3)).astype(np.float32),
        "flat": np.array([1, pooled], dtype=np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["bars", "filters"], ["maps"], kernel_shape=[3]),
        helper.make_node("Relu", ["maps"], ["active"]),
        helper.make_node("GlobalAveragePool", ["active"], ["pooled"]),
        helper.make_node("Reshape", ["pooled", "flat"], ["features"]),
    ]
    write_onnx(path, nodes, [tensor("bars", 1, 5, length)], [tensor("features", 1, pooled)], weights)
    path.with_name(f"{path.stem}_config.json").write_text(json.dumps({"sequence_length": length} | more))
    return path


def stump(feature: int, limit: float, left: float, right: float) -> dict[str, Any]:
    """One split as XGBoost writes it."""
    return {
        "left_children": [1, -1, -1],
        "right_children": [2, -1, -1],
        "split_indices": [feature, 0, 0],
        "split_conditions": [limit, left, right],
        "default_left": [1, 0, 0],
        "split_type": [0, 0, 0],
    }


def booster_document(trees: Sequence[Any], features: int, **more: Any) -> dict[str, Any]:
    learner = {
        "learner_model_param": {"base_score": "5E-1", "num_class": "0", "num_feature": str(features)},
        "objective": {"name": "binary:logistic"},
        "gradient_booster": {"name": "gbtree", "model": {"trees": list(trees)}},
    }
    return {"learner": learner | more, "version": [2, 1, 0]}


def write_boosters(folder: Path, trees: Sequence[Any], features: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for target in ("direction", "volatility", "trend", "magnitude"):
        path = folder / f"target_{target}_model.json"
        path.write_text(json.dumps(booster_document(trees, features)))
    return folder


def trained_stumps(rows: Any, targets: Any, rounds: int = 8) -> list[dict[str, Any]]:
    """Boost stumps on the log loss, split at medians: a small true training of the trees."""
    margin, trees = np.zeros(len(rows)), []
    for index in range(rounds):
        error = targets - 1 / (1 + np.exp(-margin))
        feature = index % rows.shape[1]
        limit = float(np.float32(np.quantile(rows[:, feature], 0.3 + 0.1 * (index % 5))))
        below = rows[:, feature].astype(np.float32) < np.float32(limit)
        if below.all() or not below.any():
            continue
        left, right = float(4 * error[below].mean()), float(4 * error[~below].mean())
        margin += np.where(below, left, right)
        trees.append(stump(feature, limit, left, right))
    return trees


def logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value))
