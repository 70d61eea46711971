"""What all strategies with a model share: an entry and an exit that ask it, with an exit rule of the catalogue beside.

Prices are judged on the close, as everywhere; fractions are of the entry price. Long only.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bot_core.models.ml_strategy import OnnxConfig
from bot_runtime.domain.position import Position
from bot_runtime.exits.base import ExitRule
from bot_runtime.indicators.base import Indicator
from bot_runtime.indicators.view import View
from bot_runtime.ml.scores import OnnxScore


class ModelEntry(ABC):
    """Stateless: what a model says follows from the bars."""

    memory = 0

    def __init__(self, name: str, *indicators: Indicator) -> None:
        self.name = name
        self.indicators: tuple[Indicator, ...] = indicators
        self.lookback = max(indicator.min_bars for indicator in indicators)

    def evaluate(self, view: View) -> str | None:
        return f"{self.name} signal" if self._buys(view) else None

    def dump_state(self) -> dict[str, Any]:
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:  # noqa: B027 - nothing to do, for all
        """There is no state."""

    @abstractmethod
    def _buys(self, view: View) -> bool: ...


@dataclass(slots=True)
class Held:
    """What is known of the trade: the best profit on a close, a fraction, and the regime of the entry signal."""

    best: float = 0.0
    regime: float | None = None


class ModelExit(ABC):
    """Asks the model and, where a document names one, an exit rule of the catalogue; the model's reason wins."""

    def __init__(self, name: str, beside: ExitRule | None, *indicators: Indicator) -> None:
        self.name = name if beside is None else beside.name
        self._beside = beside
        self._held: Held | None = None
        self.indicators: tuple[Indicator, ...] = (*indicators, *(() if beside is None else beside.indicators))
        self.lookback = max(indicator.min_bars for indicator in indicators)
        if beside is not None:
            self.lookback = max(self.lookback, beside.lookback)

    def at_signal(self, view: View) -> dict[str, Any]:
        return {"regime": self._regime(view), "rule": {} if self._beside is None else self._beside.at_signal(view)}

    def opened(self, position: Position, at_signal: Mapping[str, Any]) -> None:
        self._held = Held(regime=at_signal.get("regime"))
        if self._beside is not None:
            self._beside.opened(position, at_signal.get("rule", {}))

    def evaluate(self, view: View, position: Position) -> str | None:
        held = self._held if self._held is not None else Held()
        if held.regime is None:
            held.regime = self._regime(view)  # an adopted position: the first that is known
        self._held = held
        profit = view.close() / float(position.entry_price) - 1
        held.best = max(held.best, profit)
        # Asked in any case: its stop trails whatever the model says.
        other = None if self._beside is None else self._beside.evaluate(view, position)
        return self._reason(view, profit, held) or other

    def closed(self) -> None:
        self._held = None
        if self._beside is not None:
            self._beside.closed()

    def dump_state(self) -> dict[str, Any] | None:
        beside = None if self._beside is None else self._beside.dump_state()
        return None if self._held is None else asdict(self._held) | {"rule": beside}

    def load_state(self, state: Mapping[str, Any] | None) -> None:
        self._held = None if state is None else Held(state["best"], state["regime"])
        if self._beside is not None:
            self._beside.load_state(None if state is None else state["rule"])

    def _regime(self, view: View) -> float | None:  # noqa: ARG002 - most models know none
        return None

    @abstractmethod
    def _reason(self, view: View, profit: float, held: Held) -> str | None: ...


class OnnxEntry(ModelEntry):
    def __init__(self, name: str, config: OnnxConfig, score: OnnxScore) -> None:
        super().__init__(name, score)
        self._score = score
        self._threshold = config.entry_threshold

    def _buys(self, view: View) -> bool:
        return view.value(self._score, "score") >= self._threshold


class OnnxExit(ModelExit):
    def __init__(self, name: str, config: OnnxConfig, score: OnnxScore, beside: ExitRule | None) -> None:
        super().__init__(name, beside, score)
        self._score = score
        self._config = config

    def _reason(self, view: View, profit: float, held: Held) -> str | None:  # noqa: ARG002 - the base's
        config = self._config
        if config.stop_loss is not None and profit <= -config.stop_loss:
            return "stop_loss"
        if config.take_profit is not None and profit >= config.take_profit:
            return "take_profit"
        if config.exit_threshold is not None and view.value(self._score, "score") <= config.exit_threshold:
            return "model_exit"
        return None
