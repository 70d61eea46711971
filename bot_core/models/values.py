"""Kinds of values that documents hold, as pydantic validators whose messages say what is allowed.

Stricter than pydantic's own reading: "5" is no number and 1 is not true.
"""

import math
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from pydantic import BeforeValidator


def number(low: float, high: float | None = None, *, above: bool = False) -> BeforeValidator:
    """A number from `low` (with `above`: greater than it) to `high`, as a Decimal of its shortest text."""
    allowed = f"a number {'above' if above else 'from'} {low:g}" + (f" to {high:g}" if high is not None else " up")

    def read(value: Any) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)) or not math.isfinite(value):
            raise ValueError(f"is no number; allowed: {allowed}")
        if value < low or (above and value == low) or (high is not None and value > high):
            raise ValueError(f"is out of range; allowed: {allowed}")
        return value if isinstance(value, Decimal) else Decimal(repr(value))

    return BeforeValidator(read)


def whole(low: int, high: int) -> BeforeValidator:
    """A whole number; 5.0 is one."""

    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1:
            raise ValueError(f"is no whole number; allowed: a whole number from {low} to {high}")
        if not low <= value <= high:
            raise ValueError(f"is out of range; allowed: a whole number from {low} to {high}")
        return int(value)

    return BeforeValidator(read)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("is neither true nor false; allowed: true, false")  # noqa: TRY004  # pydantic wants a ValueError
    return value


def text(longest: int = 500, *, pattern: str = "", allowed: str = "") -> BeforeValidator:
    """Text of at most `longest` characters that is not blank, of a form where a pattern is given."""
    what = allowed or f"text of 1 to {longest} characters"

    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError(f"is no text; allowed: {what}")  # noqa: TRY004  # pydantic wants a ValueError
        if not value.strip() or len(value) > longest or (pattern and not re.fullmatch(pattern, value)):
            raise ValueError(f"is not allowed; allowed: {what}")
        return value

    return BeforeValidator(read)


def one_of(words: Sequence[str], what: str) -> BeforeValidator:
    """One of some words, in any case."""

    def read(value: Any) -> str:
        plain = value.strip().lower() if isinstance(value, str) else None
        if plain not in words:
            raise ValueError(f"is no {what}; allowed: {', '.join(words)}")
        return str(plain)

    return BeforeValidator(read)


def optional(kind: BeforeValidator) -> BeforeValidator:
    """The same, or null, which means that nothing was said."""
    read: Callable[[Any], Any] = kind.func  # type: ignore[assignment]  # ours take one argument
    return BeforeValidator(lambda value: None if value is None else read(value))


FLAG = BeforeValidator(_flag)
MAYBE_FLAG = optional(FLAG)
