"""How a bot has done so far, from its closed trades alone: for a UTC day that is over, and after so many trades. Pure.

Equity is opening cash plus what closed trades earned: what the tables know. Between two exits it stands still, so a
fall while a position was open does not count as drawdown. The figures are those of engine/performance.py otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

import numpy as np

from bot_core.models.figures import iso_utc
from bot_runtime.domain.bar import epoch_ms
from bot_runtime.domain.money import ZERO
from bot_runtime.engine.equity import Equity
from bot_runtime.engine.performance import daily_returns, max_drawdown, sharpe_ratio, total_return

#: After a long time away no more rows than this are written at once; the newest matter.
MOST_AT_ONCE = 31
_PERCENT = 100.0
_DAY = timedelta(days=1)
ANNUALISED = "mean over deviation of daily returns (UTC), times sqrt(365), risk-free rate 0"


class Kind(StrEnum):
    DAY = "day"
    TRADES = "trades"


@dataclass(frozen=True, slots=True)
class Closed:
    """A closed trade as the table has it; money in quote currency."""

    entry_time: datetime
    exit_time: datetime
    net_pnl: Decimal
    commission: Decimal


@dataclass(frozen=True, slots=True)
class History:
    """All closed trades in the order of their exits, and since when a position is open, if one is."""

    opening_cash: Decimal
    closed: Sequence[Closed]
    open_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """What a row is about: the trades with an exit before `until`, or the first `trades` of them."""

    kind: Kind
    name: str
    trades: int
    until: datetime


def due_marks(history: History, every: int, now: datetime, last_day: date | None, last_trades: int) -> tuple[Mark, ...]:
    """What is to be written: days that are over at `now`, and each `every` trades, newer than the last ones written."""
    if not history.closed:
        return ()
    return (*_days(history, now, last_day), *_counts(history, every, last_trades))


def _days(history: History, now: datetime, last: date | None) -> list[Mark]:
    """Days from the first exit on; a day without an exit counts as well, since it returned 0."""
    first = history.closed[0].exit_time.date() if last is None else last + _DAY
    count = (now.date() - first).days
    days = [first + _DAY * number for number in range(max(0, count - MOST_AT_ONCE), count)]
    marks, at = [], 0
    for day in days:
        until = datetime.combine(day + _DAY, time(), UTC)
        while at < len(history.closed) and history.closed[at].exit_time < until:
            at += 1
        if at:
            marks.append(Mark(Kind.DAY, day.isoformat(), at, until))
    return marks


def _counts(history: History, every: int, last: int) -> list[Mark]:
    counts = list(range(every * (last // every + 1), len(history.closed) + 1, every))
    return [Mark(Kind.TRADES, str(n), n, history.closed[n - 1].exit_time) for n in counts[-MOST_AT_ONCE:]]


def figures(history: History, mark: Mark) -> dict[str, Any]:
    """The figures up to a mark, as JSON. None where one is not defined."""
    closed = history.closed[: mark.trades]
    won = [trade.net_pnl for trade in closed if trade.net_pnl > 0]
    lost = [trade.net_pnl for trade in closed if trade.net_pnl < 0]
    start, opening = closed[0].entry_time, float(history.opening_cash)
    equity = _equity(closed, opening, start, mark.until)
    total, fall = total_return(equity.value, opening), max_drawdown(equity, opening)
    found = {
        "kind": str(mark.kind),
        "mark": mark.name,
        "period": {"from": iso_utc(start), "until": iso_utc(mark.until)},
        "trades": len(closed),
        "wins": len(won),
        "losses": len(lost),
        "win_rate_percent": _PERCENT * len(won) / len(closed),
        "profit_factor": float(sum(won, ZERO) / -sum(lost, ZERO)) if lost else None,
        "opening_cash": opening,
        "net_pnl": float(sum((trade.net_pnl for trade in closed), ZERO)),
        "commission": float(sum((trade.commission for trade in closed), ZERO)),
        "return_percent": None if total is None else total * _PERCENT,
        "max_drawdown_percent": 0.0 if fall is None else fall.percent,
        "sharpe": sharpe_ratio(daily_returns(equity, opening)),
        "sharpe_is": ANNUALISED,
        "exposure_percent": _exposure(history, start, mark.until),
        "basis": "closed trades",
    }
    return found | (_of_the_day(closed, mark) if mark.kind is Kind.DAY else {})


def _of_the_day(closed: Sequence[Closed], mark: Mark) -> dict[str, Any]:
    own = [trade.net_pnl for trade in closed if trade.exit_time >= mark.until - _DAY]
    return {"day": {"trades": len(own), "net_pnl": float(sum(own, ZERO))}}


def _equity(closed: Sequence[Closed], opening: float, start: datetime, until: datetime) -> Equity:
    """The value from the first entry on, after each exit, and at the end of the period."""
    last = max(epoch_ms(closed[-1].exit_time), epoch_ms(until) - 1)
    times = np.array([epoch_ms(start), *(epoch_ms(trade.exit_time) for trade in closed), last], dtype=np.int64)
    earned = np.cumsum([0.0, *(float(trade.net_pnl) for trade in closed), 0.0])
    value = opening + earned
    return Equity(times, value, value, np.zeros(len(times), dtype=np.bool_))


def _exposure(history: History, start: datetime, until: datetime) -> float | None:
    """The share of the period in which a position was open."""
    span = (until - start).total_seconds()
    if span <= 0:
        return None
    spells = [(trade.entry_time, trade.exit_time) for trade in history.closed]
    if history.open_since is not None:
        spells.append((history.open_since, until))
    held = sum((min(end, until) - begin).total_seconds() for begin, end in spells if begin < until)
    return _PERCENT * held / span
