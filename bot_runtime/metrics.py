"""Prometheus metrics of this process, read from the boards when scraped: nothing is counted twice for it.

A scrape of a large fleet takes tens of milliseconds, so it may run in a thread beside the event loop: what it walks
through is copied first, and it changes nothing.
"""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from bot_runtime.bot_metrics import bot_families
from bot_runtime.engine.board import FleetBoard
from bot_runtime.engine.progress import Progress
from bot_runtime.notifications.metrics import collect as collect_notifications
from bot_runtime.process_metrics import process_families


class FleetCollector(Collector):
    """One scrape is one look at the boards, and the bots do no work for it."""

    def __init__(self, fleet: FleetBoard, progress: Progress) -> None:
        self._fleet = fleet
        self._progress = progress

    def collect(self) -> Iterable[Metric]:
        yield from bot_families(list(self._fleet.bots.values()))
        yield from process_families(self._fleet.process, self._progress)
        yield from collect_notifications()


def exposition(fleet: FleetBoard, progress: Progress) -> bytes:
    """The text of one scrape."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(FleetCollector(fleet, progress))
    return generate_latest(registry)
