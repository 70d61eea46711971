"""Figures of merit of a run: trades and an equity curve in, one frozen summary out. Pure, and not only for backtests.

Money is exact where it is added up; ratios are statistics and therefore floats. A figure that is not defined (a win
rate of no trades, a Sharpe ratio without variance) is None, never 0 and never infinite.

Definitions:

* Equity of a bar: cash plus the position at its close, after the fills of that bar. Commission still to be paid on
  the way out of an open position is not taken off.
* Return: last equity over opening cash, less one.
* CAGR: (1 + return) ** (year / span) - 1, with years of 365 days; only for spans of a year or more, since
  what a part of a year returned must not be annualised (Global Investment Performance Standards, 2020).
* Drawdown of a bar: the fall from the highest equity so far, opening cash included, as a part of that peak. The
  duration of the deepest runs from the last bar at its peak to the bar that reaches the peak again, or to the
  end where none does.
* Sharpe ratio: mean over standard deviation (n - 1) of the returns from one UTC day's last equity to the next, times
  sqrt(365), since coins trade every day; the risk-free rate is 0 (W. F. Sharpe, "The Sharpe Ratio", Journal of
  Portfolio Management 21, 1994). The first day's return is that on the opening cash; a day without bars returns 0.
* Profit factor: what winning trades earned over what losing trades lost, both net of commission.
* Exposure: bars with a position at their close over bars evaluated.
* Return of a trade: net profit over what the entry cost without commission.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from bot_core.models.figures import iso_utc
from bot_runtime.domain.bar import from_epoch_ms
from bot_runtime.domain.money import ZERO
from bot_runtime.domain.trade import Trade
from bot_runtime.engine.equity import Equity
from bot_runtime.indicators.base import Floats

_DAY_MS = 86_400_000
_DAYS_A_YEAR = 365
_PERCENT = 100.0
# Deviations below this part of the mean are rounding, not variance.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Drawdown:
    """A fall of equity in per cent of its peak; `end` is when the peak was reached again, or the last bar."""

    percent: float
    peak: datetime
    trough: datetime
    end: datetime
    recovered: bool

    @property
    def duration(self) -> timedelta:
        return self.end - self.peak


@dataclass(frozen=True, slots=True)
class Summary:
    """See the module for what each figure means; per cent where the name says so, money in quote currency."""

    bars: int
    evaluated_bars: int
    first_time: datetime | None
    last_time: datetime | None
    opening_cash: Decimal
    final_value: float
    total_return_percent: float | None
    buy_and_hold_percent: float | None
    cagr_percent: float | None
    max_drawdown: Drawdown | None
    sharpe_daily_365: float | None
    trades: int
    wins: int
    losses: int
    win_rate_percent: float | None
    profit_factor: float | None
    net_pnl: Decimal
    commission: Decimal
    exposure_percent: float | None
    average_holding: timedelta | None
    best: Trade | None
    worst: Trade | None

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, times in ISO 8601, durations in seconds."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        plain["max_drawdown"] = None if self.max_drawdown is None else _drawdown_json(self.max_drawdown)
        plain["best"], plain["worst"] = (None if one is None else _trade_json(one) for one in (self.best, self.worst))
        return {name: _plain(value) for name, value in plain.items()}


def summarize(
    trades: Sequence[Trade], equity: Equity, *, opening_cash: Decimal, open_commission: Decimal = ZERO
) -> Summary:
    """Describe a run. `trades` are closed ones; `open_commission` was paid to enter the position that is still open."""
    won = [trade.net_pnl for trade in trades if trade.net_pnl > 0]
    lost = [trade.net_pnl for trade in trades if trade.net_pnl < 0]
    start = float(opening_cash)
    held = [trade.exit_time - trade.entry_time for trade in trades]
    evaluated = len(equity.value) - equity.first_bar
    total = total_return(equity.value, start)
    return Summary(
        bars=len(equity.value),
        evaluated_bars=max(0, evaluated),
        first_time=_time(equity, 0),
        last_time=_time(equity, -1),
        opening_cash=opening_cash,
        final_value=float(equity.value[-1]) if len(equity.value) else start,
        total_return_percent=_percent(total),
        buy_and_hold_percent=_percent(
            total_return(equity.close, float(equity.close[0])) if len(equity.close) else None
        ),
        cagr_percent=_percent(annual_return(total, equity)),
        max_drawdown=max_drawdown(equity, start),
        sharpe_daily_365=sharpe_ratio(daily_returns(equity, start)),
        trades=len(trades),
        wins=len(won),
        losses=len(lost),
        win_rate_percent=_PERCENT * len(won) / len(trades) if trades else None,
        profit_factor=float(sum(won, ZERO) / -sum(lost, ZERO)) if lost else None,
        net_pnl=sum((trade.net_pnl for trade in trades), ZERO),
        commission=sum((trade.commission for trade in trades), open_commission),
        exposure_percent=_PERCENT * float(equity.held.sum()) / evaluated if evaluated > 0 else None,
        average_holding=sum(held, timedelta()) / len(held) if held else None,
        best=max(trades, key=trade_return, default=None),
        worst=min(trades, key=trade_return, default=None),
    )


def trade_return(trade: Trade) -> float:
    """Net profit in per cent of the value bought."""
    cost = trade.entry_price * trade.size
    return float(trade.net_pnl / cost) * _PERCENT if cost else 0.0


def total_return(values: Floats, start: float) -> float | None:
    """The last value over `start`, less one; None without a start above 0."""
    if start <= 0:
        return None
    return float(values[-1]) / start - 1 if len(values) else 0.0


def annual_return(total: float | None, equity: Equity) -> float | None:
    """The yearly rate that compounds to `total` over the span of the bars; None for less than a year."""
    span = int(equity.time[-1] - equity.time[0]) / _DAY_MS if len(equity.time) else 0.0
    if total is None or total <= -1 or span < _DAYS_A_YEAR:
        return None
    return float((1 + total) ** (_DAYS_A_YEAR / span) - 1)


def max_drawdown(equity: Equity, start: float) -> Drawdown | None:
    """The deepest fall; None without bars, and where equity was never below an earlier value."""
    values = np.concatenate(([start], equity.value))
    peaks = np.maximum.accumulate(values)
    falls = np.divide(peaks - values, peaks, out=np.zeros_like(values), where=peaks > 0)
    trough = int(np.argmax(falls))
    if falls[trough] <= 0:
        return None
    peak = int(np.flatnonzero(values[: trough + 1] == peaks[trough])[-1])
    back = np.flatnonzero(values[trough:] >= peaks[trough])
    end = trough + int(back[0]) if len(back) else len(values) - 1
    # Place 0 is the opening cash, held when the first bar began.
    peak_time, low_time, end_time = (from_epoch_ms(int(equity.time[max(0, at - 1)])) for at in (peak, trough, end))
    return Drawdown(float(falls[trough]) * _PERCENT, peak_time, low_time, end_time, recovered=len(back) > 0)


def daily_returns(equity: Equity, start: float) -> Floats:
    """Returns from one UTC day's last equity to the next, the first from `start`; empty if equity was not above 0."""
    if not len(equity.time) or start <= 0:
        return np.empty(0)
    days = equity.time // _DAY_MS
    last_of_day = np.flatnonzero(np.append(np.diff(days) > 0, True))
    calendar = np.arange(days[0], days[-1] + 1)
    known = np.searchsorted(days[last_of_day], calendar, side="right") - 1
    values = np.concatenate(([start], equity.value[last_of_day][known]))
    if (values <= 0).any():
        return np.empty(0)
    return np.asarray(values[1:] / values[:-1] - 1, dtype=np.float64)


