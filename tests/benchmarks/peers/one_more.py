"""What one more pair, or one more strategy, costs where a process has many."""

import time

from benchmarks.backtest import write_bars
from benchmarks.context import Context
from benchmarks.figures import sample
from benchmarks.peers import freqtrade
from benchmarks.peers.environments import python_of, told_by

_FEW, _MANY = 20, 220
_SETTLED = 10.0


def details(context: Context, peers: dict[str, str]) -> tuple[tuple[str, ...], ...]:
    rows: list[tuple[str, ...]] = []
    if "freqtrade" in peers:
        name = f"one more pair of {peers['freqtrade']}, {freqtrade.MORE_PAIRS} beside the first"
        rows.append((name, str(sample("MiB", one_more_pair(context)))))
    if "nautilus_trader" in peers:
        name = f"one more strategy of {peers['nautilus_trader']} on {_FEW} instruments"
        rows += [
            (f"{name}, after {bars} bars and the trades in them", str(sample("MiB", one_more_strategy(context, bars))))
            for bars in (1, 500)
        ]
    return (("one more", "resident"), *rows) if rows else ()


def one_more_pair(context: Context) -> list[float]:
    found = []
    with freqtrade.exchange(context.folder / "pairs") as venue:
        for number in range(context.runs):
            resident = []
            for name, pairs in (("one", freqtrade.ONE_PAIR), ("many", freqtrade.with_more_pairs())):
                folder = context.folder / f"pairs-{name}-{number}"
                with freqtrade.dry_run(folder, venue, pairs) as process:
                    process.until((folder / "ready").exists)
                    time.sleep(context.size(_SETTLED, 0.1))
                    resident.append(process.resident())
            found.append((resident[1] - resident[0]) / freqtrade.MORE_PAIRS)
    return found


def one_more_strategy(context: Context, bars: int) -> list[float]:
    path, home = context.folder / f"{bars}.csv", context.folder / "nautilus_trader"
    write_bars(path, bars)
    found = []
    for _ in range(context.runs):
        few, many = (
            told_by(python_of("nautilus_trader"), "nautilus_backtest.py", path, count, home=home)["resident"]
            for count in (_FEW, _MANY)
        )
        found.append((many - few) / (_MANY - _FEW))
    return found
