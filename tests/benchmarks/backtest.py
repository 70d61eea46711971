"""A long backtest: bars a second and peak memory, and the same trades as the engine makes bar by bar."""

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.context import Context
from benchmarks.documents import RSI_BB_ATR
from benchmarks.figures import Figure, Section, sample
from benchmarks.report import PROJECT
from bot_runtime.engine.backtest import run_backtest
from bot_runtime.feeds.parquet_bars import read_bars
from bot_runtime.strategies.registry import build_sizing, build_strategy
from support.bars import CASH, COMMISSION, made_up_bars, strategy_config
from support.restarts import trades_of_a_bot_that_is_restarted

TITLE = "A backtest of 500,000 bars"
HOW = (
    "RSI or Bollinger bands to enter, ATR to leave, bars of a minute from a CSV file, in a process of its own. The time"
    " is that of the run with the bars in memory; the peak is that of the whole process, reading included. The"
    " reference walks over the same closes as Python floats and keeps the highest."
)
_BARS = 500_000
_MOST_MIB = 200


def measure(context: Context) -> Section:
    """Raise AssertionError where the trades are not those of the engine bar by bar."""
    count = context.size(_BARS, 2_000)
    path = context.folder / "bars.csv"
    write_bars(path, count)
    found = [in_a_process(context, path) for _ in range(context.runs)]
    speeds, peaks = [count / run["seconds"] for run in found], [run["peak"] for run in found]
    bare = [count / run["bare"] for run in found]
    check_trades(path, found[0]["trades"])
    note = f"{len(found[0]['trades'])} trades, exactly those of the engine bar by bar"
    figures = (
        Figure("backtest", sample("bars/s", speeds), "bare loop", sample("bars/s", bare), note=note),
        Figure("backtest, peak memory", sample("MiB", peaks), limit=_MOST_MIB),
    )
    return Section("backtest", TITLE, HOW, figures)


def write_bars(path: Path, count: int) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("timestamp", "open", "high", "low", "close", "volume"))
        writer.writerows((int(bar[0].timestamp() * 1000), *bar[1:]) for bar in made_up_bars(count, interval=60))


def in_a_process(context: Context, path: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.backtest", str(path)]
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "tests")}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=context.folder, env=environment)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def check_trades(path: Path, trades: list[list[str]]) -> None:
    bars = read_bars(path, 60)
    one_by_one = trades_of_a_bot_that_is_restarted(strategy_config(**RSI_BB_ATR), bars, every=len(bars) + 1)
    assert [as_text(trade) for trade in one_by_one] == trades, "the backtest's trades are not the engine's"


def as_text(trade: Any) -> list[str]:
    return [
        str(part)
        for part in (trade.entry_time, trade.entry_price, trade.size, trade.exit_time, trade.exit_price, trade.net_pnl)
    ]


def main(path: Path) -> None:
    """One run; prints its figures."""
    bars = read_bars(path, 60)
    config = strategy_config(**RSI_BB_ATR)
    since = time.perf_counter()
    result = run_backtest(
        build_strategy(config), bars, position_size=build_sizing(config), cash=CASH, commission=COMMISSION
    )
    seconds = time.perf_counter() - since
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    closes = [bar.close for bar in bars]
    since = time.perf_counter()
    highest = 0.0
    for close in closes:
        highest = max(highest, close)
    bare = time.perf_counter() - since
    trades = [as_text(trade) for trade in result.trades]
    print(json.dumps({"seconds": seconds, "peak": peak, "bare": bare, "trades": trades}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
