"""Figures of the process as a whole: how long things took, what it uses, what waits. Kept as plain numbers.

Who measures writes here, and the metrics read it when they are scraped. It knows no library of metrics, and locks
nothing: everything that is written here is written by the event loop's own thread.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

#: Upper bounds in seconds. A simulated venue answers in less than a millisecond, a venue far away in a second.
ORDER_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
DATABASE_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
RESOURCES = ("cpu", "memory", "fds", "event_loop")


class Distribution:
    """How often a value was how big: counts between fixed bounds, and the sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Upper bound and how many values are not above it, as Prometheus wants them."""
        found, below = [], 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            below += count
            found.append((bound, float(below)))
        return found


class DatabaseFigures:
    """What became of transactions. `observe` is the hook that `Database` takes."""

    def __init__(self) -> None:
        self.seconds = {"read": Distribution(DATABASE_BOUNDS), "write": Distribution(DATABASE_BOUNDS)}
        self.errors = 0
        self.up: bool | None = None

    def observe(self, kind: str, seconds: float, error: Exception | None) -> None:
        """One transaction of a kind (`read`, `write`) is over; `error` is why the database did not do it."""
        self.seconds[kind].add(seconds)
        self.up = error is None
        if error is not None:
            self.errors += 1


@dataclass
class Resources:
    """What the process uses; None where it can't be known here. Shares are of 1."""

    cpu_ratio: float | None = None
    resident_bytes: int | None = None
    memory_limit_bytes: int | None = None
    open_fds: int | None = None
    max_fds: int | None = None
    loop_lag: float | None = None
    loop_lag_max: float | None = None
    pressure: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(RESOURCES, False))


@dataclass
class ProcessFigures:
    """`blocked` says for how many seconds the event loop was blocked lately, 0 where it was not."""

    database: DatabaseFigures = field(default_factory=DatabaseFigures)
    order_latency: Distribution = field(default_factory=lambda: Distribution(ORDER_BOUNDS))
    resources: Resources = field(default_factory=Resources)
    blocked: Callable[[], float] = lambda: 0.0
    #: How many bots the safety brake keeps although no row asks for them.
    removals_held: int = 0
