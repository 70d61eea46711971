"""The limits of one bot's document, enforced: how much may be bought, whether at all, and when a position is left.

Pure: no I/O and no clock; time is that of the bars. The kernel asks it in a backtest as it does live. Exits are never
refused. What the bots of a user or an account may do together is the matter of `bot_core.store.limits`.
"""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from bot_core.models.operation import SchedulingConfig
from bot_core.models.risk import RiskConfig, TradingConfig
from bot_runtime.domain.account import Account
from bot_runtime.domain.bar import Bar
from bot_runtime.domain.money import CENT8, ZERO, round_down
from bot_runtime.domain.position import Position
from bot_runtime.domain.trade import Trade
from bot_runtime.risk.day import Day
from bot_runtime.risk.refusal import Refusal, plain
from bot_runtime.risk.stops import Stops
from bot_runtime.risk.window import TradingWindow

__all__ = ["Refusal", "RiskGuard"]

_WHOLE = Decimal(1)
_PERCENT = Decimal(100)


class RiskGuard:
    """`watches`: bars matter to it; `limits_entries`: an entry may be refused or reduced. Else it need not be asked."""

    def __init__(
        self,
        risk: RiskConfig,
        trading: TradingConfig,
        scheduling: SchedulingConfig,
        opening_cash: Decimal,
        *,
        buying_power: bool = False,
        commission: Decimal = ZERO,
    ) -> None:
        """With `buying_power`, an entry and its commission (a fraction) may not cost more than the free cash."""
        self._risk = risk
        self._trading = trading
        self._window = TradingWindow(scheduling) if scheduling.enabled else None
        self._stops = Stops(risk)
        self._cost = _WHOLE + commission if buying_power else None
        self._day = Day()
        self._peak = opening_cash
        self._saved: Mapping[str, Any] | None = None
        self.watches = self._stops.wanted
        self.limits_entries = self._window is not None or self._cost is not None or _any_limit(risk, trading)
        #: How the last entry was reduced, for the log; empty where it was not.
        self.reduced = ""

    @property
    def peak(self) -> Decimal:
        """The highest realised equity, which the tables keep."""
        return self._peak

    def opened(self, position: Position) -> None:
        """An entry has filled."""
        self._day.reach(position.entry_time)
        self._day.entries += 1
        self._saved = None
        self._stops.clear()
        self._follow(position)

    def closed(self, trade: Trade, account: Account) -> None:
        """A trade was booked, and the account with it."""
        self._day.reach(trade.exit_time)
        self._day.pnl += trade.net_pnl
        self._peak = max(self._peak, _equity(account))
        if account.position is None:
            self._saved = None
            self._stops.clear()

    def on_bar(self, bar: Bar, account: Account) -> None:
        """Take in the close of a bar, after its fills."""
        if account.position is not None:
            self._follow(account.position)
            self._stops.rise(bar.close)

    def exit(self, bar: Bar, position: Position) -> str | None:
        """Why the position is left on the close of this bar, or None."""
        self._follow(position)
        return self._stops.exit(bar.close)

    def first_stop(self, price: Decimal) -> Decimal | None:
        """Where a protective stop would rest at first after an entry at `price`; None where there would be none."""
        distance = self._stops.distance
        stop = ZERO if distance is None else price * (_WHOLE - distance)
        return stop if stop > ZERO else None

    def stop_price(self, position: Position) -> Decimal | None:
        """Where a protective stop should rest now: the higher of stop loss and active trailing stop; not rounded."""
        self._follow(position)
        return self._stops.price()

    def stop_reason(self, position: Position) -> str:
        """What a fill at `stop_price` would be: `stop_loss` or `trailing_stop`."""
        self._follow(position)
        return self._stops.reason

    def admit(self, quantity: Decimal, price: Decimal, time: datetime, account: Account) -> Decimal | Refusal:
        """How much of an entry at about `price` may be bought, in steps of 1e-8, or why nothing."""
        self.reduced = ""
        if account.position is not None:
            return Refusal("max_positions", "a bot holds one position at a time, and it is open")
        return self._refusal(time, account) or self._capped(quantity, price, account)

    def dump_state(self) -> dict[str, Any]:
        """Return what `load_state` goes on with, as JSON; amounts as text."""
        day = self._day
        return {
            "day": None if day.on is None else day.on.isoformat(),
            "day_entries": day.entries,
            "day_pnl": str(day.pnl),
            "peak": str(self._peak),
            "position": self._stops.dump() or self._saved,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on with a saved state; an empty one is that of a bot that never traded."""
        if not state:
            return
        day = state["day"]
        self._day = Day(
            None if day is None else date.fromisoformat(day), state["day_entries"], Decimal(state["day_pnl"])
        )
        self._peak = Decimal(state["peak"])
        self._saved = state["position"]
        self._stops.clear()

    def _follow(self, position: Position) -> None:
        self._stops.follow(position, self._saved)

    def _refusal(self, time: datetime, account: Account) -> Refusal | None:
        """Why no entry at all is made now."""
        if self._window is not None and not self._window.allows(time):
            return Refusal("scheduling", f"scheduling allows entries on {self._window} only")
        self._day.reach(time)
        return self._too_many() or self._lost_too_much() or self._fallen_too_far(account)

    def _too_many(self) -> Refusal | None:
        limit, day = self._risk.max_daily_trades, self._day
        if limit is None or day.entries < limit:
            return None
        over = day.entries + 1 - limit
        return Refusal(
            "max_daily_trades",
            f"max_daily_trades is {limit}: {day.entries} entries were made on {day.on} (UTC), "
            f"one more would be {over} too many",
        )

    def _lost_too_much(self) -> Refusal | None:
        limit, day = self._risk.max_daily_loss, self._day
        if limit is None or day.pnl >= ZERO or -day.pnl < limit:
            return None
        return Refusal(
            "max_daily_loss",
            f"max_daily_loss is {plain(limit)}: {plain(-day.pnl)} was lost on {day.on} (UTC), "
            f"{plain(-day.pnl - limit)} beyond it; no entry for the rest of the day",
        )

    def _fallen_too_far(self, account: Account) -> Refusal | None:
        limit, equity = self._trading.max_drawdown_pct, _equity(account)
        if limit is None or equity >= self._peak:
            return None
        fallen = (self._peak - equity) / self._peak * _PERCENT
        if fallen < limit:
            return None
        return Refusal(
            "max_drawdown_pct",
            f"max_drawdown_pct is {plain(limit)}: equity {plain(equity)} is {fallen:.2f} % below its peak of "
            f"{plain(self._peak)}, {fallen - limit:.2f} % beyond it; no entry until the limit is raised",
        )

    def _capped(self, quantity: Decimal, price: Decimal, account: Account) -> Decimal | Refusal:
        most, name, text = min(self._caps(account), default=(None, "", ""))
        value = quantity * price
        if most is None or value <= most:
            return quantity
        told = f"{text} allows an entry of {plain(most)}; this one is worth {plain(value)}, {plain(value - most)} more"
        reduced = round_down(most / price, CENT8)
        if reduced <= ZERO:
            return Refusal(name, f"{told}, and what is allowed buys nothing at {plain(price)}")
        self.reduced = f"{told}: {plain(quantity)} reduced to {plain(reduced)}"
        return reduced

    def _caps(self, account: Account) -> Iterator[tuple[Decimal, str, str]]:
        """The most that an entry may be worth by each limit that is set, the limit's name, and the limit in words."""
        size, exposure, at_risk = (
            self._risk.max_position_size,
            self._trading.max_exposure,
            self._risk.max_portfolio_risk,
        )
        if size is not None:
            yield size, "max_position_size", f"max_position_size {plain(size)}"
        equity = _equity(account)
        if exposure is not None:
            words = f"max_exposure {plain(exposure)} of equity {plain(equity)}"
            yield exposure * equity, "max_exposure", words
        distance = self._stops.distance
        if at_risk is not None and distance:
            words = f"max_portfolio_risk {plain(at_risk)} of equity {plain(equity)} with a stop {distance:.2%} below"
            yield at_risk * equity / distance, "max_portfolio_risk", words
        if self._cost is not None:
            yield account.cash / self._cost, "buying_power", f"free cash of {plain(account.cash)} less commission"


def _any_limit(risk: RiskConfig, trading: TradingConfig) -> bool:
    limits = (
        risk.max_position_size,
        risk.max_daily_loss,
        risk.max_daily_trades,
        risk.max_portfolio_risk,
        trading.max_exposure,
        trading.max_drawdown_pct,
    )
    return any(limit is not None for limit in limits)


def _equity(account: Account) -> Decimal:
    """Cash plus what the open position cost: what is realised."""
    held = account.position
    return account.cash if held is None else account.cash + held.held * held.entry_price
