"""A thousand bot processes on one server: through PgBouncer, and without it."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, aclosing, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

from benchmarks.context import Context, NotInstalledError
from benchmarks.documents import paper_bot
from benchmarks.figures import Figure, Section, sample
from benchmarks.processes import answers, watched
from benchmarks.report import PROJECT
from benchmarks.rows import insert_bots
from bot_core.models.errors import DatabaseUnavailableError
from bot_core.store.database import Database
from bot_core.store.heartbeat import beat
from bot_core.store.leases import LeaseStore
from bot_core.store.upgrade import upgrade
from support import pgbouncer
from support.postgres import PostgresServer, free_port
from support.waiting import wait_until

#: What each round's beats took, in seconds, and how many of them failed.
Beats: TypeAlias = dict[str, list[Any]]

TITLE = "Connections of a thousand bots"
HOW = (
    "PgBouncer in transaction mode may open 50 connections to the server. A thousand processes do not fit this machine:"
    " 995 are only what they are to the database, a pool each, 199 in each of five processes; five more are real ones"
    " (`tradingbot run`) that trade. All beat every 10 s. Without PgBouncer: a real process with"
    " `DATABASE_IDLE_SECONDS=2`, seen every 50 ms for three beats."
)
_SERVER_CONNECTIONS = 50
_WORKERS = 5
_REAL = 5
_IDLE_SECONDS = 2.0
_TRADES = "SELECT count(DISTINCT bot_id) FROM trading_trades"
_OPEN = "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}'"
#: What has not been used for longer than it should have been kept, and some time to see that.
_KEPT = _OPEN + f" AND state = 'idle' AND clock_timestamp() - state_change > interval '{_IDLE_SECONDS + 0.5} s'"


def measure(context: Context) -> Section:
    """Raise NotInstalledError where there is no PostgreSQL server, or no PgBouncer."""
    if not pgbouncer.PROGRAM.exists():
        raise NotInstalledError("no PgBouncer is installed (Debian's package: pgbouncer)")
    return Section("connections", TITLE, HOW, (*_through_a_pooler(context), _between_beats(context)))


def _through_a_pooler(context: Context) -> tuple[Figure, ...]:
    postgres, rounds = context.postgres, context.runs
    each, interval = context.size(199, 2), context.size(10.0, 1.0)
    name, ids = _a_fleet(postgres, each * _WORKERS + _REAL)
    folder = context.folder / "pooler"
    folder.mkdir()
    clients = 3 * len(ids)
    with (
        pgbouncer.pooled(postgres, name, folder, server_connections=_SERVER_CONNECTIONS, clients=clients) as url,
        _real_bots(context, url, ids[:_REAL]) as ports,
    ):
        workers = [
            _worker(url, ids[_REAL + number * each : _REAL + (number + 1) * each], rounds, interval, folder)
            for number in range(_WORKERS)
        ]
        open_, found = _watched(postgres, _OPEN.format(name), workers)
        wait_until(lambda: postgres.execute(_TRADES, database=name) == [(_REAL,)], 120, "trades of the real bots")
        ready = sum(answers(f"http://127.0.0.1:{port}/readyz") for port in ports)
    failed = [sum(one["failed"][number] for one in found) for number in range(rounds)]
    beats = [1000 * median(value for one in found for value in one["seconds"][number]) for number in range(rounds)]
    return (
        Figure("connections of PostgreSQL under 1,000 bots", sample("", [open_]), limit=_SERVER_CONNECTIONS),
        Figure("beats of 995 that failed", sample("", failed), limit=0),
        Figure("beat through PgBouncer, median of 995", sample("ms", beats)),
        Figure("real processes that traded and are ready", sample(f"of {_REAL}", [ready]), limit=_REAL, at_least=True),
    )


def _between_beats(context: Context) -> Figure:
    """Connections of one bot's process that it kept for longer than it should have."""
    postgres = context.postgres
    name, ids = _a_fleet(postgres, 1)
    environment = {"DATABASE_IDLE_SECONDS": f"{_IDLE_SECONDS:g}"}
    kept = []
    with _real_bots(context, postgres.url(name), ids, **environment):
        for _ in range(context.runs):
            until, most = time.monotonic() + context.size(30.0, 3.0), 0
            while time.monotonic() < until:
                ((count,),) = postgres.execute(_KEPT.format(name))
                most = max(most, int(str(count)))
                time.sleep(0.05)
            kept.append(most)
    return Figure(f"connections that a bot keeps for more than {_IDLE_SECONDS:g} s", sample("", kept), limit=0)


def _a_fleet(postgres: PostgresServer, count: int) -> tuple[str, list[int]]:
    name = postgres.create_database()
    upgrade(postgres.url(name))
    return name, asyncio.run(insert_bots(postgres.url(name), [paper_bot(speed=20)] * count))


@contextmanager
def _real_bots(context: Context, url: str, ids: list[int], **environment: str) -> Iterator[list[int]]:
    with ExitStack() as stack:
        ports = []
        for bot_id in ids:
            port = free_port()
            known = {"DATABASE_URL": url, "PORT": str(port), "HOST": "127.0.0.1", "LOG_FORMAT": "json"} | environment
            log = context.folder / f"real-{port}" / "log"
            command = [context.bot_python, "-m", "bot_runtime", "run", str(bot_id)]
            process = stack.enter_context(watched(command, known, log))
            process.until(lambda port=port: answers(f"http://127.0.0.1:{port}/readyz"), 120)
            ports.append(port)
        yield ports


def _worker(url: str, ids: list[int], rounds: int, interval: float, folder: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "benchmarks.connections", url, str(rounds), str(interval), *map(str, ids)]
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "tests")}
    with (folder / f"worker-{ids[0]}.log").open("wb") as log:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=environment)


def _watched(postgres: PostgresServer, query: str, workers: list["subprocess.Popen[bytes]"]) -> tuple[int, list[Beats]]:
    """The most connections at once until all workers are done, and what each of them found."""
    most = 0
    try:
        while any(worker.poll() is None for worker in workers):
            ((count,),) = postgres.execute(query)
            most = max(most, int(str(count)))
            time.sleep(0.1)
        answered = [worker.communicate()[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    return most, [json.loads(one) for one in answered]


async def main(url: str, rounds: int, interval: float, ids: list[int]) -> Beats:
    """Each bot has a pool of its own, as each process has, and beats once within each interval."""
    found: Beats = {"seconds": [[] for _ in range(rounds)], "failed": [0] * rounds}

    async def one(place: int, bot_id: int) -> None:
        await asyncio.sleep(interval * place / len(ids))
        async with aclosing(Database(url, pool_size=2)) as database:
            lease = await LeaseStore(database, f"worker:{bot_id}", seconds=120).acquire(bot_id)
            assert lease is not None
            begun = time.perf_counter()
            for number in range(rounds):
                await asyncio.sleep(max(0.0, begun + (number + 1) * interval - time.perf_counter()))
                since = time.perf_counter()
                try:
                    await beat(database, lease, 1, 120)
                except DatabaseUnavailableError:
                    found["failed"][number] += 1
                found["seconds"][number].append(time.perf_counter() - since)

    await asyncio.gather(*(one(place, bot_id) for place, bot_id in enumerate(ids)))
    return found


if __name__ == "__main__":
    _, url_, rounds_, interval_, *ids_ = sys.argv
    print(json.dumps(asyncio.run(main(url_, int(rounds_), float(interval_), [int(one) for one in ids_]))))
