"""CNNXGBoostStrategy: a network condenses the last bars, boosted trees give a probability for each target.

signal = sum of weight x (probability - 0.5), with weights that add up to 1: from -0.5 to 0.5. Buys at the threshold.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from bot_core.models.errors import InvalidBotError
from bot_core.models.ml_features import FeatureConfig, FeatureList
from bot_core.models.ml_strategy import CnnXgboostConfig, Layout
from bot_runtime.exits.base import ExitRule
from bot_runtime.indicators.base import Columns, Floats
from bot_runtime.indicators.view import View
from bot_runtime.ml.features import FeatureTable
from bot_runtime.ml.files import Scaler, check_columns, model_file, read_document, scaled, sibling
from bot_runtime.ml.onnx_model import OnnxModel
from bot_runtime.ml.rules import Held, ModelEntry, ModelExit
from bot_runtime.ml.scores import laid_out, wanted_bars, windowed
from bot_runtime.ml.trees import Booster

TARGETS = ("direction", "volatility", "trend", "magnitude")
_CHANNELS = tuple(FeatureConfig(name=name) for name in ("open", "high", "low", "close", "volume"))


class CnnFile(BaseModel):
    """`X_config.json` beside `X.onnx`: what the network is given, and the features that the trees get besides."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sequence_length: Annotated[int, Field(ge=1, le=2000)] = 120
    channels: FeatureList = _CHANNELS
    scaler: Scaler | None = None
    layout: Literal[Layout.FEATURES_BARS, Layout.BARS_FEATURES] = Layout.FEATURES_BARS
    features: tuple[()] | FeatureList = ()


class Probabilities:
    """Outputs: each of TARGETS, and `signal`."""

    def __init__(self, config: CnnXgboostConfig) -> None:
        model = model_file(config.cnn_model_path, "cnn_model_path")
        self._file = read_document(sibling(model, "_config.json"), CnnFile)
        check_columns(self._file.scaler, len(self._file.channels), "cnn_model_path")
        self._network = OnnxModel.load(model)
        self._input, self._output = self._network.the_input(), self._network.outputs[0]
        self._channels = FeatureTable(self._file.channels)
        self._besides = FeatureTable(self._file.features) if self._file.features else None
        weights = config.weights.model_dump()
        self._weights = {target: weights[target] / sum(weights.values()) for target in TARGETS}
        self._boosters = {target: _booster(config.xgb_models_dir, target) for target in TARGETS}
        self._check_widths()

    @property
    def min_bars(self) -> int:
        network = self._channels.min_bars + self._file.sequence_length - 1
        return network if self._besides is None else max(network, self._besides.min_bars)

    @property
    def warmup(self) -> int:
        network = self._channels.warmup + self._file.sequence_length
        return network if self._besides is None else max(network, self._besides.warmup)

    def compute(self, columns: Columns, tail: int | None = None) -> Mapping[str, Floats]:
        wanted = wanted_bars(columns, tail)
        rows = scaled(self._file.scaler, self._channels.rows(columns, wanted + self._file.sequence_length - 1))
        besides = np.empty((wanted, 0)) if self._besides is None else self._besides.rows(columns, wanted)
        found = {target: np.full(wanted, np.nan) for target in TARGETS}

        def signal(index: int, window: Floats) -> float:
            if not np.isfinite(besides[index]).all():
                return float("nan")
            row = np.concatenate((self._condensed(window), besides[index]))
            total = 0.0
            for target, weight in self._weights.items():
                chance = self._boosters[target].predict(row)
                found[target][index] = chance
                total += weight * (chance - 0.5)
            return total

        return {"signal": windowed(rows, self._file.sequence_length, signal), **found}

    def _condensed(self, window: Floats) -> Floats:
        return self._network.run({self._input: laid_out(window, self._file.layout)}, self._output)

    def _check_widths(self) -> None:
        shape = laid_out(np.zeros((self._file.sequence_length, self._channels.width)), self._file.layout).shape
        pooled = self._network.probe({self._input: shape}, self._output)
        given = pooled + (0 if self._besides is None else self._besides.width)
        for target, booster in self._boosters.items():
            if booster.features != given:
                raise InvalidBotError(
                    f"xgb_models_dir: the model of {target} takes {booster.features} numbers; the network gives "
                    f"{pooled}, the features {given - pooled}"
                )


def _booster(folder: str, target: str) -> Booster:
    return Booster.load(model_file(f"{folder}/target_{target}_model.json", "xgb_models_dir"))


class CnnXgboostEntry(ModelEntry):
    def __init__(self, name: str, config: CnnXgboostConfig, probabilities: Probabilities) -> None:
        super().__init__(name, probabilities)
        self._threshold = config.signal_threshold
        self._probabilities = probabilities

    def _buys(self, view: View) -> bool:
        return view.value(self._probabilities, "signal") >= self._threshold


class CnnXgboostExit(ModelExit):
    def __init__(
        self, name: str, config: CnnXgboostConfig, probabilities: Probabilities, beside: ExitRule | None
    ) -> None:
        super().__init__(name, beside, probabilities)
        self._config = config
        self._probabilities = probabilities

    def _reason(self, view: View, profit: float, held: Held) -> str | None:  # noqa: ARG002 - the base's
        config = self._config
        chances = [view.value(self._probabilities, target) for target in TARGETS]
        reasons = {
            "stop_loss": profit <= -config.stop_loss,
            "take_profit": profit >= config.take_profit,
            "signal_reversal": view.value(self._probabilities, "signal") <= -config.signal_threshold,
            "direction_against": chances[0] < config.direction_exit,
            "low_probabilities": all(chance < config.all_below for chance in chances),
        }
        return next((reason for reason, applies in reasons.items() if applies), None)
