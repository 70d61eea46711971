"""The metrics of each bot, read from its board. Labels are bounded: bot id, order state, side, and what a bot is."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from time import monotonic

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from bot_runtime.engine.board import REFUSED, BotBoard, Phase


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def _position(board: BotBoard) -> float:
    return 0.0 if board.position is None else float(board.position.quantity)


def _bar_age(board: BotBoard) -> float | None:
    return None if board.bar_time is None else (datetime.now(UTC) - board.bar_time).total_seconds()


def _feed_age(board: BotBoard) -> float | None:
    return None if board.fed_at is None else monotonic() - board.fed_at


_READ: Mapping[str, tuple[str, Callable[[BotBoard], float | None]]] = {
    "balance": ("Cash plus cost of the open position, quote currency", lambda board: _number(board.balance)),
    "pnl_total": ("Net P&L of closed trades, quote currency", lambda board: _number(board.total_pnl)),
    "position_quantity": ("Open position, base units", _position),
    "exposure": ("Open position at the last price, quote currency", lambda board: board.exposure),
    "equity": ("Cash plus the open position at the last price, quote currency", lambda board: board.equity),
    "drawdown_ratio": ("How far equity is below the highest one known, 0 to 1", lambda board: board.drawdown),
    "heartbeat_age_seconds": (
        "Time since the last heartbeat reached the database",
        lambda board: board.heartbeat_age,
    ),
    "bar_age_seconds": ("Time since the open of the last bar, on the wall clock", _bar_age),
    "bar_lag_seconds": (
        "From the close of the last bar (where bars are replayed: its delivery) until it was processed",
        lambda board: board.bar_lag,
    ),
    "feed_age_seconds": ("Time since the feed last delivered a bar; none once its data have ended", _feed_age),
    "halted": ("1 while a halt holds the bot's entries", lambda board: float(bool(board.halted))),
    "protective_stop_price": (
        "Where the protective stop rests at the venue, quote currency",
        lambda board: _number(board.protective_stop),
    ),
    "feed_stale": (
        "1 while the feed is in trouble: late, lost or with gaps",
        lambda board: float(bool(board.feed_trouble)),
    ),
    "venue_unreachable": (
        "1 while the venue gives no answer that can be used",
        lambda board: float(bool(board.venue_trouble)),
    ),
    "clock_skew_seconds": ("How far the venue's clock is ahead of ours", lambda board: board.clock_skew),
    "config_invalid": (
        "1 while the row's document can't be run; the bot keeps to its last good one where there is one",
        lambda board: float(board.config_invalid or board.keeps_last_good),
    ),
    "quarantined": (
        "1 while the bot failed too often and is left alone until its row changes",
        lambda board: float(board.quarantined),
    ),
}
_COUNTED = {
    "bars": "Bars processed since the process started",
    "trades": "Trades closed since the process started",
    "errors": "Errors since the process started",
    "restarts": "Times the bot was built again from the tables",
    "lease_losses": "Times another process took the bot's lease from this one",
}


def bot_families(boards: Sequence[BotBoard]) -> Iterable[Metric]:
    """Everything that has a label `bot_id`, and the number of bots by phase."""
    yield _phases(boards)
    yield _info(boards)
    yield from _gauges(boards)
    yield from _counters(boards)
    yield from _orders(boards)
    yield _fills(boards)


def _phases(boards: Sequence[BotBoard]) -> Metric:
    phases = GaugeMetricFamily("tradingbot_bots", "Bots of this process by phase", labels=["phase"])
    for phase in Phase:
        phases.add_metric([phase], sum(board.phase is phase for board in boards))
    return phases


def _info(boards: Iterable[BotBoard]) -> Metric:
    """What a bot is. One series a bot: a changed document ends the old one and begins another."""
    names = ["bot_id", "symbol", "interval", "strategy", "mode"]
    info = GaugeMetricFamily("tradingbot_bot_info", "What a bot trades, how and in which mode; always 1", labels=names)
    for board in boards:
        info.add_metric([str(board.bot_id), board.symbol, board.interval, board.strategy, board.mode], 1.0)
    return info


def _gauges(boards: Iterable[BotBoard]) -> Iterable[Metric]:
    for name, (text, read) in _READ.items():
        gauge = GaugeMetricFamily(f"tradingbot_{name}", text, labels=["bot_id"])
        for board in boards:
            value = read(board)
            if value is not None:
                gauge.add_metric([str(board.bot_id)], value)
        yield gauge


def _counters(boards: Iterable[BotBoard]) -> Iterable[Metric]:
    for name, text in _COUNTED.items():
        counter = CounterMetricFamily(f"tradingbot_{name}", text, labels=["bot_id"])
        for board in boards:
            counter.add_metric([str(board.bot_id)], getattr(board, name))
        yield counter


def _orders(boards: Iterable[BotBoard]) -> Iterable[Metric]:
    """Orders that were made, and signals that became none."""
    made = CounterMetricFamily("tradingbot_orders", "Orders by the state they reached", labels=["bot_id", "state"])
    refused = CounterMetricFamily(
        "tradingbot_orders_refused", "Signals that a limit, a halt or the venue's rules refused", labels=["bot_id"]
    )
    for board in boards:
        for state, count in list(board.orders.items()):
            if state != REFUSED:
                made.add_metric([str(board.bot_id), state], count)
        refused.add_metric([str(board.bot_id)], board.orders.get(REFUSED, 0))
    yield made
    yield refused


def _fills(boards: Iterable[BotBoard]) -> Metric:
    fills = CounterMetricFamily("tradingbot_fills", "Orders that were booked as filled", labels=["bot_id", "side"])
    for board in boards:
        for side, count in list(board.fills.items()):
            fills.add_metric([str(board.bot_id), side], count)
    return fills
