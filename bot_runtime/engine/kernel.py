"""The decisions of one bot, bar by bar: the same code in backtest, replay, paper and live.

Pure: no I/O, no clock, no asyncio. Per bar, whoever drives it first books the fills of the bar (`on_fill`), then
hands over the bar (`on_bar`) and does with the returned intent what it must; after each of these it makes the
protective stop at the venue what `wanted_stop` says. Account, orders on their way, rule state and the bars up to the
cursor are all there is: restored between any two calls, a kernel goes on with the same decisions.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, assert_never

from bot_core.models.errors import InvalidBotError
from bot_runtime.domain.account import Account
from bot_runtime.domain.bar import Bar
from bot_runtime.domain.market import MarketRules
from bot_runtime.domain.money import ZERO, decimal_of
from bot_runtime.domain.order import Fill, OrderIntent, OrderType, Purpose, Side, client_order_id
from bot_runtime.domain.sizing import Sizing
from bot_runtime.engine.outcomes import FREE, Closed, FillResult, Hold, Opened, Reduced
from bot_runtime.indicators.history import History
from bot_runtime.indicators.view import TAIL, View
from bot_runtime.risk.guard import Refusal, RiskGuard
from bot_runtime.risk.refusal import plain
from bot_runtime.strategies.base import Strategy

#: Beside the state of the rules, in what `dump_state` returns: that of the guard.
RISK = "risk"


class Kernel:
    """One bot's trading.

    `pending` is the entry or exit decided on and not yet final, `protective` the stop that rests at the venue; a
    driver may restore or drop both. `limit_entries` makes entries limit orders at the signal's close, good for one bar.
    """

    def __init__(
        self,
        *,
        bot_id: int,
        strategy: Strategy,
        account: Account,
        position_size: Decimal | Sizing,
        history: History,
        trade_from: datetime | None = None,
        guard: RiskGuard | None = None,
        market: MarketRules | None = None,
        limit_entries: bool = False,
    ) -> None:
        self.bot_id = bot_id
        self.strategy = strategy
        self.account = account
        self.history = history
        self.pending: OrderIntent | None = None
        self.protective: OrderIntent | None = None
        #: The newest bar: where the kernel stands. A driver that restores one sets it to the cursor.
        self.now: datetime | None = None
        #: Why the signal of the last bar became no order; empty where it did, or where there was none.
        self.refused = ""
        #: The key of the document's limit that kept the signal of the last bar from an order; empty where none did.
        self.limited_by = ""
        #: Why the protective stop of the open position can't rest at the venue; empty where it can, or none is wanted.
        self.stop_impossible = ""
        self.market = market or MarketRules()
        self.guard = guard
        self.watches = guard is not None and guard.watches
        self._sizing = position_size if isinstance(position_size, Sizing) else Sizing(position_size)
        self._trade_from = trade_from
        self._limit_entries = limit_entries
        #: Prices at which the venue refused a stop since the last bar, or since `retry_stops`.
        self.refused_stops: set[Decimal] = set()
        self._earlier_stop: Decimal | None = None

    def warm_up(self, bars: Iterable[Bar]) -> None:
        """Remember the bars up to and including the cursor. Nothing is decided, no rule changes its state."""
        self.history.extend(bars)

    def on_fill(self, intent: OrderIntent, fill: Fill) -> FillResult:
        """Book what `intent` came to, once it is final. Raise ValueError, changing nothing, where that can't be."""
        self._check(intent, fill)
        match intent.purpose:
            case Purpose.ENTRY:
                position = self.account.open(intent, fill)
                self.strategy.opened(position)
                if self.guard is not None:
                    self.guard.opened(position)
                result: FillResult = Opened(position)
            case Purpose.EXIT | Purpose.PROTECTIVE:
                result = self._reduce(intent, fill)
            case _:
                assert_never(intent.purpose)
        self.drop(intent)
        return result

    def _reduce(self, intent: OrderIntent, fill: Fill) -> FillResult:
        trade, position = self.account.close(intent, fill, self.market)
        if trade is None:
            return Reduced(position)
        self._earlier_stop = None
        self.stop_impossible = ""
        self.strategy.closed()
        if self.guard is not None:
            self.guard.closed(trade, self.account)
        return Closed(trade, position)

    def drop(self, intent: OrderIntent) -> None:
        """Forget an order that is final, whatever came of it."""
        if intent.purpose is Purpose.PROTECTIVE:
            if self.protective is not None and self.protective.client_order_id == intent.client_order_id:
                self.protective = None
                if intent.stop_price not in self.refused_stops:
                    self._earlier_stop = intent.stop_price
        elif self.pending is not None and self.pending.client_order_id == intent.client_order_id:
            self.pending = None

    def stop_refused(self, intent: OrderIntent) -> None:
        """The venue refused this stop: until the next bar, or `retry_stops`, the one that rested before is wanted."""
        if intent.stop_price is not None:
            self.refused_stops.add(intent.stop_price)

    def retry_stops(self) -> None:
        """Want a stop again that was refused."""
        self.refused_stops.clear()

    def expired(self, bar: Bar) -> OrderIntent | None:
        """Return the limit entry that had this whole bar to fill, for the driver to cancel before `on_bar`."""
        pending = self.pending
        if pending is None or pending.type is not OrderType.LIMIT or pending.signal_time >= bar.time:
            return None
        return pending

    def on_bar(self, bar: Bar, hold: Hold = FREE) -> OrderIntent | None:
        """Take in a closed bar and return the order decided on its close, which then is `pending`.

        While the rules know too few bars, only the guard is asked.
        """
        self.history.append(bar)
        self.refused = self.limited_by = ""
        view = View(self.history, self.strategy.indicators, tail=TAIL) if self._evaluates(bar) else None
        return self.decide(bar, view, hold)

    def decide(self, bar: Bar, view: View | None, hold: Hold = FREE) -> OrderIntent | None:
        """Ask the rules, on the bar that `view` looks from (None: not the rules), and the guard.

        For drivers that hold a view over a whole file.
        """
        self.now = bar.time
        self.refused_stops.clear()
        guard = self.guard if self.watches else None
        if guard is not None:
            guard.on_bar(bar, self.account)
        position = self.account.position
        if position is None:
            return None if self.pending is not None or view is None else self._entry(bar, view, hold)
        signal = None if view is None else _checked(self.strategy.exit(view, position), self.strategy.exit_name)
        reason = None if hold.exits else signal
        if reason is None and guard is not None:
            reason = guard.exit(bar, position)
        if self.pending is not None:
            return None
        if reason is None:
            self.refused = f"exit signal ({signal}) is held: {hold.exits}" if signal else self.refused
            return None
        return self.exit_intent(bar.time, decimal_of(bar.close), reason)

    def exit_intent(self, time: datetime, price: Decimal, reason: str) -> OrderIntent | None:
        """Close what is held by a market order, named by `time`. None, with `refused`, for what can't be sold."""
        position = self.account.position
        if position is None:
            return None
        quantity = self.market.quantity(position.held)
        refusal = self.market.refusal(quantity, price)
        if quantity <= ZERO or refusal:
            self.refused = f"exit signal ({reason}), but {refusal or 'nothing is left to sell'}"
            return None
        return self._intend(time, price, Purpose.EXIT, Side.SELL, quantity, reason)

    def sells_all(self, intent: OrderIntent) -> bool:
        """Whether an exit is still for all that is held: not where a stop has filled in the meantime."""
        position = self.account.position
        return position is not None and self.market.quantity(position.held) == intent.quantity

    def wanted_stop(self) -> OrderIntent | None:
        """The protective stop that should rest at the venue now: the one that does, another one, or None for none."""
        position = self.account.position
        if not self.watches or self.guard is None or position is None or self.pending is not None:
            return None
        price = self.guard.stop_price(position)
        time = self.now or position.signal_time
        if price is None or not self.market.rests_stops:
            return None
        price, quantity = self.market.price(price), self.market.quantity(position.held)
        if price in self.refused_stops and self._earlier_stop is not None:
            price = self._earlier_stop
        if price in self.refused_stops:
            return None
        refusal = self.market.refusal(quantity, price) if quantity > ZERO else "less is held than can be sold"
        self.stop_impossible = f"no stop can rest at {price:f}: {refusal}" if refusal else ""
        if price <= ZERO or refusal:
            return None
        resting = self.protective
        if resting is not None and resting.stop_price == price and resting.quantity == quantity:
            return resting
        return OrderIntent(
            client_order_id=client_order_id(self.bot_id, Purpose.PROTECTIVE, time),
            purpose=Purpose.PROTECTIVE,
            side=Side.SELL,
            type=OrderType.STOP,
            quantity=quantity,
            signal_time=time,
            signal_price=price,
            reason=self.guard.stop_reason(position),
            stop_price=price,
        )

    def dump_state(self) -> dict[str, Any]:
        """Return the state of the rules and of the guard, as JSON."""
        state = self.strategy.dump_state()
        return state if self.guard is None else state | {RISK: self.guard.dump_state()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.strategy.load_state({name: value for name, value in state.items() if name != RISK})
        if self.guard is not None:
            self.guard.load_state(state.get(RISK) or {})

    def _evaluates(self, bar: Bar) -> bool:
        early = self._trade_from is not None and bar.time < self._trade_from
        return not early and self.history.bars_seen > self.strategy.first_bar

    def _entry(self, bar: Bar, view: View, hold: Hold) -> OrderIntent | None:
        reason = _checked(self.strategy.enter(view), self.strategy.entry_name)
        if reason is None:
            return None
        if hold.entries:
            self.refused = f"entry signal ({reason}) is held: {hold.entries}"
            return None
        price = decimal_of(bar.close)
        quantity = self._admitted(bar, price)
        if quantity <= ZERO:
            return None
        return self._intend(bar.time, price, Purpose.ENTRY, Side.BUY, quantity, reason)

    def _admitted(self, bar: Bar, price: Decimal) -> Decimal:
        """How much to buy: what sizing, risk and venue allow. 0, with `refused`, where that is nothing."""
        cash = self.account.cash
        quantity = self._sizing.quantity(cash, price)
        if quantity <= ZERO:
            self.refused = f"entry signal, but {cash} of cash buys nothing at this price and position size"
            return ZERO
        if self.guard is not None and self.guard.limits_entries:
            admitted = self.guard.admit(quantity, price, bar.time, self.account)
            if isinstance(admitted, Refusal):
                self.refused, self.limited_by = f"entry signal, but {admitted.message}", admitted.limit
                return ZERO
            quantity = admitted
        quantity = self.market.quantity(quantity)
        refusal = self.market.refusal(quantity, price) or self._stop_refusal(quantity, price)
        if refusal or quantity <= ZERO:
            self.refused = f"entry signal, but {refusal or 'the limits leave nothing to buy'}"
            return ZERO
        return quantity

    def _stop_refusal(self, quantity: Decimal, price: Decimal) -> str | None:
        """Why what is bought at about `price` could not be sold at its first stop, or None."""
        stop = self.guard.first_stop(price) if self.guard is not None and self.watches else None
        refusal = None if stop is None else self.market.refusal(quantity, stop)
        return refusal and f"at its stop, {plain(stop or ZERO)}, {refusal}"

    def _intend(
        self, time: datetime, price: Decimal, purpose: Purpose, side: Side, quantity: Decimal, reason: str
    ) -> OrderIntent:
        limited = self._limit_entries and purpose is Purpose.ENTRY
        self.pending = OrderIntent(
            client_order_id=client_order_id(self.bot_id, purpose, time),
            purpose=purpose,
            side=side,
            type=OrderType.LIMIT if limited else OrderType.MARKET,
            quantity=quantity,
            signal_time=time,
            signal_price=price,
            reason=reason,
            limit_price=self.market.price(price) if limited else None,
        )
        return self.pending

    def _check(self, intent: OrderIntent, fill: Fill) -> None:
        if fill.client_order_id != intent.client_order_id:
            raise ValueError(f"fill of {fill.client_order_id} offered for order {intent.client_order_id}")
        other = self.protective if intent.purpose is Purpose.PROTECTIVE else self.pending
        if other is not None and other.client_order_id != intent.client_order_id:
            raise ValueError(f"fill of {intent.client_order_id} while {other.client_order_id} is pending")
        if not ZERO < fill.quantity <= intent.quantity:
            raise ValueError(f"order {intent.client_order_id} is for {intent.quantity}, filled {fill.quantity}")
        if fill.price <= ZERO or fill.commission < ZERO:
            raise ValueError(f"fill of {intent.client_order_id} at {fill.price}, commission {fill.commission}")


def _checked(reason: Any, rule: str) -> str | None:
    """A rule answers with a text or with nothing: False would otherwise be taken as a signal on every bar."""
    if reason is None or (isinstance(reason, str) and reason):
        return reason
    raise InvalidBotError(f"{rule} answered {reason!r}; allowed: the reason of a signal as a text, or None")
