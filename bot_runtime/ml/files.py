"""The files of trained models: below one folder, in formats that hold data and never code.

A pickle runs whatever it holds when it is read, and the rows that name files are written by many: none is ever opened.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bot_core.models.errors import InvalidBotError
from bot_runtime.indicators.base import Floats

MODELS_VARIABLE = "TRADINGBOT_MODELS"
DATA_DIR_VARIABLE = "TRADINGBOT_DATA_DIR"
_CODE = frozenset({".pkl", ".pickle", ".pth", ".pt", ".joblib", ".bin"})
_Document = TypeVar("_Document", bound=BaseModel)
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Scaler(BaseModel):
    """Standardization: (value - mean) / scale, one pair a column."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: tuple[Finite, ...]
    scale: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...]

    @model_validator(mode="after")
    def _of_one_length(self) -> "Scaler":
        if len(self.mean) != len(self.scale):
            raise ValueError(f"has {len(self.mean)} means and {len(self.scale)} scales")
        return self

    def forward(self, rows: Floats) -> Floats:
        """Scale rows of columns."""
        scaled_rows: Floats = (rows - np.array(self.mean)) / np.array(self.scale)
        return scaled_rows


def scaled(scaler: Scaler | None, rows: Floats) -> Floats:
    return rows if scaler is None else scaler.forward(rows)


def check_columns(scaler: Scaler | None, columns: int, what: str) -> None:
    """Raise InvalidBotError where a scaler is for another number of columns."""
    if scaler is not None and len(scaler.mean) != columns:
        raise InvalidBotError(f"{what}: the scaler has {len(scaler.mean)} columns; allowed: {columns}")


def model_file(name: str, key: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Find a file below TRADINGBOT_MODELS, or TRADINGBOT_DATA_DIR, or the current folder.

    `key` is the parameter that names it, for messages. Raise InvalidBotError for one that is not to be read.
    """
    folder = Path(environment.get(MODELS_VARIABLE) or environment.get(DATA_DIR_VARIABLE) or "").resolve()
    path = (folder / name).resolve()
    if not path.is_relative_to(folder):
        raise InvalidBotError(f"{key}: {name!r} leads out of the folder of models; allowed: a path below it")
    if path.suffix.lower() in _CODE:
        raise InvalidBotError(
            f"{key}: {name!r} may hold code, which reading it would run; allowed: ONNX and JSON (docs/ml-strategies.md)"
        )
    if not path.exists():
        raise InvalidBotError(f"{key}: {name!r} is not in the folder of models, which {MODELS_VARIABLE} names")
    return path


def sibling(path: Path, suffix: str) -> Path:
    """`X.onnx` has its description in `X_config.json`."""
    return path.with_name(f"{path.stem}{suffix}")


def read_bytes(path: Path) -> bytes:
    """Raise InvalidBotError where it can't be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidBotError(f"{path.name} can't be read: {error.strerror}") from error


def read_document(path: Path, model: type[_Document]) -> _Document:
    """Read a JSON file of this form. Raise InvalidBotError with everything that is wrong with it."""
    try:
        return model.model_validate_json(read_bytes(path))
    except ValidationError as error:
        found = [f"{'.'.join(map(str, item['loc'])) or 'it'}: {_message(item)}" for item in error.errors()]
        raise InvalidBotError(f"{path.name}: {'; '.join(found)}") from error


def _message(item: Any) -> str:
    return "is missing" if item["type"] == "missing" else str(item["msg"]).removeprefix("Value error, ")
