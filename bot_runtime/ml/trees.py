"""Boosted trees from the JSON that XGBoost's `save_model` writes, evaluated here: a few array look-ups a tree.

Format: https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html. Comparisons are in float32, as there.
It reads boosters of one number (`binary:logistic`, `reg:logistic`, `reg:squarederror`) with numeric splits.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bot_core.models.errors import InvalidBotError
from bot_runtime.ml.files import read_bytes

_LOGISTIC = frozenset({"binary:logistic", "reg:logistic"})
_PLAIN = frozenset({"reg:squarederror", "binary:logitraw"})
_LEAF = -1
_Float32s = npt.NDArray[np.float32]


class Tree:
    """One tree; its nodes are numbers, the root is 0."""

    def __init__(self, document: Any, features: int) -> None:
        self._left = [int(node) for node in document["left_children"]]
        self._right = [int(node) for node in document["right_children"]]
        self._feature = [int(index) for index in document["split_indices"]]
        self._limit = np.array(document["split_conditions"], dtype=np.float32)
        self._default_left = [bool(value) for value in document["default_left"]]
        self._check(document, features)

    def leaf(self, row: _Float32s) -> float:
        """Return the value of the leaf that a row falls into; a missing value (NaN) goes the default way."""
        node = 0
        while self._left[node] != _LEAF:
            value = row[self._feature[node]]
            left = self._default_left[node] if np.isnan(value) else bool(value < self._limit[node])
            node = self._left[node] if left else self._right[node]
        return float(self._limit[node])

    def _check(self, document: Any, features: int) -> None:
        nodes = len(self._left)
        if not nodes or {len(self._right), len(self._feature), len(self._limit), len(self._default_left)} != {nodes}:
            raise ValueError("a tree has lists of different lengths")
        if any(int(kind) for kind in document.get("split_type", ())):
            raise ValueError("a split is by category; allowed: numeric splits")
        for node, (left, right) in enumerate(zip(self._left, self._right, strict=True)):
            # Children come after their parent, so a walk ends.
            if left != _LEAF and not (node < left < nodes and node < right < nodes):
                raise ValueError(f"node {node} of a tree leads to {left} and {right}")
            if left != _LEAF and not 0 <= self._feature[node] < features:
                raise ValueError(f"node {node} of a tree asks for feature {self._feature[node]} of {features}")


class Booster:
    """A sum of trees. `features` is how many numbers a row has."""

    def __init__(self, document: Any) -> None:
        learner = document["learner"]
        self.features = int(learner["learner_model_param"]["num_feature"])
        objective = learner["objective"]["name"]
        if objective not in _LOGISTIC | _PLAIN:
            raise ValueError(f"objective {objective}; allowed: {', '.join(sorted(_LOGISTIC | _PLAIN))}")
        booster = learner["gradient_booster"]
        if booster.get("name", "gbtree") != "gbtree":
            raise ValueError(f"booster {booster['name']}; allowed: gbtree")
        self._logistic = objective in _LOGISTIC
        self._trees = [Tree(tree, self.features) for tree in _used(learner, booster["model"])]
        self._base = self._margin(learner["learner_model_param"]["base_score"])

    @classmethod
    def load(cls, path: Path) -> "Booster":
        """Raise InvalidBotError for anything else."""
        try:
            return cls(json.loads(read_bytes(path)))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            what = f"{type(error).__name__}: {error}" if isinstance(error, (KeyError, TypeError)) else str(error)
            raise InvalidBotError(f"{path.name} is no model of XGBoost in JSON that can be used: {what}") from error

    def predict(self, row: npt.NDArray[Any]) -> float:
        """Return a probability, or for other objectives the plain sum."""
        typed = row.astype(np.float32)
        total = self._base + math.fsum(tree.leaf(typed) for tree in self._trees)
        return _logistic(total) if self._logistic else total

    def _margin(self, text: Any) -> float:
        # Version 3 writes a list of one: "[5E-1]".
        value = float(str(text).strip("[]"))
        if not self._logistic:
            return value
        if not 0 < value < 1:
            raise ValueError(f"base_score {value}; allowed: above 0, below 1")
        return math.log(value / (1 - value))


def _used(learner: Any, model: Any) -> list[Any]:
    """The trees that XGBoost itself predicts with: up to the best iteration, where training stopped early."""
    trees: list[Any] = model["trees"]
    best = learner.get("attributes", {}).get("best_iteration")
    if best is None:
        return trees
    parallel = int(model.get("gbtree_model_param", {}).get("num_parallel_tree", 1)) or 1
    return trees[: (int(best) + 1) * parallel]


def _logistic(value: float) -> float:
    if value >= 0:
        return 1 / (1 + math.exp(-value))
    return math.exp(value) / (1 + math.exp(value))
