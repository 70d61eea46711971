"""Exponential moving average: seeded by the plain mean of the first `period` closes, then weight 2 / (period + 1)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import talib

from bot_runtime.indicators.base import EMA_WARMUP, Columns, Floats


@dataclass(frozen=True, slots=True)
class Ema:
    """Of the close, in units of price; output `ema`."""

    period: int

    @property
    def min_bars(self) -> int:
        return self.period

    @property
    def warmup(self) -> int:
        return EMA_WARMUP * (self.period + 1)

    def compute(self, columns: Columns, tail: int | None = None) -> Mapping[str, Floats]:  # noqa: ARG002 - recursive
        if len(columns.close) < self.min_bars:
            return {"ema": np.empty(0)}
        # TA-Lib knows no average of one bar.
        return {"ema": columns.close if self.period == 1 else talib.EMA(columns.close, self.period)}
