"""What a report says of a bot's days: trades in, a letter out. Pure; figures are those of `engine.performance`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal
from typing import Any

import numpy as np

from bot_core.models.recipients import Purpose
from bot_core.store.outbox import Letter
from bot_runtime.domain.money import ZERO, round_money
from bot_runtime.domain.position import Direction
from bot_runtime.domain.trade import Trade
from bot_runtime.engine.equity import Equity
from bot_runtime.engine.performance import Summary, summarize, trade_return
from bot_runtime.notifications.periods import Period
from bot_runtime.persistence.messages import amount, duration, money

#: Trades alone are summed up here: the tables have no equity curve.
_NO_CURVE = Equity(np.empty(0, dtype=np.int64), np.empty(0), np.empty(0), np.empty(0, dtype=np.bool_))


@dataclass(frozen=True, slots=True)
class Holding:
    """A position that is open when the report is written."""

    symbol: str
    quantity: Decimal
    price: Decimal | None


def read_trade(row: Mapping[Any, Any]) -> Trade | None:
    """A closed row of `trading_trades`; None for one of an older program that has not what a trade needs.

    What the row says was earned is taken as it is, whatever it was worked out from.
    """
    needed = [row[name] for name in ("size", "entry_price", "exit_price", "exit_time", "net_pnl")]
    if any(value is None for value in needed) or not row["entry_price"]:
        return None
    size, entry, price, closed_at, net = needed
    commission = row["commission"] or ZERO
    opened_at = row["entry_time"] or closed_at
    return Trade(
        direction=Direction.LONG,
        size=size,
        signal_time=opened_at,
        entry_time=opened_at,
        entry_price=entry,
        entry_reason="",
        exit_time=closed_at,
        exit_price=price,
        exit_reason=row["exit_reason"] or "no reason noted",
        commission=commission,
        dust=((price - entry) * size - commission - net) / entry,
    )


def build_report(
    name: str, period: Period, zone: tzinfo, trades: Iterable[Trade], balance: Decimal | None, held: Iterable[Holding]
) -> Letter:
    """The letter for one period. `balance` and `held` are as of now, the trades those that were closed in it."""
    figures = summarize([*trades], _NO_CURVE, opening_cash=balance or ZERO)
    holdings = [*held]
    lines = [f"{period.kind.capitalize()} report of {period} ({zone})", *_trades(figures)]
    lines += [] if balance is None else [f"Balance: {money(balance, sign='')}"]
    lines += [f"Open position: {_held(one)}" for one in holdings] or ["No open position"]
    data = _data(figures, period, zone) | {
        "balance": None if balance is None else str(balance),
        "open_positions": [_held(one) for one in holdings],
    }
    title = f"{period.kind.capitalize()} Report: {name}"
    again = f"{period.kind} {period.start.isoformat()}"
    return Letter(Purpose.SUMMARY, "report", title, "\n".join(lines), data, "NORMAL", again=again)


def _trades(figures: Summary) -> list[str]:
    if not figures.trades:
        return ["No trade was closed"]
    even = figures.trades - figures.wins - figures.losses
    split = f"{figures.wins} won, {figures.losses} lost" + (f", {even} even" if even else "")
    factor = "no losing trade" if figures.profit_factor is None else f"{figures.profit_factor:.2f}"
    lines = [
        f"Trades closed: {figures.trades} ({split}; win rate {figures.win_rate_percent:.1f}%)",
        f"Net P&L: {money(figures.net_pnl)}, fees {money(figures.commission, sign='')}",
        f"Profit factor: {factor}",
    ]
    for word, trade in (("Best", figures.best), ("Worst", figures.worst)):
        if trade is not None:
            held = duration(trade.exit_time - trade.entry_time)
            lines.append(f"{word}: {_trade(trade)}, held {held}, {trade.exit_reason}")
    return lines


def _trade(trade: Trade) -> str:
    return f"{money(trade.net_pnl)} / {trade_return(trade):+.2f}%"


def _held(holding: Holding) -> str:
    price = "" if holding.price is None else f" @ {amount(holding.price)}"
    return f"{amount(holding.quantity)} {holding.symbol}{price}"


def _data(figures: Summary, period: Period, zone: tzinfo) -> dict[str, Any]:
    return {
        "period": str(period.kind),
        "period_start": period.start.isoformat(),
        "period_end": period.end.isoformat(),
        "timezone": str(zone),
        "trades": figures.trades,
        "wins": figures.wins,
        "losses": figures.losses,
        "win_rate": figures.win_rate_percent,
        "profit_factor": figures.profit_factor,
        "net_pnl": _text(figures.net_pnl),
        "fees": _text(figures.commission),
        "best": None if figures.best is None else _text(figures.best.net_pnl),
        "worst": None if figures.worst is None else _text(figures.worst.net_pnl),
    }


def _text(value: Decimal) -> str:
    return format(round_money(value), "f")
