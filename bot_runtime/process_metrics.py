"""The metrics of the process as a whole: latencies, the database, resources, the event loop."""

from collections.abc import Iterable
from importlib.metadata import version

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from bot_runtime.engine.figures import DatabaseFigures, ProcessFigures, Resources
from bot_runtime.engine.progress import Progress

_VERSION = version("tradingbot-operator")


def process_families(figures: ProcessFigures, progress: Progress) -> Iterable[Metric]:
    """Everything that has no label `bot_id`."""
    build = GaugeMetricFamily("tradingbot_build_info", "The version that runs; always 1", labels=["version"])
    build.add_metric([_VERSION], 1.0)
    yield build
    yield _loops(progress)
    yield _order_latency(figures)
    yield from _database(figures.database)
    yield from _resources(figures.resources)
    yield GaugeMetricFamily(
        "tradingbot_removals_held",
        "Bots that the safety brake keeps although no row asks for them",
        value=figures.removals_held,
    )
    yield GaugeMetricFamily(
        "tradingbot_event_loop_blocked_seconds",
        "For how long the event loop did not turn, from the stall period on and for a stall period after; else 0",
        value=figures.blocked(),
    )


def _loops(progress: Progress) -> Metric:
    loops = GaugeMetricFamily("tradingbot_loop_age_seconds", "Time since each loop last turned", labels=["loop"])
    for loop, age in progress.ages().items():
        loops.add_metric([loop], age)
    return loops


def _order_latency(figures: ProcessFigures) -> Metric:
    latency = HistogramMetricFamily(
        "tradingbot_order_latency_seconds", "From the signal on a bar until the venue accepted the order"
    )
    latency.add_metric([], figures.order_latency.buckets(), figures.order_latency.total)
    return latency


def _database(database: DatabaseFigures) -> Iterable[Metric]:
    seconds = HistogramMetricFamily(
        "tradingbot_database_seconds", "Time that transactions took, waiting for a connection included", labels=["kind"]
    )
    for kind, taken in database.seconds.items():
        seconds.add_metric([kind], taken.buckets(), taken.total)
    yield seconds
    yield CounterMetricFamily(
        "tradingbot_database_errors", "Transactions that the database did not do", value=database.errors
    )
    if database.up is not None:
        yield GaugeMetricFamily(
            "tradingbot_database_up", "1 where the last transaction was done, 0 where it failed", value=database.up
        )


def _resources(resources: Resources) -> Iterable[Metric]:
    gauges = {
        "process_cpu_ratio": ("Share of the processors that this process may use, 0 to 1", resources.cpu_ratio),
        "process_resident_bytes": ("Memory of the process that is resident", resources.resident_bytes),
        "process_memory_limit_bytes": (
            "What the control group allows, else what the machine has",
            resources.memory_limit_bytes,
        ),
        "process_open_fds": ("Open file descriptors", resources.open_fds),
        "process_max_fds": ("File descriptors that may be open: the soft limit", resources.max_fds),
        "event_loop_lag_seconds": (
            "How late the event loop ran a timer, the mean of the last minute",
            resources.loop_lag,
        ),
        "event_loop_lag_max_seconds": (
            "How late the event loop ran a timer at most in the last minute",
            resources.loop_lag_max,
        ),
    }
    for name, (text, value) in gauges.items():
        if value is not None:
            yield GaugeMetricFamily(f"tradingbot_{name}", text, value=value)
    pressure = GaugeMetricFamily(
        "tradingbot_resource_pressure", "1 while a resource is used beyond its threshold", labels=["resource"]
    )
    for resource, pressed in resources.pressure.items():
        pressure.add_metric([resource], pressed)
    yield pressure
