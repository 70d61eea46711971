"""Prices brought near 1 without losing a bit, so that no absolute epsilon of a library sees how small they are."""

import math

from bot_runtime.indicators.base import Columns


def unit_scale(columns: Columns) -> float:
    """Return the power of two that takes the first close into [1, 2): multiplying by it is exact, both ways."""
    _, exponent = math.frexp(float(columns.close[0]))
    return math.ldexp(1.0, 1 - exponent)
