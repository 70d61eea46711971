"""What an indicator is, and the columns it reads.

An indicator is a small frozen value: equal parameters are the same indicator, computed once however many rules read
it. It is causal: a value depends on the bars up to its own only, so that one computation over a whole file and one
over each growing prefix of it agree bit for bit.
"""

from collections.abc import Mapping
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]

# Periods until a seed weighs less than 1e-16 in Wilder's average: (1 - 1/n) ** (37 n) < e ** -37.
WILDER_WARMUP = 37
# The same for an exponential average, per period + 1: (1 - 2/(n + 1)) ** (19 (n + 1)) < e ** -37.
EMA_WARMUP = 19


class Columns(Protocol):
    """Bars, oldest first, one array per field; `time` in epoch milliseconds."""

    @property
    def time(self) -> Integers: ...
    @property
    def open(self) -> Floats: ...
    @property
    def high(self) -> Floats: ...
    @property
    def low(self) -> Floats: ...
    @property
    def close(self) -> Floats: ...
    @property
    def volume(self) -> Floats: ...


class Indicator(Protocol):
    """The port. `min_bars`: bars until the first value. `warmup`: bars until a seed no longer matters (1e-16).

    An average of another indicator has the `min_bars` of that one: the rules are evaluated before it is defined.
    """

    @property
    def min_bars(self) -> int: ...
    @property
    def warmup(self) -> int: ...

    def __hash__(self) -> int: ...

    def compute(self, columns: Columns, tail: int | None = None) -> Mapping[str, Floats]:
        """Return the outputs by name, each ending at the last bar, NaN where undefined.

        With `tail` at least that many last values are wanted; the others may be left out.
        """
        ...
