"""A whole operator on SQLite and on a cluster in memory: real stores, real plans, no kopf and no API server."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from bot_core.models.bot import BotRow
from bot_core.schema import bots, events
from bot_core.store.bots import BotStore
from bot_core.store.brake import Brake
from bot_core.store.database import Database
from bot_core.store.projection import ProjectionStore
from bot_core.store.shrinks import ShrinkStore
from bot_core.store.upgrade import upgrade
from bot_operator.brake import brake_limits
from bot_operator.gate import Gate
from bot_operator.health import SweepHealth
from bot_operator.heartbeats import Heartbeats
from bot_operator.metrics import Metrics
from bot_operator.projection import Projection
from bot_operator.reconciler import Reconciler
from bot_operator.row_writer import RowWriter
from bot_operator.rows import RowReader
from bot_operator.sightings import Sightings
from bot_operator.sweep import Sweep
from bot_operator.waves import Waves
from bot_operator.workqueue import WorkQueue
from support.fake_cluster import FakeCluster
from support.operator_builders import NOW, a_document, some_settings


class World:
    """What the tests act on: rows, the cluster, and an operator that is told when to look."""

    def __init__(self, database: Database) -> None:
        self.seconds = 1000.0
        self.now = NOW
        self.later = 0.0  # than that
        self.settings = some_settings()
        self.database = database
        self.store = BotStore(database, actor="test")
        self.cluster = FakeCluster()
        self.metrics = Metrics()
        self.recovered: list[str] = []
        self.health = SweepHealth(30, monotonic=lambda: self.seconds)
        self.restart_operator()

    def restart_operator(self) -> None:
        """Everything that an operator keeps in memory is lost."""
        rows = RowReader(self.store, ProjectionStore(self.database))
        store = BotStore(self.database, actor="operator")
        brake = Brake(ShrinkStore(self.database), brake_limits(self.settings), "operator", clock=lambda: self.seconds)
        self.gate = Gate(
            self.settings, brake, rows, self.cluster, on_verdict=lambda item: self.metrics.judged(item.verdict)
        )
        self.queued: list[int] = []
        queue = _Noting(self.queued)
        heartbeats = Heartbeats(
            self.settings, self.queued.append,
            on_held=self.metrics.recoveries_held, monotonic=lambda: self.seconds,
        )  # fmt: skip
        self.waves = Waves(self.settings, lambda bot_id: None if bot_id is None else queue.add(bot_id))
        self.sightings = Sightings()
        again: list[int] = []
        self.reconciler = _ToTheEnd(
            self.settings, rows, RowWriter(store, rows), self.cluster, self.gate, self.waves, heartbeats,
            self.sightings, now=self._time, again=again.append, on_recovery=self.recovered.append,
        )  # fmt: skip
        self.reconciler.wanted_again = again
        self.sweep = Sweep(
            self.settings, rows, self.cluster, self.gate, queue, self.metrics, self.health, self.waves, heartbeats,
            self.sightings, now=self._time,
        )  # fmt: skip
        self.projection = Projection(self.settings, rows, self.cluster, self.queued.append, heartbeats)

    def _time(self) -> datetime:
        return self.now + timedelta(seconds=self.later)

    async def insert(self, document: dict[str, object] | None = None) -> int:
        return await self.store.insert(document or a_document(), await self.store.user("trader@example.com"))

    async def change(self, bot_id: int, **values: object) -> None:
        async with self.database.write() as connection:
            await connection.execute(update(bots).where(bots.c.id == bot_id).values(**values))

    async def delete(self, bot_id: int | None = None) -> None:
        query = delete(bots) if bot_id is None else delete(bots).where(bots.c.id == bot_id)
        async with self.database.write() as connection:
            await connection.execute(query)

    async def row(self, bot_id: int) -> BotRow:
        row = await self.store.get(bot_id)
        assert row is not None
        return row

    async def history(self, bot_id: int) -> list[tuple[str, str]]:
        async with self.database.read() as connection:
            found = await connection.execute(
                select(events.c.actor, events.c.kind).where(events.c.bot_id == bot_id).order_by(events.c.id)
            )
            return [(row.actor, row.kind) for row in found]

    async def a_running_bot(self) -> int:
        bot_id = await self.insert()
        await self.reconciler.reconcile(bot_id)
        self.cluster.start_pod(bot_id)
        await self.change(bot_id, status="running")
        await self.reconciler.reconcile(bot_id)
        return bot_id

    async def settle(self) -> list[int]:
        """Sweep, and look at every bot that the sweep named."""
        self.queued.clear()
        await self.sweep.everything()
        named = list(self.queued)
        for bot_id in named:
            await self.reconciler.reconcile(bot_id)
        return named


class _ToTheEnd(Reconciler):
    """Looks again at once where it wants to."""

    wanted_again: list[int]

    async def reconcile(self, bot_id: int) -> None:
        await super().reconcile(bot_id)
        while self.wanted_again:
            await super().reconcile(self.wanted_again.pop())


class _Noting(WorkQueue):
    def __init__(self, queued: list[int]) -> None:
        super().__init__()
        self._queued = queued

    def add(self, bot_id: int, *, news: bool = True) -> None:  # noqa: ARG002
        self._queued.append(bot_id)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    url = f"sqlite:///{tmp_path / 'bots.db'}"
    upgrade(url)
    database = Database(url)
    yield World(database)
    await database.aclose()
