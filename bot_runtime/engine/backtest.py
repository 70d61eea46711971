"""A strategy over bars of the past. Drives the kernel as a live bot does, with indicators computed once for all bars.

Pure: bars in, result out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from bot_core.models.figures import iso_utc
from bot_runtime.brokers.paper_venue import PaperVenue, Simulation
from bot_runtime.domain.account import Account
from bot_runtime.domain.bar import Bar
from bot_runtime.domain.money import decimal_of
from bot_runtime.domain.order import OrderIntent, OrderReport, fill_of
from bot_runtime.domain.position import Position
from bot_runtime.domain.sizing import Sizing
from bot_runtime.domain.trade import Trade
from bot_runtime.engine.bar_columns import BarColumns, columns_of
from bot_runtime.engine.equity import Equity, Holding, equity_of
from bot_runtime.engine.file_view import FileView
from bot_runtime.engine.kernel import Kernel
from bot_runtime.engine.outcomes import Closed
from bot_runtime.engine.performance import Summary, summarize
from bot_runtime.indicators.history import History
from bot_runtime.risk.guard import RiskGuard
from bot_runtime.strategies.base import Strategy

_NO_BOT = 0
# Distances in bars are counted, not computed from the grid, so any interval will do.
_ANY_INTERVAL = 1
# Bars between two reports of progress.
_STRIDE = 8192


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """What a run gave; `final_value` is cash plus the open position at the last close, `equity` that of each bar."""

    trades: tuple[Trade, ...]
    open_position: Position | None
    final_value: Decimal
    cash: Decimal
    opening_cash: Decimal
    equity: Equity = field(compare=False, repr=False)

    @property
    def summary(self) -> Summary:
        paid = Decimal(0) if self.open_position is None else self.open_position.entry_commission
        return summarize(self.trades, self.equity, opening_cash=self.opening_cash, open_commission=paid)

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
    simulation: Simulation | None = None,
    guard: RiskGuard | None = None,
    limit_entries: bool = False,
    interval_seconds: float = 0,
    progress: Callable[[int], None] | None = None,
) -> BacktestResult:
    """Run a fresh strategy over bars in ascending order; an order of the last bar is never filled.

    `progress` is called now and then with the number of bars done. Raise ValueError for bars out of order.
    """
    columns = columns_of(bars)
    run = _Run(
        Kernel(
            bot_id=_NO_BOT,
            strategy=strategy,
            account=Account(cash=cash),
            position_size=position_size,
            history=History(_ANY_INTERVAL),  # stays empty: the view holds the file
            guard=guard,
            limit_entries=limit_entries,
        ),
        PaperVenue(commission, simulation, interval_seconds=interval_seconds),
    )
    if bars:
        run.drive(columns, progress or _silent)
    account = run.kernel.account
    value = account.value(decimal_of(columns.close[-1])) if bars else account.cash
    equity = equity_of(columns.time, columns.close, run.holdings, strategy.first_bar)
    return BacktestResult(tuple(run.trades), account.position, value, account.cash, cash, equity)


class _Run:
    """One pass over a file."""

    def __init__(self, kernel: Kernel, venue: PaperVenue) -> None:
        self.kernel = kernel
        self.venue = venue
        self.trades: list[Trade] = []
        self.holdings = [Holding.of(0, kernel.account)]

    def drive(self, columns: BarColumns, progress: Callable[[int], None]) -> None:
        kernel, strategy = self.kernel, self.kernel.strategy
        view = FileView(columns, strategy.indicators)
        count = len(columns.time)
        # Nothing can be pending on bars that are not evaluated.
        for start in range(strategy.first_bar, count, _STRIDE):
            for index, bar in enumerate(columns.bars(start, min(start + _STRIDE, count)), start):
                if kernel.pending is not None or kernel.protective is not None:
                    self._fill(index, bar)
                view.move_to(index)
                intent = kernel.decide(bar, view)
                if intent is not None:
                    self._order(intent)
                elif kernel.watches:
                    self._protect()
            progress(min(start + _STRIDE, count))

    def _fill(self, index: int, bar: Bar) -> None:
        kernel = self.kernel
        while reports := self.venue.match(bar):
            for report in reports:
                intent = next(o for o in (kernel.pending, kernel.protective) if o and _is_of(report, o))
                if report.final:
                    self._book(intent, report)
            self._protect()  # a stop that is placed at this bar's open may be hit by it
        late = kernel.expired(bar)
        if late is not None:
            self._cancel(late)
        self.holdings.append(Holding.of(index, kernel.account))

    def _order(self, intent: OrderIntent) -> None:
        if self.kernel.protective is not None:
            self._cancel(self.kernel.protective)
            if not self.kernel.sells_all(intent):
                self.kernel.drop(intent)
                rest = self.kernel.exit_intent(intent.signal_time, intent.signal_price, intent.reason)
                if rest is None:
                    return
                intent = rest
        if self.venue.submit(intent).final:
            self.kernel.drop(intent)
        self._protect()

    def _protect(self) -> None:
        kernel, wanted = self.kernel, self.kernel.wanted_stop()
        if wanted is kernel.protective:
            return
        if kernel.protective is not None:
            self._cancel(kernel.protective)
            wanted = kernel.wanted_stop()  # it may have filled in part
        if wanted is None:
            return
        if self.venue.submit(wanted).final:
            kernel.stop_refused(wanted)
            self._protect()
        else:
            kernel.protective = wanted

    def _cancel(self, intent: OrderIntent) -> None:
        report = self.venue.cancel(intent.client_order_id)
        if report is None or not report.filled:
            self.kernel.drop(intent)
        else:
            self._book(intent, report)

    def _book(self, intent: OrderIntent, report: OrderReport) -> None:
        result = self.kernel.on_fill(intent, fill_of(report))
        self.trades += [result.trade] if isinstance(result, Closed) else []


def _is_of(report: OrderReport, intent: OrderIntent) -> bool:
    return report.client_order_id == intent.client_order_id


def _silent(_done: int) -> None:
    """Nobody watches."""


def _trade_json(trade: Trade) -> dict[str, Any]:
    return {
        "entry_time": iso_utc(trade.entry_time),
        "entry_price": float(trade.entry_price),
        "size": float(trade.size),
        "direction": trade.direction.value,
        "exit_time": iso_utc(trade.exit_time),
        "exit_price": float(trade.exit_price),
        "exit_reason": trade.exit_reason,
        "gross_pnl": float(trade.gross_pnl),
        "net_pnl": float(trade.net_pnl),
        "commission": float(trade.commission),
        "signal_time": iso_utc(trade.signal_time),
    }


def _position_json(position: Position) -> dict[str, Any]:
    return {
        "entry_time": iso_utc(position.entry_time),
        "entry_price": float(position.entry_price),
        "size": float(position.quantity),
        "direction": position.direction.value,
        "signal_time": iso_utc(position.signal_time),
    }
