"""Prometheus metrics of this process, read from the boards when scraped. Labels are bounded: bot id, phase, state."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bot_runtime.engine.board import REFUSED, BotBoard, FleetBoard, Phase
from bot_runtime.engine.progress import Progress
from bot_runtime.notifications.metrics import collect as collect_notifications


class FleetCollector(Collector):
    """One scrape is one look at the boards: nothing is counted twice and the bots do no work for it."""

    def __init__(self, fleet: FleetBoard, progress: Progress) -> None:
        self._fleet = fleet
        self._progress = progress

    def collect(self) -> Iterable[Metric]:
        boards = list(self._fleet.bots.values())
        yield self._phases(boards)
        yield from _gauges(boards)
        yield from _counters(boards)
        yield from _orders(boards)
        loops = GaugeMetricFamily("tradingbot_loop_age_seconds", "Time since each loop last turned", labels=["loop"])
        for loop, age in self._progress.ages().items():
            loops.add_metric([loop], age)
        yield loops
        yield from collect_notifications()

    @staticmethod
    def _phases(boards: list[BotBoard]) -> Metric:
        phases = GaugeMetricFamily("tradingbot_bots", "Bots of this process by phase", labels=["phase"])
        for phase in Phase:
            phases.add_metric([phase], sum(board.phase is phase for board in boards))
        return phases


def exposition(fleet: FleetBoard, progress: Progress) -> bytes:
    """The text of one scrape."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(FleetCollector(fleet, progress))
    return generate_latest(registry)


def _balance(board: BotBoard) -> float | None:
    return None if board.balance is None else float(board.balance)


def _pnl(board: BotBoard) -> float | None:
    return None if board.total_pnl is None else float(board.total_pnl)


def _position(board: BotBoard) -> float:
    return 0.0 if board.position is None else float(board.position.quantity)


def _halted(board: BotBoard) -> float:
    return float(bool(board.halted))


def _stop(board: BotBoard) -> float | None:
    return None if board.protective_stop is None else float(board.protective_stop)


def _feed_stale(board: BotBoard) -> float:
    return float(bool(board.feed_trouble))


def _venue_trouble(board: BotBoard) -> float:
    return float(bool(board.venue_trouble))


def _skew(board: BotBoard) -> float | None:
    return board.clock_skew


def _age(board: BotBoard) -> float | None:
    return board.heartbeat_age


def _bar_age(board: BotBoard) -> float | None:
    return None if board.bar_time is None else (datetime.now(UTC) - board.bar_time).total_seconds()


_READ: Mapping[str, tuple[str, Callable[[BotBoard], float | None]]] = {
    "balance": ("Cash plus cost of the open position, quote currency", _balance),
    "pnl_total": ("Net P&L of closed trades, quote currency", _pnl),
    "position_quantity": ("Open position, base units", _position),
    "heartbeat_age_seconds": ("Time since the last heartbeat reached the database", _age),
    "bar_age_seconds": ("Time since the open of the last bar, on the wall clock", _bar_age),
    "halted": ("1 while a halt holds the bot's entries", _halted),
    "protective_stop_price": ("Where the protective stop rests at the venue, quote currency", _stop),
    "feed_stale": ("1 while the feed is in trouble: late, lost or with gaps", _feed_stale),
    "venue_unreachable": ("1 while the venue gives no answer that can be used", _venue_trouble),
    "clock_skew_seconds": ("How far the venue's clock is ahead of ours", _skew),
}
_COUNTED = {
    "bars": "Bars processed since the process started",
    "trades": "Trades closed since the process started",
    "errors": "Errors since the process started",
    "restarts": "Times the bot was built again from the tables",
}


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
        for state, count in board.orders.items():
            if state != REFUSED:
                made.add_metric([str(board.bot_id), state], count)
        refused.add_metric([str(board.bot_id)], board.orders.get(REFUSED, 0))
    yield made
    yield refused
