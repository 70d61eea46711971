"""Where an open position is left: stop loss, take profit and trailing stop as prices, worked out once, not every bar.

Long positions only. Prices are exact Decimals for orders, and floats for the look at each bar.
"""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from bot_core.models.risk import RiskConfig
from bot_runtime.domain.money import ZERO, decimal_of
from bot_runtime.domain.position import Position

STOP_LOSS = "stop_loss"
TAKE_PROFIT = "take_profit"
TRAILING_STOP = "trailing_stop"
_WHOLE = Decimal(1)
_PERCENT = Decimal(100)


class Stops:
    """Follows one position at a time; `high` is the highest close since its entry, at least the entry price."""

    def __init__(self, risk: RiskConfig) -> None:
        self._loss = _fraction(risk.stop_loss_pct, risk.stop_loss_enabled)
        self._profit = _fraction(risk.take_profit_pct, risk.take_profit_enabled)
        self._trail = _fraction(risk.trailing_stop_pct, risk.trailing_stop)
        self._activation = (risk.trailing_stop_activation_pct or ZERO) / _PERCENT
        self.wanted = not (self._loss is self._profit is self._trail is None)
        self._position: Position | None = None
        self.clear()

    @property
    def distance(self) -> Decimal | None:
        """How far below the entry price a position is stopped at first, as a fraction of it; None without a stop."""
        first = [self._loss] if self._loss is not None else []
        if self._trail is not None and self._activation == ZERO:
            first.append(self._trail)
        return min(first, default=None)

    def clear(self) -> None:
        """Forget the position: it is closed."""
        self._position = None
        self._high = ZERO
        self._high_float = math.inf
        self._stop: Decimal | None = None
        self._stop_float = -math.inf
        self._take_float = math.inf
        self.reason = STOP_LOSS

    def follow(self, position: Position, saved: Mapping[str, Any] | None = None) -> None:
        """Make sure that it is this position that is followed.

        Another one begins with the high that was saved of it, else with its entry price.
        """
        known = self._position
        if position is known:
            return
        same = known is not None and _key(known) == _key(position)
        self._position = position
        if same:
            return
        self._high = max(_saved_high(position, saved), position.entry_price)
        self._high_float = float(self._high)
        if self._profit is not None:
            self._take_float = float(position.entry_price * (_WHOLE + self._profit))
        self._place(position.entry_price)

    def rise(self, close: float) -> None:
        """Take in a close; only a new high changes anything."""
        if close > self._high_float and self._position is not None:
            self._high, self._high_float = decimal_of(close), close
            self._place(self._position.entry_price)

    def exit(self, close: float) -> str | None:
        """Why the position is left on this close, or None."""
        if close <= self._stop_float:
            return self.reason
        return TAKE_PROFIT if close >= self._take_float else None

    def price(self) -> Decimal | None:
        """The stop now, not rounded to any venue's grid; None where there is none, or none above zero."""
        return self._stop if self._stop is not None and self._stop > ZERO else None

    def dump(self) -> dict[str, str] | None:
        if self._position is None:
            return None
        entry_time, entry_price = _key(self._position)
        return {"entry_time": entry_time, "entry_price": entry_price, "high": str(self._high)}

    def _place(self, entry: Decimal) -> None:
        """Work out the stop: the higher of stop loss and, once it is active, trailing stop."""
        stop = None if self._loss is None else entry * (_WHOLE - self._loss)
        self.reason = STOP_LOSS
        if self._trail is not None and self._high >= entry * (_WHOLE + self._activation):
            trailing = self._high * (_WHOLE - self._trail)
            if stop is None or trailing > stop:
                stop, self.reason = trailing, TRAILING_STOP
        self._stop = stop
        self._stop_float = -math.inf if stop is None else float(stop)


def _fraction(percent: Decimal | None, enabled: bool | None) -> Decimal | None:  # noqa: FBT001  # as the document has it
    return None if percent is None or enabled is False else percent / _PERCENT


def _key(position: Position) -> tuple[str, str]:
    return position.entry_time.isoformat(), str(position.entry_price)


def _saved_high(position: Position, saved: Mapping[str, Any] | None) -> Decimal:
    """The high that was saved of this very position; 0 where none was."""
    if saved is None or (saved["entry_time"], saved["entry_price"]) != _key(position):
        return ZERO
    return Decimal(saved["high"])
