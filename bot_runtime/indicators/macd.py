"""Moving average convergence/divergence: the difference of two exponential averages, and an average of that.

Both averages are first defined on bar `slow`, the fast one seeded by the `fast` closes up to it. One definition over
all bars that are known, in backtests and live.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import talib

from bot_runtime.indicators.base import EMA_WARMUP, Columns, Floats


@dataclass(frozen=True, slots=True)
class Macd:
    """Of the close, in units of price; outputs `macd`, `signal` and their difference `hist`."""

    fast: int
    slow: int
    signal: int

    @property
    def min_bars(self) -> int:
        return max(self.fast, self.slow) + self.signal - 1

    @property
    def warmup(self) -> int:
        return EMA_WARMUP * (max(self.fast, self.slow) + self.signal + 2)

    def compute(self, columns: Columns, tail: int | None = None) -> Mapping[str, Floats]:  # noqa: ARG002 - recursive
        if len(columns.close) < self.min_bars:
            return {name: np.empty(0) for name in ("macd", "signal", "hist")}
        macd, signal, hist = talib.MACD(columns.close, self.fast, self.slow, self.signal)
        return {"macd": macd, "signal": signal, "hist": hist}
