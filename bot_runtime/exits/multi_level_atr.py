"""Sell when the close falls below the highest of three stops, each measured with an ATR of its own.

One is below the entry price, by the ATR of the signal bar; one trails the highest high; one is above the entry price
once the profit is large enough. With the dynamic distance the first two are multiplied by the ATR over its average.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot_core.models.rule import RuleConfig
from bot_runtime.domain.position import Position
from bot_runtime.exits.base import StatefulExit, defined
from bot_runtime.exits.stop import raised
from bot_runtime.indicators.atr import Atr
from bot_runtime.indicators.base import Indicator
from bot_runtime.indicators.view import View
from bot_runtime.indicators.windows import AverageOf


@dataclass(slots=True)
class _Trail:
    highest: float
    stop: float | None = None


class MultiLevelAtrExit(StatefulExit[_Trail]):
    """MultiLevelAtrExitMixin. All ATRs are those of the bot's own interval."""

    name = "MultiLevelAtrExitMixin"
    memory_type = _Trail

    def __init__(self, config: RuleConfig) -> None:
        self._htf_multiplier = config.number("htf_sl_multiplier")
        self._ltf_multiplier = config.number("ltf_sl_multiplier")
        self._activation = config.number("be_activation_atr")
        self._buffer = config.number("be_buffer_multiplier")
        self._htf = Atr(config.whole("htf_atr_period"))
        self._ltf = Atr(config.whole("ltf_atr_period"))
        self._micro = Atr(config.whole("micro_atr_period"))
        dynamic = config.flag("use_dynamic_k")
        self._average = AverageOf(self._ltf, "atr", config.whole("vol_sma_period")) if dynamic else None
        averages = () if self._average is None else (self._average,)
        self.indicators: tuple[Indicator, ...] = (self._htf, self._ltf, self._micro, *averages)
        self.lookback = max(each.period for each in (self._htf, self._ltf, self._micro, *averages))

    def at_signal(self, view: View) -> dict[str, Any]:
        return {"band": defined(view.value(self._htf, "atr") * self._htf_multiplier * self._ratio(view))}

    def _begin(self, entry_price: float, at_signal: Mapping[str, Any]) -> _Trail:
        band = at_signal.get("band")
        return _Trail(highest=entry_price, stop=None if band is None else entry_price - band)

    def _judge(self, memory: _Trail, view: View, position: Position) -> str | None:
        memory.highest = max(memory.highest, view.high())
        entry = float(position.entry_price)
        below_high = memory.highest - view.value(self._ltf, "atr") * self._ltf_multiplier * self._ratio(view)
        memory.stop = raised(memory.stop, below_high, self._above_entry(view, entry))
        return "multi_tf_atr_stop" if memory.stop is not None and view.close() < memory.stop else None

    def _ratio(self, view: View) -> float:
        if self._average is None:
            return 1.0
        average = view.value(self._average, "average")
        # Where nothing has moved for so long there is no ratio.
        return view.value(self._ltf, "atr") / average if average else float("nan")

    def _above_entry(self, view: View, entry: float) -> float:
        atr = view.value(self._ltf, "atr")
        if atr > 0 and (view.close() - entry) / atr >= self._activation:
            return entry + view.value(self._micro, "atr") * self._buffer
        return float("nan")
