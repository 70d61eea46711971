"""Regimes of a hidden Markov model with Gaussian emissions: which one, and how sure, by the forward filter.

alpha(t) ~ (alpha(t-1) A) * N(x(t); mean, covariance), from the start probabilities, over the last `window` bars:
so that a regime follows from these bars alone. Rabiner, A Tutorial on Hidden Markov Models (1989), section III.A.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from bot_core.models.ml_features import FeatureList
from bot_runtime.indicators.base import Columns, Floats
from bot_runtime.ml.features import FeatureTable
from bot_runtime.ml.files import Finite, Scaler, check_columns, model_file, read_document, scaled
from bot_runtime.ml.scores import wanted_bars

_MOST_REGIMES = 32
_ROUNDING = 1e-6
_Row = tuple[Finite, ...]
_Probability = Annotated[float, Field(ge=0, le=1)]
_Distribution = tuple[_Probability, ...]


class HmmFile(BaseModel):
    """`covars` holds, for each state, the variances of the features, or their covariances as a matrix."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: FeatureList
    scaler: Scaler | None = None
    window: Annotated[int, Field(ge=1, le=1000)] = 100
    start: Annotated[_Distribution, Field(min_length=1, max_length=_MOST_REGIMES)]
    transition: tuple[_Distribution, ...]
    means: tuple[_Row, ...]
    covars: tuple[_Row, ...] | tuple[tuple[_Row, ...], ...]

    @model_validator(mode="after")
    def _fits_together(self) -> "HmmFile":
        states, width = len(self.start), len(self.features)
        for name in ("transition", "means", "covars"):
            if len(getattr(self, name)) != states:
                raise ValueError(f"{name} has {len(getattr(self, name))} rows; allowed: {states}, one a state of start")
        if any(len(row) != width for row in self.means):
            raise ValueError(f"means has a row of another length; allowed: {width}, one a feature")
        if any(len(row) != states for row in self.transition):
            raise ValueError(f"transition has a row of another length; allowed: {states}, one a state")
        if any(abs(sum(row) - 1) > _ROUNDING for row in (self.start, *self.transition)):
            raise ValueError("start, or a row of transition, does not add up to 1")
        self.factors()
        return self

    def factors(self) -> Floats:
        """Return, for each state, the inverse of the Cholesky factor of its covariances. Raise ValueError."""
        width = len(self.features)
        try:
            full = [np.diag(item) if np.ndim(item) == 1 else np.array(item) for item in map(np.array, self.covars)]
            if any(item.shape != (width, width) or not _is_symmetric(item) for item in full):
                raise ValueError(f"covars is for another number of features, or not symmetric; allowed: {width}")
            return np.array([np.linalg.inv(np.linalg.cholesky((item + item.T) / 2)) for item in full])
        except np.linalg.LinAlgError as error:
            raise ValueError("covars has a state whose covariances are not positive definite") from error


def _is_symmetric(item: Floats) -> bool:
    """Up to rounding: what a fit gives is symmetric only to the last bits."""
    return bool(np.allclose(item, item.T, rtol=1e-9, atol=1e-12 * np.abs(item).max()))


class Regimes:
    """Outputs `regime`, the number of the likeliest state, and `confidence`, its probability."""

    def __init__(self, path: str) -> None:
        file = read_document(model_file(path, "hmm_model_path"), HmmFile)
        check_columns(file.scaler, len(file.features), "hmm_model_path")
        self._file = file
        self._table = FeatureTable(file.features)
        self._factors = file.factors()
        self.count = len(file.start)

    @property
    def min_bars(self) -> int:
        return self._table.min_bars + self._file.window - 1

    @property
    def warmup(self) -> int:
        return self._table.warmup + self._file.window

    def compute(self, columns: Columns, tail: int | None = None) -> Mapping[str, Floats]:
        wanted = wanted_bars(columns, tail)
        rows = self._table.rows(columns, wanted + self._file.window - 1)
        likelihoods = self._likelihoods(scaled(self._file.scaler, rows))
        chances = self._filtered(likelihoods, wanted)
        defined = np.isfinite(chances).all(axis=1)
        regime = np.where(defined, chances.argmax(axis=1), np.nan)
        return {"regime": regime, "confidence": chances.max(axis=1)}

    def _likelihoods(self, rows: Floats) -> Floats:
        """Of each row under each state, relative to the likeliest. Element by element: the same bits for any number."""
        logs = np.empty((len(rows), self.count))
        for state, (mean, factor) in enumerate(zip(self._file.means, self._factors, strict=True)):
            logs[:, state] = np.log(np.diag(factor)).sum()
            apart = rows - np.array(mean)
            for place, weights in enumerate(factor):
                standard = np.zeros(len(rows))
                for other in range(place + 1):
                    standard += weights[other] * apart[:, other]
                logs[:, state] -= standard**2 / 2
        likelihoods: Floats = np.exp(logs - logs.max(axis=1, keepdims=True))
        return likelihoods

    def _filtered(self, likelihoods: Floats, wanted: int) -> Floats:
        """Go through the places of all windows at once: chances of each state at the end of each window."""
        window = self._file.window
        steps = [likelihoods[place : place + wanted] for place in range(window)]
        chances = _normalized(np.array(self._file.start) * steps[0])
        for _, step in pairwise(steps):
            moved = np.zeros_like(chances)
            for origin, row in enumerate(self._file.transition):
                for target, chance in enumerate(row):
                    moved[:, target] += chances[:, origin] * chance
            chances = _normalized(moved * step)
        return chances


def _normalized(chances: Floats) -> Floats:
    """Rows that add up to 1; one that is all 0 could not be, and says nothing."""
    total = np.zeros(len(chances))
    for column in chances.T:
        total += column
    return np.divide(chances, total[:, np.newaxis], out=np.full_like(chances, np.nan), where=total[:, np.newaxis] > 0)
