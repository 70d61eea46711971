"""A pause after an entry signal, counted in bars. Remembers a time, which means the same after a restart."""

from collections.abc import Mapping
from typing import Any

from bot_runtime.indicators.view import View


class Cooldown:
    """No signal on fewer than `bars` bars after the last one, whether or not its order was filled."""

    def __init__(self, bars: int) -> None:
        self.bars = bars
        self._last: int | None = None

    def is_over(self, view: View) -> bool:
        if self.bars == 0 or self._last is None:
            return True
        since = view.bars_since(self._last)
        return since is None or since >= self.bars

    def start(self, view: View) -> None:
        self._last = view.time

    def dump_state(self) -> dict[str, Any]:
        return {"last_signal_ms": self._last}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._last = state.get("last_signal_ms")
