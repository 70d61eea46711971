"""One bot of ours, one freqtrade and one node of nautilus_trader that wait for the next bar."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.backtest import write_bars
from benchmarks.bot_process import bot_process, prepared
from benchmarks.context import Context
from benchmarks.figures import Figure, Sample, sample
from benchmarks.peers import freqtrade
from benchmarks.peers.environments import PROGRAMS, python_of
from benchmarks.processes import Watched, answers, processor_seconds, watched

OURS = "ours"
HISTORY = 500
_SETTLED = 10.0
_WINDOW = 60.0
_UNITS = {"resident": "MiB", "private": "MiB", "ready": "s", "processor": "% of a core"}
#: A process, and what tells that it is ready.
Started = tuple[Watched, Callable[[], bool]]


@dataclass
class Idle:
    """What one of them used, a value a run."""

    resident: list[float] = field(default_factory=list)
    private: list[float] = field(default_factory=list)
    ready: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def sample(self, what: str) -> Sample:
        return sample(_UNITS[what], getattr(self, what))


def figures(context: Context, peers: dict[str, str]) -> tuple[Figure, ...]:
    """`peers` names each by its key."""
    found = measured(context, [name for name in ("freqtrade", "nautilus_trader") if name in peers])
    ours = found.pop(OURS)
    limits = {
        ("freqtrade", "resident"): 0.28,
        ("freqtrade", "private"): 0.28,
        ("freqtrade", "processor"): 0.3,
        ("freqtrade", "ready"): 1.0,
        ("nautilus_trader", "ready"): 1.0,
    }
    told = {
        "resident": "memory of an idle bot, resident",
        "private": "memory of an idle bot, private",
        "ready": f"start until {HISTORY} bars of history are known",
        "processor": "processor use of an idle bot",
    }
    return tuple(
        Figure(text, ours.sample(what), peers[peer], idle.sample(what), limits.get((peer, what)))
        for what, text in told.items()
        for peer, idle in found.items()
        if what != "processor" or peer == "freqtrade"  # a node that no venue tells anything has nothing to do
    )


def measured(context: Context, peers: list[str]) -> dict[str, Idle]:
    """In turn they start; then all wait within the same minute."""
    url, bars = prepared(context), context.folder / "history.csv"
    write_bars(bars, HISTORY)
    found = {name: Idle() for name in (OURS, *peers)}
    with freqtrade.exchange(context.folder) as venue:
        starts = {
            OURS: lambda folder: _ours(context, url, folder),
            "freqtrade": lambda folder: _freqtrade(folder, venue),
            "nautilus_trader": lambda folder: _nautilus(folder, bars),
        }
        for number in range(context.runs):
            names = [*list(found)[number % len(found) :], *list(found)[: number % len(found)]]
            with ExitStack() as stack:
                running: dict[str, Watched] = {}
                for name in names:
                    start: AbstractContextManager[Started] = starts[name](context.folder / f"{name}-{number}")
                    running[name], ready = stack.enter_context(start)
                    found[name].ready.append(running[name].until(ready))
                    time.sleep(context.size(_SETTLED, 0.1))
                _watch(running, found, context.size(_WINDOW, 1.0))
    return found


def _watch(running: dict[str, Watched], found: dict[str, Idle], seconds: float) -> None:
    before = {name: processor_seconds(process.process.pid) for name, process in running.items()}
    since = time.perf_counter()
    time.sleep(seconds)
    for name, process in running.items():
        used = processor_seconds(process.process.pid) - before[name]
        found[name].processor.append(100 * used / (time.perf_counter() - since))
        found[name].resident.append(process.resident())
        found[name].private.append(process.private())


@contextmanager
def _ours(context: Context, url: str, folder: Path) -> Iterator[Started]:
    with bot_process(context.bot_python, url, folder) as (process, port):
        yield process, lambda: answers(f"http://127.0.0.1:{port}/readyz")


@contextmanager
def _freqtrade(folder: Path, venue: str) -> Iterator[Started]:
    with freqtrade.dry_run(folder, venue) as process:
        yield process, (folder / "ready").exists


@contextmanager
def _nautilus(folder: Path, bars: Path) -> Iterator[Started]:
    command = [python_of("nautilus_trader"), PROGRAMS / "nautilus_node.py", bars]
    with watched(command, {}, folder / "log") as process:
        yield process, (folder / "ready").exists
