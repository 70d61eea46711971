"""One idle paper bot as its pod runs it: memory, start and processor use, beside a process that only imports."""

import asyncio
import subprocess
import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

from sqlalchemy import update

from benchmarks.context import Context
from benchmarks.documents import paper_bot
from benchmarks.figures import Figure, Section, sample
from benchmarks.processes import Watched, answers, processor_seconds, watched
from bot_core.schema import bots
from bot_core.store.database import Database
from bot_core.store.upgrade import upgrade
from support.bots import insert_bot
from support.postgres import free_port

TITLE = "One bot in a process of its own"
HOW = (
    "`tradingbot run 1` in an environment that holds what the image holds: PostgreSQL connected, metrics on, one"
    " symbol, bars of a minute, a heartbeat every 10 s, started where it has 500 bars to warm up with. The floor"
    " is a process that imports asyncio, aiohttp, sqlalchemy, psycopg, pydantic and numpy, in the same"
    " environment. Runs alternate."
)
FLOOR = (
    "import asyncio, aiohttp, sqlalchemy.ext.asyncio, psycopg, pydantic, numpy, pathlib, time\n"
    "pathlib.Path('ready').touch()\n"
    "time.sleep(3600)\n"
)
_WARM_BARS = 1000
_IMPORTS = """
import importlib, re, time
def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
for name in ("asyncio", "structlog", "psycopg", "sqlalchemy.ext.asyncio", "pydantic", "numpy", "talib", "aiohttp.web",
             "psutil", "prometheus_client", "bot_core.models.config", "bot_runtime.app"):
    since, before = time.perf_counter(), resident()
    importlib.import_module(name)
    print(name, f"{(time.perf_counter() - since) * 1000:.0f}", f"{resident() - before:.1f}")
"""


def measure(context: Context) -> Section:
    """Raise NotInstalledError where there is no PostgreSQL server."""
    url = prepared(context)
    seconds = context.size(60, 1)
    ours, floor = _Samples(), _Samples()
    for number in range(context.runs):
        log = context.folder / f"floor-{number}" / "log"
        with watched([context.bot_python, "-c", FLOOR], {}, log) as process:
            floor.note(process, process.until(log.with_name("ready").exists), 1)
        with bot_process(context.bot_python, url, context.folder / f"bot-{number}") as (process, port):
            ready = process.until(lambda port=port: answers(f"http://127.0.0.1:{port}/readyz"))
            ours.note(process, ready, seconds)
    name = "imports only"
    figures = (
        Figure(
            "memory of an idle bot, resident", sample("MiB", ours.resident), name, sample("MiB", floor.resident), 1.15
        ),
        Figure("memory of an idle bot, private", sample("MiB", ours.private), name, sample("MiB", floor.private), 1.15),
        Figure("start of a bot until it is ready", sample("s", ours.ready), name, sample("s", floor.ready), 1.5),
        Figure("processor use of an idle bot", sample("% of a core", ours.processor)),
    )
    return Section("bot_process", TITLE, HOW, figures, details=import_costs(context.bot_python))


class _Samples:
    def __init__(self) -> None:
        self.resident: list[float] = []
        self.private: list[float] = []
        self.ready: list[float] = []
        self.processor: list[float] = []

    def note(self, process: Watched, ready: float, seconds: float) -> None:
        self.ready.append(ready)
        time.sleep(min(10, seconds))
        pid = process.process.pid
        before, since = processor_seconds(pid), time.perf_counter()
        time.sleep(seconds)
        self.processor.append(100 * (processor_seconds(pid) - before) / (time.perf_counter() - since))
        self.resident.append(process.resident())
        self.private.append(process.private())


def prepared(context: Context) -> str:
    """The URL of a database with bot 1, whose cursor is at bar 1000 of an endless market, one bar a minute."""
    name = context.postgres.create_database()
    url = context.postgres.url(name)
    upgrade(url)
    asyncio.run(_insert(url))
    with bot_process(context.bot_python, url, context.folder / "first") as (process, _):
        cursor = "SELECT cursor FROM bot_state WHERE bot_id = 1 AND cursor IS NOT NULL"
        process.until(
            lambda: bool(context.postgres.execute(cursor, database=name)) and "feed_ended" in process.log.read_text()
        )
    asyncio.run(_slow_down(url))
    return url


async def _insert(url: str) -> None:
    async with aclosing(Database(url)) as database:
        await insert_bot(database, paper_bot(speed=0, bars=_WARM_BARS))


async def _slow_down(url: str) -> None:
    values = {"config": paper_bot(speed=1 / 60), "status": "enabled"}
    async with aclosing(Database(url)) as database, database.write() as connection:
        await connection.execute(update(bots).where(bots.c.id == 1).values(values))


@contextmanager
def bot_process(python: Path, url: str, folder: Path) -> Iterator[tuple[Watched, int]]:
    """A bot's process and the port that it answers at."""
    port = free_port()
    environment = {"DATABASE_URL": url, "PORT": str(port), "HOST": "127.0.0.1", "PYTHONUNBUFFERED": "1"}
    with watched([python, "-m", "bot_runtime", "run", "1"], environment, folder / "log") as process:
        yield process, port


def import_costs(python: Path) -> tuple[tuple[str, ...], ...]:
    """What each import adds in one process, in this order: milliseconds and MiB resident."""
    done = subprocess.run([python, "-c", _IMPORTS], capture_output=True, text=True, check=True)
    return (("import, in this order", "ms", "MiB"), *[tuple(line.split()) for line in done.stdout.splitlines()])
