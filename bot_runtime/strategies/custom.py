"""CustomStrategy: one entry rule, one exit rule, one position. It decides nothing of its own."""

from collections.abc import Mapping
from typing import Any

from bot_runtime.domain.position import Position
from bot_runtime.entries.base import EntryRule
from bot_runtime.exits.base import ExitRule
from bot_runtime.indicators.base import Indicator
from bot_runtime.indicators.view import View
from bot_runtime.strategies.base import State


class CustomStrategy:
    """State of a rule is restored only to a rule of the same name: a changed document starts the new rule afresh."""

    name = "CustomStrategy"

    def __init__(self, entry: EntryRule, exit_rule: ExitRule) -> None:
        self._entry = entry
        self._exit = exit_rule
        self._at_signal: dict[str, Any] = {}
        self.indicators: tuple[Indicator, ...] = tuple(dict.fromkeys((*entry.indicators, *exit_rule.indicators)))
        longest = max((indicator.min_bars for indicator in self.indicators), default=0)
        # As the platform's engine does: the bar on which all is defined for the first time is not yet evaluated.
        self.first_bar = max(longest, entry.lookback + 1, exit_rule.lookback + 1)
        settled = max((indicator.warmup for indicator in self.indicators), default=0)
        self.warmup = max(settled, self.first_bar + 1, entry.memory)

    @property
    def entry_name(self) -> str:
        return self._entry.name

    @property
    def exit_name(self) -> str:
        return self._exit.name

    def enter(self, view: View) -> str | None:
        reason = self._entry.evaluate(view)
        if reason is not None:
            self._at_signal = self._exit.at_signal(view)
        return reason

    def opened(self, position: Position) -> None:
        self._exit.opened(position, self._at_signal)
        self._at_signal = {}

    def exit(self, view: View, position: Position) -> str | None:
        return self._exit.evaluate(view, position)

    def closed(self) -> None:
        self._exit.closed()

    def dump_state(self) -> State:
        return {
            "entry": {"rule": self._entry.name, "state": self._entry.dump_state()},
            "exit": {"rule": self._exit.name, "state": self._exit.dump_state(), "at_signal": self._at_signal},
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        entry = _of_rule(state, "entry", self._entry.name)
        exit_ = _of_rule(state, "exit", self._exit.name)
        self._entry.load_state(entry.get("state", {}))
        self._exit.load_state(exit_.get("state"))
        self._at_signal = dict(exit_.get("at_signal", {}))


def _of_rule(state: Mapping[str, Any], part: str, name: str) -> Mapping[str, Any]:
    saved = state.get(part)
    return saved if isinstance(saved, Mapping) and saved.get("rule") == name else {}