def sharpe_ratio(returns: Floats) -> float | None:
    """Annualise daily returns by sqrt(365); None for fewer than two, and where they don't vary."""
    if len(returns) < 2:  # noqa: PLR2004 - a deviation takes two
        return None
    mean, deviation = float(returns.mean()), float(returns.std(ddof=1))
    if deviation <= _ROUNDING * abs(mean):
        return None
    return mean / deviation * float(np.sqrt(_DAYS_A_YEAR))


def _time(equity: Equity, place: int) -> datetime | None:
    return from_epoch_ms(int(equity.time[place])) if len(equity.time) else None


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else fraction * _PERCENT


def _drawdown_json(drawdown: Drawdown) -> dict[str, Any]:
    plain = {name: _plain(value) for name, value in asdict(drawdown).items()}
    return {**plain, "duration": _plain(drawdown.duration)}


def _trade_json(trade: Trade) -> dict[str, Any]:
    return {
        "entry_time": _plain(trade.entry_time),
        "exit_time": _plain(trade.exit_time),
        "net_pnl": float(trade.net_pnl),
        "return_percent": trade_return(trade),
        "exit_reason": trade.exit_reason,
    }


def _plain(value: Any) -> Any:
    match value:
        case Decimal():
            return float(value)
        case datetime():
            return iso_utc(value)
        case timedelta():
            return value.total_seconds()
        case _:
            return value
