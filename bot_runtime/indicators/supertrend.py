"""Supertrend: a line that trails the price at a distance and changes sides when the close reaches it.

up, low = (H + L) / 2 +- multiplier x the simple mean of the last `period` true ranges. It begins below the price, as
`low`. In a rising trend the line never falls, and a close at or below it begins a falling one on `up`; mirrored.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bot_runtime.indicators.base import Columns, Floats
from bot_runtime.indicators.true_range import true_ranges
from bot_runtime.indicators.windows import means

# In so many times the bars that a wandering price takes to cross the distance, lines of different beginnings meet.
_CROSSINGS = 40
_FEWEST_BARS, _MOST_BARS = 10, 100


@dataclass(frozen=True, slots=True)
class Supertrend:
    """Outputs `line`, in units of price, and `direction`, +1 rising or -1 falling."""

    period: int
    multiplier: float

    @property
    def min_bars(self) -> int:
        return self.period + 1

    @property
    def warmup(self) -> int:
        """Return bars after which lines of different beginnings coincide exactly, on bars that do move.

        They do from the first bar on that turns both or pushes both. The price, which wanders, crosses a distance of m
        ranges in about m squared bars.
        """
        crossing = min(max(self.multiplier**2, _FEWEST_BARS), _MOST_BARS)
        return self.min_bars + _CROSSINGS * round(crossing)

    def compute(self, columns: Columns, tail: int | None = None) -> Mapping[str, Floats]:  # noqa: ARG002 - recursive
        if len(columns.close) < self.min_bars:
            return {"line": np.empty(0), "direction": np.empty(0)}
        middle = ((columns.high + columns.low) / 2)[self.period :]
        distance = self.multiplier * means(true_ranges(columns), self.period)
        line, direction = _walk(columns.close[self.period :], middle + distance, middle - distance)
        return {"line": line, "direction": direction}


def _walk(closes: Floats, uppers: Floats, lowers: Floats) -> tuple[Floats, Floats]:
    """Plain floats in plain lists: several times faster than going through an array."""
    value, rising = float(lowers[0]), True
    line, direction = [value], [1.0]
    for close, upper, lower in zip(closes[1:].tolist(), uppers[1:].tolist(), lowers[1:].tolist(), strict=True):
        if rising:
            if close <= value:
                value, rising = upper, False
            elif lower > value:
                value = lower
        elif close >= value:
            value, rising = lower, True
        elif upper < value:
            value = upper
        line.append(value)
        direction.append(1.0 if rising else -1.0)
    return np.array(line), np.array(direction)
