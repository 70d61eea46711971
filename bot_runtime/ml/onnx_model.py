"""One ONNX model in this process, checked when it is loaded. It knows shapes, not what they mean.

One thread and one row at a time: the same bars give the same bits in a backtest and live, and a bot takes one core.
"""

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bot_core.models.errors import InvalidBotError, first_line
from bot_runtime.indicators.base import Floats
from bot_runtime.ml.files import read_bytes

_NUMBERS: Mapping[str, type[np.floating[Any]]] = {"tensor(float)": np.float32, "tensor(double)": np.float64}
_ONLY_ERRORS = 3
#: Without it the library reports what it does to its maker's servers; `disable_telemetry_events` comes too late.
_QUIET_VARIABLE = "ORT_DISABLE_TELEMETRY"


class OnnxModel:
    """Inputs and outputs by name; a place in a shape that the model leaves open is None."""

    def __init__(self, name: str, session: Any) -> None:
        self.name = name
        self._session = session
        self.inputs: dict[str, tuple[int | None, ...]] = {}
        self._types: dict[str, type[np.floating[Any]]] = {}
        for item in session.get_inputs():
            if item.type not in _NUMBERS:
                raise InvalidBotError(f"{name}: input {item.name} is {item.type}; allowed: {', '.join(_NUMBERS)}")
            self.inputs[item.name] = tuple(size if isinstance(size, int) else None for size in item.shape)
            self._types[item.name] = _NUMBERS[item.type]
        self.outputs: list[str] = [item.name for item in session.get_outputs() if item.type in _NUMBERS]
        if not self.outputs:
            raise InvalidBotError(f"{name}: no output is a tensor of numbers")

    @classmethod
    def load(cls, path: Path) -> "OnnxModel":
        """Raise InvalidBotError for what is no model, or where the extra `ml` is not installed."""
        os.environ.setdefault(_QUIET_VARIABLE, "1")
        try:
            runtime: Any = importlib.import_module("onnxruntime")
        except ImportError as error:
            raise InvalidBotError(
                f"{path.name} needs onnxruntime, which is not installed: pip install tradingbot-operator[ml]"
            ) from error
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.log_severity_level = _ONLY_ERRORS
        content = read_bytes(path)  # and not by name: a model could name further files, anywhere, to be read
        try:
            session = runtime.InferenceSession(content, sess_options=options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the library has a class of its own for each way to fail
            raise InvalidBotError(f"{path.name} is no usable ONNX model: {first_line(error)}") from error
        return cls(path.name, session)

    def check_input(self, name: str, shape: tuple[int, ...]) -> None:
        """Raise InvalidBotError unless this input takes arrays of this shape."""
        declared = self.inputs[name]
        fits = len(declared) == len(shape) and all(
            size in (None, wanted) for size, wanted in zip(declared, shape, strict=True)
        )
        if not fits:
            shown = ", ".join("any" if size is None else str(size) for size in declared)
            raise InvalidBotError(f"{self.name}: input {name} has the shape ({shown}); the features give {shape}")

    def probe(self, shapes: Mapping[str, tuple[int, ...]], output: str) -> int:
        """Run once on zeros and return how many numbers the output holds. Raise InvalidBotError where it fails."""
        for name, shape in shapes.items():
            self.check_input(name, shape)
        try:
            return len(self.run({name: np.zeros(shape) for name, shape in shapes.items()}, output))
        except Exception as error:  # as above
            raise InvalidBotError(f"{self.name} fails on its first input: {first_line(error)}") from error

    def run(self, feeds: Mapping[str, npt.NDArray[Any]], output: str) -> Floats:
        """Return the numbers of one output, in order."""
        typed = {name: np.ascontiguousarray(value, dtype=self._types[name]) for name, value in feeds.items()}
        (result,) = self._session.run([output], typed)
        return np.asarray(result, dtype=np.float64).ravel()

    def the_input(self) -> str:
        """Return the name of the only input. Raise InvalidBotError where there are others."""
        if len(self.inputs) != 1:
            raise InvalidBotError(f"{self.name} has the inputs {', '.join(self.inputs)}; allowed: one")
        return next(iter(self.inputs))
