"""The heartbeat of a fleet: statements and round trips of a beat, and what a thousand bots cost the server."""

import asyncio
import time
from contextlib import aclosing

from benchmarks.context import Context
from benchmarks.documents import paper_bot
from benchmarks.figures import Figure, Section, sample
from benchmarks.processes import processor_seconds
from bot_core.store.database import Database
from bot_core.store.heartbeat import beat
from bot_core.store.leases import Lease, LeaseStore
from bot_core.store.upgrade import upgrade
from support.bots import insert_bot
from support.counting_proxy import CountingProxy
from support.postgres import PostgresServer

TITLE = "Heartbeats"
HOW = (
    "Each bot renews its lease, says that it lives and hears of halts and of changes of its row every 10 s."
    " Processor use is that of all processes of the PostgreSQL server, while so many bots beat,"
    " evenly spread, over 20 connections."
)
_BOTS = 1000
_INTERVAL = 10.0
_MOST_PERCENT = 15


def measure(context: Context) -> Section:
    """Raise NotInstalledError where there is no PostgreSQL server."""
    name = context.postgres.create_database()
    upgrade(context.postgres.url(name))
    statements, round_trips, percents = asyncio.run(_measured(context, name))
    figures = (
        Figure("statements of a heartbeat", sample("", statements), limit=1),
        Figure("round trips of a heartbeat", sample("", round_trips), limit=1),
        Figure("PostgreSQL under 1,000 bots", sample("% of a core", percents), limit=_MOST_PERCENT),
    )
    return Section("heartbeat", TITLE, HOW, figures)


async def _measured(context: Context, name: str) -> tuple[list[int], list[int], list[float]]:
    async with aclosing(Database(context.postgres.url(name), pool_size=20)) as database:
        store = LeaseStore(database, "benchmark", seconds=120)
        leases = []
        for _ in range(context.size(_BOTS, 5)):
            lease = await store.acquire(await insert_bot(database, paper_bot()))
            assert lease is not None
            leases.append(lease)
        await asyncio.gather(*(beat(database, lease, 1, 120) for lease in leases))
        seconds = context.size(_INTERVAL, 0.2)
        percents = [await _percent(context.postgres, database, leases, seconds) for _ in range(context.runs)]
        return *await _asked(context, name, leases[: context.runs]), percents


async def _asked(context: Context, name: str, leases: list[Lease]) -> tuple[list[int], list[int]]:
    """How many statements and round trips each lease's beat is, counted on the wire."""
    statements, round_trips = [], []
    port = context.postgres.port
    async with CountingProxy(port) as proxy:
        url = context.postgres.url(name).replace(f":{port}/", f":{proxy.port}/")
        async with aclosing(Database(url, pool_size=1)) as database:
            await beat(database, leases[0], 1, 120)  # opens the connection
            for lease in leases:
                said, before = len(proxy.statements), proxy.round_trips
                await beat(database, lease, 1, 120)
                statements.append(len(proxy.statements) - said)
                round_trips.append(proxy.round_trips - before)
    return statements, round_trips


async def _percent(postgres: PostgresServer, database: Database, leases: list[Lease], seconds: float) -> float:
    """Percent of a core that the server used while every bot beat once within so many seconds."""
    pids = postgres.process_ids()  # the connections stay open, so none ends in between
    before, since = processor_seconds(*pids), time.perf_counter()

    async def in_turn(index: int, lease: Lease) -> None:
        await asyncio.sleep(seconds * index / len(leases))
        await beat(database, lease, 1, 120)

    await asyncio.gather(*(in_turn(index, lease) for index, lease in enumerate(leases)))
    await asyncio.sleep(max(0.0, seconds - (time.perf_counter() - since)))
    return 100 * (processor_seconds(*pids) - before) / (time.perf_counter() - since)
