"""The decisions of one bot, bar by bar: the same code in backtest, replay, paper and live.

Pure: no I/O, no clock, no asyncio. Per bar, whoever drives it first books the fills of the bar (`on_fill`), then
hands over the bar (`on_bar`) and does with the returned intent what it must. Account, pending intent, rule state and
the bars up to the cursor are all there is: restored between any two calls, a kernel goes on with the same decisions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias, assert_never

from bot_core.models.errors import InvalidBotError
from bot_runtime.domain.account import Account
from bot_runtime.domain.bar import Bar
from bot_runtime.domain.money import ZERO, decimal_of
from bot_runtime.domain.order import Fill, OrderIntent, OrderType, Purpose, Side, client_order_id
from bot_runtime.domain.position import Position
from bot_runtime.domain.sizing import Sizing
from bot_runtime.domain.trade import Trade
from bot_runtime.indicators.history import History
from bot_runtime.indicators.view import TAIL, View
from bot_runtime.strategies.base import Strategy


@dataclass(frozen=True, slots=True)
class Opened:
    """An entry has filled."""

    position: Position


@dataclass(frozen=True, slots=True)
class Closed:
    """An exit has filled; `position` is what was closed."""

    trade: Trade
    position: Position


FillResult: TypeAlias = Opened | Closed


class Kernel:
    """One bot's trading. `pending` is the order decided on and not yet filled; a driver may restore or drop it."""

    def __init__(
        self,
        *,
        bot_id: int,
        strategy: Strategy,
        account: Account,
        position_size: Decimal | Sizing,
        history: History,
        trade_from: datetime | None = None,
    ) -> None:
        self.bot_id = bot_id
        self.strategy = strategy
        self.account = account
        self.history = history
        self.pending: OrderIntent | None = None
        #: Why the signal of the last bar became no order; empty where it did, or where there was none.
        self.refused = ""
        self._sizing = position_size if isinstance(position_size, Sizing) else Sizing(position_size)
        self._trade_from = trade_from

    def warm_up(self, bars: Iterable[Bar]) -> None:
        """Remember the bars up to and including the cursor. Nothing is decided, no rule changes its state."""
        self.history.extend(bars)

    def on_fill(self, intent: OrderIntent, fill: Fill) -> FillResult:
        """Book a complete fill of `intent`. Raise ValueError, changing nothing, on a fill that can't be of it."""
        self._check(intent, fill)
        match intent.purpose:
            case Purpose.ENTRY:
                position = self.account.open(intent, fill)
                self.strategy.opened(position)
                result: FillResult = Opened(position)
            case Purpose.EXIT | Purpose.PROTECTIVE:
                trade, position = self.account.close(intent, fill)
                self.strategy.closed()
                result = Closed(trade, position)
            case _:
                assert_never(intent.purpose)
        self.pending = None
        return result

    def on_bar(self, bar: Bar) -> OrderIntent | None:
        """Take in a closed bar and return the order decided on its close, which then is `pending`."""
        self.history.append(bar)
        self.refused = ""
        if not self._evaluates(bar):
            return None
        return self.decide(bar, View(self.history, self.strategy.indicators, tail=TAIL))

    def decide(self, bar: Bar, view: View) -> OrderIntent | None:
        """Evaluate the rules on the bar that `view` looks from. For drivers that hold a view over a whole file."""
        position = self.account.position
        if position is None:
            return None if self.pending is not None else self._entry(bar, view)
        reason = _checked(self.strategy.exit(view, position), self.strategy.exit_name)
        if reason is None or self.pending is not None:
            return None
        return self._intend(bar, Purpose.EXIT, Side.SELL, position.quantity, reason)

    def dump_state(self) -> dict[str, Any]:
        """Return the state of the rules, as JSON."""
        return self.strategy.dump_state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.strategy.load_state(state)

    def _evaluates(self, bar: Bar) -> bool:
        early = self._trade_from is not None and bar.time < self._trade_from
        return not early and self.history.bars_seen > self.strategy.first_bar

    def _entry(self, bar: Bar, view: View) -> OrderIntent | None:
        reason = _checked(self.strategy.enter(view), self.strategy.entry_name)
        if reason is None:
            return None
        quantity = self._sizing.quantity(self.account.cash, decimal_of(bar.close))
        if quantity <= ZERO:
            self.refused = f"entry signal, but {self.account.cash} of cash buys nothing at this price and position size"
            return None
        return self._intend(bar, Purpose.ENTRY, Side.BUY, quantity, reason)

    def _intend(self, bar: Bar, purpose: Purpose, side: Side, quantity: Decimal, reason: str) -> OrderIntent:
        self.pending = OrderIntent(
            client_order_id=client_order_id(self.bot_id, purpose, bar.time),
            purpose=purpose,
            side=side,
            type=OrderType.MARKET,
            quantity=quantity,
            signal_time=bar.time,
            signal_price=decimal_of(bar.close),
            reason=reason,
        )
        return self.pending

    def _check(self, intent: OrderIntent, fill: Fill) -> None:
        if fill.client_order_id != intent.client_order_id:
            raise ValueError(f"fill of {fill.client_order_id} offered for order {intent.client_order_id}")
        if self.pending is not None and self.pending.client_order_id != intent.client_order_id:
            raise ValueError(f"fill of {intent.client_order_id} while {self.pending.client_order_id} is pending")
        if fill.quantity != intent.quantity:
            raise ValueError(f"order {intent.client_order_id} is for {intent.quantity}, filled {fill.quantity}")
        if fill.price <= ZERO or fill.commission < ZERO:
            raise ValueError(f"fill of {intent.client_order_id} at {fill.price}, commission {fill.commission}")


def _checked(reason: Any, rule: str) -> str | None:
    """A rule answers with a text or with nothing: False would otherwise be taken as a signal on every bar."""
    if reason is None or (isinstance(reason, str) and reason):
        return reason
    raise InvalidBotError(f"{rule} answered {reason!r}; allowed: the reason of a signal as a text, or None")
