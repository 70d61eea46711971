"""The heartbeat of a fleet: statements and round trips of a beat, and what a thousand bots cost the server."""

import asyncio
import os
import time
from pathlib import Path

from sqlalchemy import event

from benchmarks.context import Context
from benchmarks.documents import paper_bot
from benchmarks.figures import Figure, Section, sample
from bot_core.store.database import Database
from bot_core.store.heartbeat import beat
from bot_core.store.leases import Lease, LeaseStore
from bot_core.store.upgrade import upgrade
from support.bots import insert_bot
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
_TICK = os.sysconf("SC_CLK_TCK")


def measure(context: Context) -> Section:
    """Raise LookupError where there is no PostgreSQL server."""
    name = context.postgres.create_database()
    url = context.postgres.url(name)
    upgrade(url)
    statements, percents = asyncio.run(_measured(context, url))
    figures = (
        Figure("statements of a heartbeat", sample("", statements), limit=1),
        Figure("PostgreSQL under 1,000 bots", sample("% of a core", percents), limit=_MOST_PERCENT),
    )
    return Section("heartbeat", TITLE, HOW, figures)


async def _measured(context: Context, url: str) -> tuple[list[float], list[float]]:
    database = Database(url, pool_size=20)
    try:
        store = LeaseStore(database, "benchmark", seconds=120)
        leases = []
        for _ in range(context.size(_BOTS, 5)):
            lease = await store.acquire(await insert_bot(database, paper_bot()))
            assert lease is not None
            leases.append(lease)
        await asyncio.gather(*(beat(database, lease, 1, 120) for lease in leases))
        statements = [await _statements(database, lease) for lease in leases[: context.runs]]
        percents = [
            await _percent(context.postgres, database, leases, context.size(_INTERVAL, 0.2))
            for _ in range(context.runs)
        ]
        return statements, percents
    finally:
        await database.aclose()


async def _statements(database: Database, lease: Lease) -> float:
    """What reaches the server in one beat, BEGIN and COMMIT included: autocommit sends neither."""
    seen = []
    engine = database.engine.sync_engine

    def note(_connection, _cursor, statement, *_):
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        await beat(database, lease, 1, 120)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return len(seen)


async def _percent(postgres: PostgresServer, database: Database, leases: list[Lease], seconds: float) -> float:
    """Percent of a core that the server used while every bot beat once within so many seconds."""
    before, since = _server_seconds(postgres), time.perf_counter()

    async def in_turn(index: int, lease: Lease) -> None:
        await asyncio.sleep(seconds * index / len(leases))
        await beat(database, lease, 1, 120)

    await asyncio.gather(*(in_turn(index, lease) for index, lease in enumerate(leases)))
    await asyncio.sleep(max(0.0, seconds - (time.perf_counter() - since)))
    return 100 * (_server_seconds(postgres) - before) / (time.perf_counter() - since)


def _server_seconds(postgres: PostgresServer) -> float:
    """Of the postmaster and its children; the connections stay open, so none ends in between."""
    total = 0
    for pid in postgres.process_ids():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICK
