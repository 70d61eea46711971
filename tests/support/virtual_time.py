"""An event loop whose time is virtual: waiting costs nothing, and happens in the order of the deadlines.

For code that waits by the loop alone: whoever waits for a thread or a socket would see all deadlines pass at once.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class _PatientSelector(selectors.SelectSelector):
    """Instead of waiting, advances the loop's clock by what it was told to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found and timeout is None:
            raise RuntimeError("everything waits for ever")
        if not found and timeout is not None:
            self.now += max(timeout, 0.0)
        return found


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._patience = _PatientSelector()
        super().__init__(self._patience)

    def time(self) -> float:
        return self._patience.now


def run_virtually(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine to its end on virtual time, which begins at 0."""
    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        return runner.run(work)


def virtual_now() -> float:
    return asyncio.get_running_loop().time()
