"""Relative strength index by Wilder: 100 x (gain / (gain + loss)), 0 where nothing moves."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import talib

from bot_runtime.indicators.base import WILDER_WARMUP, Columns, Floats
from bot_runtime.indicators.scale import unit_scale


@dataclass(frozen=True, slots=True)
class Rsi:
    """Of the close; output `rsi`. Seeded by the plain mean of the first `period` changes."""

    period: int

    @property
    def min_bars(self) -> int:
        return self.period + 1

    @property
    def warmup(self) -> int:
        return WILDER_WARMUP * self.period

    def compute(self, columns: Columns, tail: int | None = None) -> Mapping[str, Floats]:  # noqa: ARG002 - recursive
        if len(columns.close) < self.min_bars:
            return {"rsi": np.empty(0)}
        return {"rsi": talib.RSI(columns.close * unit_scale(columns), self.period)}
