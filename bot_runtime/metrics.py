"""Prometheus metrics of this process, read from the boards when scraped. Labels are bounded: bot id, phase, state."""

from collections.abc import Iterable
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bot_runtime.engine.board import BotBoard, FleetBoard, Phase
from bot_runtime.engine.progress import Progress


class FleetCollector(Collector):
    """One scrape is one look at the boards: nothing is counted twice and the bots do no work for it."""

    def __init__(self, fleet: FleetBoard, progress: Progress) -> None:
        self._fleet = fleet
        self._progress = progress

    def collect(self) -> Iterable[Metric]:
        boards = list(self._fleet.bots.values())
        yield self._phases(boards)
        gauges = {
            "balance": ("Cash plus cost of the open position, quote currency", _balance),
            "pnl_total": ("Net P&L of closed trades, quote currency", _pnl),
            "position_quantity": ("Open position, base units", _position),
            "heartbeat_age_seconds": ("Time since the last heartbeat reached the database", _age),
            "bar_age_seconds": ("Time since the open of the last bar, on the wall clock", _bar_age),
        }
        for name, (text, read) in gauges.items():
            gauge = GaugeMetricFamily(f"tradingbot_{name}", text, labels=["bot_id"])
            for board in boards:
                value = read(board)
                if value is not None:
                    gauge.add_metric([str(board.bot_id)], value)
            yield gauge
        for name, text in _COUNTED.items():
            counter = CounterMetricFamily(f"tradingbot_{name}", text, labels=["bot_id"])
            for board in boards:
                counter.add_metric([str(board.bot_id)], getattr(board, name))
            yield counter
        orders = CounterMetricFamily(
            "tradingbot_orders", "Orders by the state they reached", labels=["bot_id", "state"]
        )
        for board in boards:
            for state, count in board.orders.items():
                orders.add_metric([str(board.bot_id), state], count)
        yield orders
        loops = GaugeMetricFamily("tradingbot_loop_age_seconds", "Time since each loop last turned", labels=["loop"])
        for loop, age in self._progress.ages().items():
            loops.add_metric([loop], age)
        yield loops

    @staticmethod
    def _phases(boards: list[BotBoard]) -> Metric:
        phases = GaugeMetricFamily("tradingbot_bots", "Bots of this process by phase", labels=["phase"])
        for phase in Phase:
            phases.add_metric([phase], sum(board.phase is phase for board in boards))
        return phases


_COUNTED = {
    "bars": "Bars processed since the process started",
    "trades": "Trades closed since the process started",
    "errors": "Errors since the process started",
    "restarts": "Times the bot was built again from the tables",
}


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


def _age(board: BotBoard) -> float | None:
    return board.heartbeat_age


def _bar_age(board: BotBoard) -> float | None:
    return None if board.bar_time is None else (datetime.now(UTC) - board.bar_time).total_seconds()
