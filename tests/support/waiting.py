"""The one way that tests wait: for a condition, with a deadline, never for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def wait_until(
    condition: Callable[[], _T], timeout: float, what: str, *, every: float = 0.1, tell: Callable[[], str] | None = None
) -> _T:
    """Return the condition's first true value; after `timeout` seconds fail, saying what was waited for."""
    until = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= until:
            more = f"\n{tell()}" if tell else ""
            raise AssertionError(f"{what} did not happen in {timeout:g} s (last: {value!r}){more}")
        time.sleep(every)
