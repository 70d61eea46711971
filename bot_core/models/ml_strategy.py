"""Strategies that a trained model decides: which files they read, and by which numbers they act on what it says.

A fraction is of the entry price. The files themselves are judged by the runtime, which has them.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from bot_core.models.ml_features import FeatureList
from bot_core.models.problem import Notice, Problem

ONNX = "ONNXStrategy"
HMM_LSTM = "HMMLSTMStrategy"
CNN_XGBOOST = "CNNXGBoostStrategy"

_LONGEST_WINDOW = 2000
# The most that the weighted sum of (probability - 0.5) can be, with weights that add up to 1.
_STRONGEST_SIGNAL = 0.5

_File = Annotated[str, StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=500)]
_Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_Fraction = Annotated[float, Field(strict=True, gt=0, le=1)]
_Probability = Annotated[float, Field(strict=True, ge=0, le=1)]


class Layout(StrEnum):
    """How bars and features lie in the input of a model, after the place for the batch."""

    BARS_FEATURES = "bars_features"
    FEATURES_BARS = "features_bars"
    FLAT = "flat"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    @property
    def can_exit(self) -> bool:
        return True


class OnnxConfig(_Model):
    """Buys when the model's score is at or above `entry_threshold`, sells at or below `exit_threshold`."""

    model_path: _File
    features: FeatureList
    window: Annotated[int, Field(strict=True, ge=1, le=_LONGEST_WINDOW)] = 1
    layout: Layout = Layout.BARS_FEATURES
    output: _File | None = None
    output_index: Annotated[int, Field(strict=True, ge=0)] | None = None
    entry_threshold: _Number
    exit_threshold: _Number | None = None
    stop_loss: _Fraction | None = None
    take_profit: Annotated[float, Field(strict=True, gt=0)] | None = None

    @property
    def can_exit(self) -> bool:
        return any(value is not None for value in (self.exit_threshold, self.stop_loss, self.take_profit))


class HmmLstmConfig(_Model):
    """Buys when the regime is known well enough and the predicted log return is at least `prediction_threshold`."""

    hmm_model_path: _File
    lstm_model_path: _File
    prediction_threshold: Annotated[float, Field(strict=True, gt=0, le=1)] = 0.001
    regime_confidence_threshold: _Probability = 0.4
    profit_target: Annotated[float, Field(strict=True, gt=0)] = 0.01
    stop_loss: _Fraction = 0.005
    trailing_stop: _Fraction = 0.005
    regime_change_confidence: _Probability = 0.7
    min_confidence: _Probability = 0.3


class Weights(BaseModel):
    """How much each target's probability counts. Only their proportions matter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    direction: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] = 0.4
    volatility: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] = 0.2
    trend: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] = 0.2
    magnitude: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] = 0.2


class CnnXgboostConfig(_Model):
    """Buys when the signal, the weighted sum of (probability - 0.5), is at least `signal_threshold`."""

    cnn_model_path: _File
    xgb_models_dir: _File
    signal_threshold: Annotated[float, Field(strict=True, gt=0, le=_STRONGEST_SIGNAL)] = 0.1
    weights: Weights = Weights()
    direction_exit: _Probability = 0.3
    all_below: _Probability = 0.4
    stop_loss: _Fraction = 0.01
    take_profit: Annotated[float, Field(strict=True, gt=0)] = 0.02

    @field_validator("weights")
    @classmethod
    def _weighs_something(cls, value: Weights) -> Weights:
        if sum(value.model_dump().values()) <= 0:
            raise ValueError("are all 0; allowed: at least one above 0")
        return value


ModelConfig: TypeAlias = OnnxConfig | HmmLstmConfig | CnnXgboostConfig
ML_STRATEGIES: Mapping[str, type[ModelConfig]] = {
    ONNX: OnnxConfig,
    HMM_LSTM: HmmLstmConfig,
    CNN_XGBOOST: CnnXgboostConfig,
}


def parse_model(
    kind: str, parameters: Mapping[str, Any], path: str, problems: list[Problem], notices: list[Notice]
) -> ModelConfig | None:
    """Read the parameters of a type in ML_STRATEGIES; None where there is a problem."""
    model = ML_STRATEGIES[kind]
    unknown = [key for key in parameters if key not in model.model_fields]
    notices += [Notice(f"{path}.{key}", _UNREAD.get(key, "is not known here; kept, not read")) for key in unknown]
    # An absent value and null are the same in a document.
    given = {key: value for key, value in parameters.items() if value is not None and key not in unknown}
    if kind == CNN_XGBOOST:
        given = _reachable(given, path, notices)
    try:
        return model.model_validate(given)
    except ValidationError as error:
        for item in error.errors():
            missing = item["type"] == "missing"
            where = ".".join([path, *(str(part) for part in item["loc"])])
            message = "is missing" if missing else item["msg"].removeprefix("Value error, ")
            problems.append(Problem(where, None if missing else item["input"], message))
        return None


_UNREAD = {
    "allow_short": "is not read: entries are long only",
    "models_dir": "is not read: hmm_model_path and lstm_model_path name the files, so that a restart finds the same",
    "results_dir": "is not read: the file beside the LSTM names its features",
}


def _reachable(given: dict[str, Any], path: str, notices: list[Notice]) -> dict[str, Any]:
    """Read a threshold that the signal can't reach (0.6 in old documents) as the probability that it was meant as."""
    value = given.get("signal_threshold")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not _STRONGEST_SIGNAL < value <= 1:
        return given
    meant = round(value - _STRONGEST_SIGNAL, 12)
    text = f"{value:g} can't be reached, the signal is at most {_STRONGEST_SIGNAL:g}; read as a probability: {meant:g}"
    notices.append(Notice(f"{path}.signal_threshold", text))
    return given | {"signal_threshold": meant}
