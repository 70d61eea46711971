"""Strategies that a trained model decides, built from their files. A CustomStrategy whose rules ask the model."""

from collections.abc import Mapping
from typing import Any, assert_never

from bot_core.models.ml_strategy import CnnXgboostConfig, HmmLstmConfig, ModelConfig, OnnxConfig
from bot_runtime.entries.base import EntryRule
from bot_runtime.exits.base import ExitRule
from bot_runtime.ml.cnn_xgboost import CnnXgboostEntry, CnnXgboostExit, Probabilities
from bot_runtime.ml.hmm_lstm import HmmLstmEntry, HmmLstmExit, Predictions
from bot_runtime.ml.regimes import Regimes
from bot_runtime.ml.rules import OnnxEntry, OnnxExit
from bot_runtime.ml.scores import OnnxScore
from bot_runtime.strategies.base import State
from bot_runtime.strategies.custom import CustomStrategy
from bot_runtime.strategies.own_state import own_state, state_of


class ModelStrategy(CustomStrategy):
    """Under the name of its type."""

    def __init__(self, name: str, entry: EntryRule, exit_rule: ExitRule) -> None:
        super().__init__(entry, exit_rule)
        self.name = name

    def dump_state(self) -> State:
        return own_state(self.name, super().dump_state())

    def load_state(self, state: Mapping[str, Any]) -> None:
        super().load_state(state_of(self.name, state))


def build_model_strategy(name: str, config: ModelConfig, beside: ExitRule | None) -> ModelStrategy:
    """Load the model and check it. Raise InvalidBotError for files that can't be used, or without the extra `ml`."""
    match config:
        case OnnxConfig():
            score = OnnxScore(config)
            return ModelStrategy(name, OnnxEntry(name, config, score), OnnxExit(name, config, score, beside))
        case HmmLstmConfig():
            regimes = Regimes(config.hmm_model_path)
            predicted = Predictions(config.lstm_model_path, regimes)
            asked = HmmLstmExit(name, config, regimes, predicted, beside)
            return ModelStrategy(name, HmmLstmEntry(name, config, regimes, predicted), asked)
        case CnnXgboostConfig():
            chances = Probabilities(config)
            decided = CnnXgboostExit(name, config, chances, beside)
            return ModelStrategy(name, CnnXgboostEntry(name, config, chances), decided)
        case _:
            assert_never(config)
