"""Average true range by Wilder, in units of price. The first bar has no true range."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import talib

from bot_runtime.indicators.base import WILDER_WARMUP, Columns, Floats
from bot_runtime.indicators.scale import unit_scale


@dataclass(frozen=True, slots=True)
class Atr:
    """Of high, low and close; output `atr`. Seeded by the plain mean of the first `period` true ranges."""

    period: int

    @property
    def min_bars(self) -> int:
        return self.period + 1

    @property
    def warmup(self) -> int:
        return WILDER_WARMUP * self.period

    def compute(self, columns: Columns, tail: int | None = None) -> Mapping[str, Floats]:  # noqa: ARG002 - recursive
        if len(columns.close) < self.min_bars:
            return {"atr": np.empty(0)}
        scale = unit_scale(columns)
        atr: Floats = talib.ATR(columns.high * scale, columns.low * scale, columns.close * scale, self.period)
        return {"atr": atr / scale}
