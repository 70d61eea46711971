"""Many bots in one process: what one more of them costs."""

import asyncio
import time
from datetime import timedelta
from typing import Any

from benchmarks.context import Context
from benchmarks.documents import paper_bot
from benchmarks.figures import Figure, Section, sample
from benchmarks.processes import Watched, answers, watched
from benchmarks.rows import insert_bots
from bot_core.store.upgrade import upgrade
from support.bars import START
from support.postgres import free_port

TITLE = "Many bots in one process"
HOW = (
    "`tradingbot serve` with bots on 20 symbols in turn, bars of a minute, PostgreSQL. Each begins with 1,000 bars"
    " to warm up with, of which it keeps 500 or more. Private memory, 20 s after all of them are ready; one more bot is"
    " the slope between the smaller fleet and the larger one, so that what a process and its markets cost is not in it."
)
_SYMBOLS = 20
_WARM_BARS = 1_000
_MOST_MIB = 0.2


def measure(context: Context) -> Section:
    """Raise NotInstalledError where there is no PostgreSQL server."""
    few, many = context.size(100, 2), context.size(500, 4)
    found = {count: [_private(context, count, run) for run in range(context.runs)] for count in (0, few, many)}
    slope = [(larger - smaller) / (many - few) for smaller, larger in zip(found[few], found[many], strict=True)]
    note = f"500 bars as columns of numbers are {500 * 6 * 8 / 2**20:.3f} MiB"
    figures = (
        Figure("memory of one more bot, private", sample("MiB", slope), limit=_MOST_MIB, note=note),
        *(Figure(f"memory of a process of {count} bots, private", sample("MiB", found[count])) for count in found),
    )
    return Section("service", TITLE, HOW, figures)


def _private(context: Context, count: int, run: int) -> float:
    url = context.postgres.url(context.postgres.create_database())
    upgrade(url)
    asyncio.run(insert_bots(url, documents(count), cursor=START + timedelta(minutes=_WARM_BARS)))
    port = free_port()
    environment = {"DATABASE_URL": url, "PORT": str(port), "HOST": "127.0.0.1", "PYTHONUNBUFFERED": "1"}
    command = [context.bot_python, "-m", "bot_runtime", "serve"]
    with watched(command, environment, context.folder / f"service-{count}-{run}" / "log") as process:
        process.until(lambda: answers(f"http://127.0.0.1:{port}/readyz") and _running(process) >= count, 180)
        time.sleep(context.size(20.0, 0.5))
        return process.private()


def _running(process: Watched) -> int:
    return process.log.read_text().count("bot_running")


def documents(count: int) -> list[dict[str, Any]]:
    return [
        paper_bot(speed=1 / 60) | {"symbol": f"COIN{number % _SYMBOLS}USDT", "name": f"bot {number}"}
        for number in range(count)
    ]
