"""What a model says of each bar, as an indicator: a value follows from the bars before it and nothing else."""

from collections.abc import Callable, Mapping

import numpy as np

from bot_core.models.errors import InvalidBotError
from bot_core.models.ml_strategy import Layout, OnnxConfig
from bot_runtime.indicators.base import Columns, Floats
from bot_runtime.ml.features import FeatureTable
from bot_runtime.ml.files import model_file
from bot_runtime.ml.onnx_model import OnnxModel


def windowed(rows: Floats, window: int, score: Callable[[int, Floats], float]) -> Floats:
    """Return a score for each window of rows, by its index; NaN where a feature of the window is not defined."""
    count = len(rows) - window + 1
    scores = np.full(count, np.nan)
    undefined = np.concatenate(([0], np.cumsum(~np.isfinite(rows).all(axis=1))))
    for index in range(count):
        if undefined[index + window] == undefined[index]:
            scores[index] = score(index, rows[index : index + window])
    return scores


def wanted_bars(columns: Columns, tail: int | None) -> int:
    return len(columns.close) if tail is None else min(tail, len(columns.close))


def laid_out(window: Floats, layout: Layout) -> Floats:
    """Put a window (bars, features) into a batch of one."""
    match layout:
        case Layout.BARS_FEATURES:
            return window[np.newaxis]
        case Layout.FEATURES_BARS:
            return window.T[np.newaxis]
        case Layout.FLAT:
            return window.reshape(1, -1)


class OnnxScore:
    """The score of an ONNX model over a window of features; output `score`."""

    def __init__(self, config: OnnxConfig) -> None:
        self._window = config.window
        self._layout = config.layout
        self._table = FeatureTable(config.features)
        self._model = OnnxModel.load(model_file(config.model_path, "model_path"))
        self._input = self._model.the_input()
        self._output = self._chosen_output(config)
        shape = laid_out(np.zeros((config.window, self._table.width)), config.layout).shape
        self._index = self._chosen_index(config, self._model.probe({self._input: shape}, self._output))

    @property
    def min_bars(self) -> int:
        return self._table.min_bars + self._window - 1

    @property
    def warmup(self) -> int:
        return self._table.warmup + self._window

    def compute(self, columns: Columns, tail: int | None = None) -> Mapping[str, Floats]:
        rows = self._table.rows(columns, wanted_bars(columns, tail) + self._window - 1)
        return {"score": windowed(rows, self._window, self._score)}

    def _score(self, _index: int, window: Floats) -> float:
        return float(self._model.run({self._input: laid_out(window, self._layout)}, self._output)[self._index])

    def _chosen_output(self, config: OnnxConfig) -> str:
        names = self._model.outputs
        chosen = config.output if config.output is not None or len(names) > 1 else names[0]
        if chosen is None or chosen not in names:
            allowed = ", ".join(names)
            raise InvalidBotError(f"output: {chosen!r} is no output of {self._model.name}; allowed: {allowed}")
        return chosen

    def _chosen_index(self, config: OnnxConfig, size: int) -> int:
        if config.output_index is None and size == 1:
            return 0
        if config.output_index is None or config.output_index >= size:
            raise InvalidBotError(
                f"output_index: {config.output_index} of {size} numbers that {self._model.name} gives; "
                f"allowed: 0 to {size - 1}"
            )
        return config.output_index
