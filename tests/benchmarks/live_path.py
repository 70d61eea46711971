"""From a bar to the order on its way: how long it takes a process of one bot, of a hundred, of five hundred."""

import asyncio
import json
import os
import subprocess
import sys
from contextlib import AsyncExitStack
from statistics import quantiles
from typing import Any

from benchmarks.context import Context
from benchmarks.figures import Figure, Section, sample
from benchmarks.live_process import Found, LiveProcess
from benchmarks.report import PROJECT
from bot_core.store.upgrade import upgrade

TITLE = "From a bar to the order on its way"
HOW = (
    "Bots of one process on 20 symbols, bars of a minute, the paper broker, a PostgreSQL that waits for the disk, a"
    " heartbeat every 10 s; each bot is given a bar that makes it enter. Measured from the bar's arrival in the process"
    " until the journaled order is handed to the venue. At once: all bots get their bar in the same instant, and the"
    " reference is as many transactions `INSERT`, `COMMIT` by bare psycopg in the same instant over as many connections"
    " as the bots share. Spread: one bot after another, 20 ms apart, a bare transaction half-way between each two."
)
_GAP = 0.02
_P50, _P99 = 3, 10


def measure(context: Context) -> Section:
    """Raise NotInstalledError where there is no PostgreSQL server."""
    figures: list[Figure] = []
    for bots in (context.size(1, 1), context.size(100, 2), context.size(500, 4)):
        found = in_a_process(context, bots)
        for way in found:
            figures += _figures(f"{bots} bots, {way}" if bots > 1 else "one bot", found[way])
    return Section("live_path", TITLE, HOW, tuple(figures))


def _figures(name: str, rounds: list[Found]) -> list[Figure]:
    ours, bare = ([_percentiles(one[who]) for one in rounds] for who in ("ours", "bare"))
    return [
        Figure(
            f"bar to order sent, {name}, {percentile}",
            sample("ms", [one[place] for one in ours]),
            "bare INSERT",
            sample("ms", [one[place] for one in bare]),
            limit,
        )
        for place, (percentile, limit) in enumerate((("p50", _P50), ("p99", _P99)))
    ]


def _percentiles(seconds: list[float]) -> tuple[float, float]:
    """Milliseconds."""
    if len(seconds) == 1:
        return (seconds[0] * 1000, seconds[0] * 1000)
    cuts = quantiles(seconds, n=100, method="inclusive")
    return cuts[49] * 1000, cuts[98] * 1000


def in_a_process(context: Context, bots: int) -> dict[str, list[Found]]:
    """What each round found, by the way that the bars come."""
    url = context.durable_postgres.url(context.durable_postgres.create_database())
    upgrade(url)
    command = [
        sys.executable,
        "-m",
        "benchmarks.live_path",
        url,
        str(bots),
        str(context.runs),
        str(context.size(100, 2)),
    ]
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "tests")}
    with (context.folder / f"live-{bots}.log").open("wb") as log:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, check=True, env=environment)
    found: dict[str, list[Found]] = json.loads(done.stdout)
    return found


async def main(url: str, bots: int, runs: int, least: int) -> dict[str, Any]:
    """`least`: samples of a round."""
    again = -(-least // bots)
    async with AsyncExitStack() as stack:
        process = await stack.enter_async_context(LiveProcess(url, bots))
        for _ in range(3):
            await process.at_once()
        found = {"all at once": [await _several(process.at_once, again) for _ in range(runs)]}
        if bots > 1:
            found["spread"] = [await process.spread(_GAP) for _ in range(runs)]
        return found


async def _several(one_round: Any, times: int) -> Found:
    rounds = [await one_round() for _ in range(times)]
    return {who: [value for one in rounds for value in one[who]] for who in ("ours", "bare")}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))))
