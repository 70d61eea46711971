"""HMMLSTMStrategy: a regime model says whether the market is understood, a sequence model predicts the next return.

Buys where the regime is known well enough and the predicted log return is at least the threshold.
"""

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from bot_core.models.errors import InvalidBotError
from bot_core.models.ml_features import FeatureList
from bot_core.models.ml_strategy import HmmLstmConfig
from bot_runtime.exits.base import ExitRule
from bot_runtime.indicators.base import Columns, Floats
from bot_runtime.indicators.view import View
from bot_runtime.ml.features import FeatureTable
from bot_runtime.ml.files import Scaler, check_columns, model_file, read_document, scaled, sibling
from bot_runtime.ml.onnx_model import OnnxModel
from bot_runtime.ml.regimes import Regimes
from bot_runtime.ml.rules import Held, ModelEntry, ModelExit
from bot_runtime.ml.scores import wanted_bars, windowed

_SEQUENCE_RANK = 3


class LstmFile(BaseModel):
    """`X_config.json` beside `X.onnx`; `target` turns what the network says into a log return."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: FeatureList
    sequence_length: Annotated[int, Field(ge=1, le=2000)]
    scaler: Scaler | None = None
    target: Scaler | None = None


class Predictions:
    """The predicted log return; output `prediction`. The network may have a second input, the regime as one-hot."""

    def __init__(self, path: str, regimes: Regimes) -> None:
        model = model_file(path, "lstm_model_path")
        file = read_document(sibling(model, "_config.json"), LstmFile)
        check_columns(file.scaler, len(file.features), "lstm_model_path")
        check_columns(file.target, 1, "lstm_model_path: target")
        self._file = file
        self._regimes = regimes
        self._table = FeatureTable(file.features)
        self._model = OnnxModel.load(model)
        self._sequence, self._regime = self._chosen_inputs()
        self._output = self._model.outputs[0]
        sequence = (1, file.sequence_length, self._table.width)
        shapes = {self._sequence: sequence} | ({} if self._regime is None else {self._regime: (1, regimes.count)})
        if self._model.probe(shapes, self._output) != 1:
            raise InvalidBotError(f"{self._model.name}: output {self._output} holds several numbers; allowed: one")

    @property
    def min_bars(self) -> int:
        return max(self._table.min_bars + self._file.sequence_length - 1, self._regimes.min_bars)

    @property
    def warmup(self) -> int:
        return max(self._table.warmup + self._file.sequence_length, self._regimes.warmup)

    def compute(self, columns: Columns, tail: int | None = None) -> Mapping[str, Floats]:
        wanted = wanted_bars(columns, tail)
        rows = scaled(self._file.scaler, self._table.rows(columns, wanted + self._file.sequence_length - 1))
        known = self._regimes.compute(columns, wanted)["regime"]

        def predicted(index: int, window: Floats) -> float:
            if np.isnan(known[index]):
                return float("nan")
            feeds = {self._sequence: window[np.newaxis]}
            if self._regime is not None:
                feeds[self._regime] = np.eye(self._regimes.count)[[int(known[index])]]
            return self._unscaled(float(self._model.run(feeds, self._output)[0]))

        return {"prediction": windowed(rows, self._file.sequence_length, predicted)}

    def _unscaled(self, value: float) -> float:
        target = self._file.target
        return value if target is None else value * target.scale[0] + target.mean[0]

    def _chosen_inputs(self) -> tuple[str, str | None]:
        inputs = self._model.inputs
        sequences = [name for name, shape in inputs.items() if len(shape) == _SEQUENCE_RANK]
        others = [name for name in inputs if name not in sequences]
        if len(sequences) != 1 or len(others) > 1:
            raise InvalidBotError(
                f"{self._model.name} has the inputs {inputs}; allowed: a sequence (1, bars, features), and beside it "
                "at most the regime (1, states)"
            )
        return sequences[0], others[0] if others else None


class HmmLstmEntry(ModelEntry):
    def __init__(self, name: str, config: HmmLstmConfig, regimes: Regimes, predictions: Predictions) -> None:
        super().__init__(name, regimes, predictions)
        self._config = config
        self._regimes = regimes
        self._predictions = predictions

    def _buys(self, view: View) -> bool:
        sure = view.value(self._regimes, "confidence") >= self._config.regime_confidence_threshold
        return sure and view.value(self._predictions, "prediction") >= self._config.prediction_threshold


class HmmLstmExit(ModelExit):
    """The regime of the entry signal is remembered with the trade."""

    def __init__(
        self, name: str, config: HmmLstmConfig, regimes: Regimes, predictions: Predictions, beside: ExitRule | None
    ) -> None:
        super().__init__(name, beside, regimes, predictions)
        self._config = config
        self._regimes = regimes
        self._predictions = predictions

    def _regime(self, view: View) -> float | None:
        regime = view.value(self._regimes, "regime")
        return None if np.isnan(regime) else regime

    def _reason(self, view: View, profit: float, held: Held) -> str | None:
        config = self._config
        regime, confidence = view.value(self._regimes, "regime"), view.value(self._regimes, "confidence")
        changed = held.regime is not None and not np.isnan(regime) and regime != held.regime
        reasons = {
            "profit_target": profit >= config.profit_target,
            "stop_loss": profit <= -config.stop_loss,
            "trailing_stop": held.best > 0 and held.best - profit >= config.trailing_stop,
            "regime_change": changed and confidence > config.regime_change_confidence,
            "prediction_reversal": view.value(self._predictions, "prediction") <= -config.prediction_threshold,
            "low_confidence": confidence < config.min_confidence,
        }
        return next((reason for reason, applies in reasons.items() if applies), None)
