"""A strategy over bars of the past. Drives the kernel as a live bot does, with indicators computed once for all bars.

Pure: bars in, result out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from bot_runtime.brokers.paper_venue import PaperVenue
from bot_runtime.domain.account import Account
from bot_runtime.domain.bar import Bar
from bot_runtime.domain.money import decimal_of
from bot_runtime.domain.position import Position
from bot_runtime.domain.sizing import Sizing
from bot_runtime.domain.trade import Trade
from bot_runtime.engine.kernel import Closed, Kernel
from bot_runtime.indicators.history import History
from bot_runtime.indicators.view import View
from bot_runtime.strategies.base import Strategy

_NO_BOT = 0
# Distances in bars are counted, not computed from the grid, so any interval will do.
_ANY_INTERVAL = 1


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """What a run gave; `final_value` is cash plus the open position at the last close."""

    trades: tuple[Trade, ...]
    open_position: Position | None
    final_value: Decimal
    cash: Decimal

    def to_json(self) -> dict[str, Any]:
        return {
            "trades": [_trade_json(trade) for trade in self.trades],
            "open_position": None if self.open_position is None else _position_json(self.open_position),
            "final_value": float(self.final_value),
        }


def run_backtest(
    strategy: Strategy,
    bars: Sequence[Bar],
    *,
    position_size: Decimal | Sizing,
    cash: Decimal,
    commission: Decimal,
    slippage_bps: Decimal = Decimal(0),
) -> BacktestResult:
    """Run a fresh strategy over bars in ascending order; an order of the last bar is never filled."""
    account = Account(cash=cash)
    history = History(_ANY_INTERVAL)
    history.extend(bars)
    kernel = Kernel(bot_id=_NO_BOT, strategy=strategy, account=account, position_size=position_size, history=history)
    venue = PaperVenue(commission, slippage_bps)
    trades = _run(kernel, venue, bars, View(history, strategy.indicators)) if bars else []
    value = account.value(decimal_of(bars[-1].close)) if bars else account.cash
    return BacktestResult(tuple(trades), account.position, value, account.cash)


def _run(kernel: Kernel, venue: PaperVenue, bars: Sequence[Bar], view: View) -> list[Trade]:
    trades: list[Trade] = []
    for index, bar in enumerate(bars):
        for fill in venue.match(bar):
            if kernel.pending is not None:
                result = kernel.on_fill(kernel.pending, fill)
                trades += [result.trade] if isinstance(result, Closed) else []
        if index < kernel.strategy.first_bar:
            continue
        view.move_to(index)
        intent = kernel.decide(bar, view)
        if intent is not None:
            venue.submit(intent)
    return trades


def _trade_json(trade: Trade) -> dict[str, Any]:
    return {
        "entry_time": _iso(trade.entry_time),
        "entry_price": float(trade.entry_price),
        "size": float(trade.size),
        "direction": trade.direction.value,
        "exit_time": _iso(trade.exit_time),
        "exit_price": float(trade.exit_price),
        "exit_reason": trade.exit_reason,
        "gross_pnl": float(trade.gross_pnl),
        "net_pnl": float(trade.net_pnl),
        "commission": float(trade.commission),
        "signal_time": _iso(trade.signal_time),
    }


def _position_json(position: Position) -> dict[str, Any]:
    return {
        "entry_time": _iso(position.entry_time),
        "entry_price": float(position.entry_price),
        "size": float(position.quantity),
        "direction": position.direction.value,
        "signal_time": _iso(position.signal_time),
    }


def _iso(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")
