"""One strategy over the same bars, in everybody's own engine and with everybody's own indicators."""

import shutil
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.backtest import in_a_process, write_bars
from benchmarks.context import Context
from benchmarks.figures import Figure, sample
from benchmarks.peers import freqtrade
from benchmarks.peers.environments import python_of, told_by
from benchmarks.peers.idle import OURS

LOOP = "bare loop"
BARS = 500_000
_LEAST = {"nautilus_trader": 20, "backtrader": 25}
_Run = Callable[[], dict[str, Any]]


def figures(context: Context, peers: dict[str, str]) -> tuple[Figure, ...]:
    """`peers` names each by its key. Raise AssertionError where the bare loop does not trade as we do."""
    count = context.size(BARS, 2_000)
    found = measured(context, list(peers), count)
    ours, names = found[OURS], {LOOP: LOOP} | peers
    check_trades(ours[0]["trades"], found[LOOP][0]["trades"])
    speeds = {name: sample("bars/s", [count / run["seconds"] for run in runs]) for name, runs in found.items()}
    peaks = {name: sample("MiB", [run["peak"] for run in runs]) for name, runs in found.items()}
    trades = {name: _count(runs[0]["trades"]) for name, runs in found.items()}
    what = f"backtest of {count:,} bars"
    speed = tuple(
        Figure(
            what, speeds[OURS], names[name], speeds[name], _LEAST.get(name), at_least=True,
            note=f"{trades[OURS]} trades of ours, {trades[name]} of the {names[name]}",
        )
        for name in names
    )  # fmt: skip
    return speed + tuple(Figure(f"{what}, peak memory", peaks[OURS], names[name], peaks[name]) for name in names)


def measured(context: Context, peers: list[str], count: int) -> dict[str, list[dict[str, Any]]]:
    path = context.folder / "bars.csv"
    write_bars(path, count)
    with freqtrade.exchange(context.folder / "venue") as venue:
        runs: dict[str, _Run] = {
            OURS: lambda: in_a_process(context, path),
            LOOP: lambda: told_by(sys.executable, "bare_loop.py", path, home=context.folder / LOOP),
        }
        runs |= {peer: run for peer, run in _of_peers(context.folder, path, venue).items() if peer in peers}
        if "freqtrade" in peers:
            _store(context.folder / "freqtrade", path)
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in runs}
        for _ in range(context.runs):
            for name, run in runs.items():
                print(f"  {name}", flush=True)
                found[name].append(run())
    return found


def check_trades(ours: list[list[str]], loops: list[list[int]]) -> None:
    times = [[_milliseconds(trade[0]), _milliseconds(trade[3])] for trade in ours]
    assert times == loops, "the bare loop's trades are not ours"


def _of_peers(folder: Path, path: Path, venue: str) -> dict[str, _Run]:
    def simply(peer: str, program: str) -> _Run:
        return lambda: told_by(python_of(peer), program, path, home=folder / peer)

    home = folder / "freqtrade"
    config = freqtrade.configuration(home / "config.json", venue, freqtrade.ONE_PAIR)
    program = "freqtrade_backtest.py"
    return {
        "backtrader": simply("backtrader", "backtrader_backtest.py"),
        "nautilus_trader": simply("nautilus_trader", "nautilus_backtest.py"),
        "freqtrade": lambda: told_by(python_of("freqtrade"), program, "run", config, home, home=home),
    }


def _store(home: Path, path: Path) -> None:
    shutil.rmtree(home / "data", ignore_errors=True)
    told_by(python_of("freqtrade"), "freqtrade_backtest.py", "store", path, home, home=home)


def _count(trades: int | list[Any]) -> int:
    return len(trades) if isinstance(trades, list) else trades


def _milliseconds(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp() * 1000)
