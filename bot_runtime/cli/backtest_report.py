"""What `tradingbot backtest` tells people: the trades of one run, its figures, one line a run for several."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from bot_runtime.domain.trade import Trade
from bot_runtime.engine.backtest import BacktestResult
from bot_runtime.engine.performance import Drawdown, Summary, trade_return

_UNDEFINED = "-"
_LONGEST_REASON = 24
_HOURS_A_DAY, _MINUTES_AN_HOUR = 24, 60
_MANY_DAYS = 10


def trade_table(result: BacktestResult) -> str:
    lines = [f"{'entry':<20} {'price':>14} {'size':>16} {'exit':<20} {'price':>14} {'net P&L':>14}  reason"]
    lines += [
        f"{trade.entry_time:%Y-%m-%d %H:%M:%S}  {trade.entry_price:>14.8g} {trade.size:>16.8f} "
        f"{trade.exit_time:%Y-%m-%d %H:%M:%S}  {trade.exit_price:>14.8g} {trade.net_pnl:>14.8f}  {trade.exit_reason}"
        for trade in result.trades
    ]
    position = result.open_position
    if position is not None:
        lines.append(
            f"{position.entry_time:%Y-%m-%d %H:%M:%S}  {position.entry_price:>14.8g} {position.quantity:>16.8f} open"
        )
    return "\n".join(lines)


def figures(summary: Summary) -> tuple[tuple[str, str, str], ...]:
    """Name, value and a remark of each figure; "-" where one is not defined."""
    return (
        ("total return", percent(summary.total_return_percent, sign=True), ""),
        ("buy and hold", percent(summary.buy_and_hold_percent, sign=True), ""),
        ("CAGR", percent(summary.cagr_percent, sign=True), "less than a year" if summary.cagr_percent is None else ""),
        ("max drawdown", *_drawdown(summary.max_drawdown)),
        ("Sharpe ratio", number(summary.sharpe_daily_365), "daily returns, x √365"),
        ("trades", f"{summary.trades:,}", f"{summary.wins:,} won, {summary.losses:,} lost"),
        ("win rate", percent(summary.win_rate_percent), ""),
        ("profit factor", _profit_factor(summary), ""),
        ("best trade", *_trade(summary.best)),
        ("worst trade", *_trade(summary.worst)),
        ("average holding", _UNDEFINED if summary.average_holding is None else duration(summary.average_holding), ""),
        ("exposure", percent(summary.exposure_percent), "of the bars"),
        ("net P&L", _money(summary.net_pnl), "of closed trades"),
        ("commission", _money(summary.commission), ""),
        ("final value", f"{summary.final_value:,.8g}", f"from {summary.opening_cash:,.8g}"),
        ("bars", f"{summary.bars:,}", _period(summary)),
    )


def figure_lines(summary: Summary) -> str:
    return "\n".join(f"{name:<16} {value:>14}  {remark}".rstrip() for name, value, remark in figures(summary))


RUN_HEADS = (
    "document",
    "bars",
    "trades",
    "win",
    "return",
    "hold",
    "drawdown",
    "Sharpe",
    "PF",
    "exposure",
    "final value",
)


def run_cells(document: str, bars: str, summary: Summary | None) -> tuple[str, ...]:
    """One line of the table of several runs; a run without a summary has failed."""
    if summary is None:
        return (document, bars, "failed", *[""] * (len(RUN_HEADS) - 3))
    return (
        document,
        bars,
        f"{summary.trades:,}",
        percent(summary.win_rate_percent, places=1),
        percent(summary.total_return_percent, sign=True),
        percent(summary.buy_and_hold_percent, sign=True),
        percent(0.0 if summary.max_drawdown is None else summary.max_drawdown.percent),
        number(summary.sharpe_daily_365),
        _profit_factor(summary),
        percent(summary.exposure_percent, places=1),
        f"{summary.final_value:,.8g}",
    )


def columns(rows: Sequence[Sequence[str]], *, left: int) -> str:
    """Align rows under the first of them; the first `left` columns are words, the others numbers."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def percent(value: float | None, *, sign: bool = False, places: int = 2) -> str:
    if value is None:
        return _UNDEFINED
    return f"{value:{'+' if sign else ''},.{places}f} %"


def number(value: float | None) -> str:
    return _UNDEFINED if value is None else f"{value:,.2f}"


def duration(span: timedelta) -> str:
    """The two largest units, as far as they matter: 45 d, 3 d 4 h, 4 h 5 min, 5 min."""
    minutes = round(span.total_seconds() / _MINUTES_AN_HOUR)
    hours, minutes = divmod(minutes, _MINUTES_AN_HOUR)
    days, hours = divmod(hours, _HOURS_A_DAY)
    if days >= _MANY_DAYS:
        return f"{days:,} d"
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _period(summary: Summary) -> str:
    if summary.first_time is None or summary.last_time is None:
        return ""
    return f"{summary.first_time:%Y-%m-%d} to {summary.last_time:%Y-%m-%d}"


def _drawdown(drawdown: Drawdown | None) -> tuple[str, str]:
    if drawdown is None:
        return percent(0.0), ""
    end = "recovered in" if drawdown.recovered else "not recovered for"
    return percent(drawdown.percent), f"{end} {duration(drawdown.duration)}"


def _profit_factor(summary: Summary) -> str:
    if summary.profit_factor is None and summary.wins:
        return "∞"  # nothing was lost
    return number(summary.profit_factor)


def _money(amount: Decimal) -> str:
    return f"{amount:,.8g}"


def _trade(trade: Trade | None) -> tuple[str, str]:
    if trade is None:
        return _UNDEFINED, ""
    # Some reasons carry numbers after a colon.
    return percent(trade_return(trade), sign=True), trade.exit_reason.partition(":")[0][:_LONGEST_REASON]
