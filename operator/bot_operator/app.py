"""The composition root: one frozen object that holds what there is once per process. It decides nothing."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from bot_core.models.extensions import use_extensions
from bot_core.store.bots import BotStore
from bot_core.store.brake import Brake
from bot_core.store.database import Database
from bot_core.store.listen import Listener
from bot_core.store.projection import ProjectionStore
from bot_core.store.shrinks import ShrinkStore
from bot_operator.brake import brake_limits
from bot_operator.cluster import Cluster
from bot_operator.gate import Gate
from bot_operator.health import SweepHealth
from bot_operator.kube import Kube
from bot_operator.metrics import Metrics
from bot_operator.naming import labelled_bot_id, named_bot_id
from bot_operator.reconciler import Reconciler
from bot_operator.recovery import HeartbeatWatch
from bot_operator.rows import RowReader
from bot_operator.settings import OperatorSettings
from bot_operator.sweep import Sweep
from bot_operator.watcher import Watcher
from bot_operator.waves import Waves
from bot_operator.web import build_web, serving
from bot_operator.workqueue import WorkQueue

ACTOR = "operator"


@dataclass(frozen=True)
class OperatorApp:
    settings: OperatorSettings
    port: int
    database: Database
    cluster: Cluster
    queue: WorkQueue
    reconciler: Reconciler
    watcher: Watcher
    metrics: Metrics
    health: SweepHealth

    @classmethod
    async def from_settings(cls, settings: OperatorSettings, database_url: str, port: int) -> Self:
        """Build everything; nothing is connected yet, so neither database nor cluster need to be up."""
        cluster = await Kube.connect(settings.namespace, settings.release)
        return cls.compose(settings, Database(database_url), cluster, port)

    @classmethod
    def compose(cls, settings: OperatorSettings, database: Database, cluster: Cluster, port: int) -> Self:
        use_extensions(settings.plugins.extensions())
        metrics = Metrics()
        health = SweepHealth(settings.poll_seconds)
        queue = WorkQueue(on_outcome=metrics.reconciled)
        metrics.watch(queue_depth=lambda: len(queue), sweep_age=lambda: health.age)
        store = BotStore(database, actor=ACTOR)
        rows = RowReader(store, ProjectionStore(database))
        holder = f"operator {settings.namespace}/{settings.release}"
        gate = Gate(
            settings,
            Brake(ShrinkStore(database), brake_limits(settings), holder),
            rows,
            cluster,
            on_verdict=lambda showing: metrics.judged(showing.verdict),
        )
        heartbeats = HeartbeatWatch(settings)
        waves = Waves(settings, lambda bot_id: watcher.wake(bot_id))  # noqa: PLW0108  # it is made below
        watcher = Watcher(
            Sweep(settings, rows, cluster, gate, queue, metrics, health, waves, heartbeats=heartbeats),
            queue.add,
            poll_seconds=settings.poll_seconds,
            status_seconds=settings.status_seconds,
            listen=None if database.is_sqlite else lambda wake: Listener(database.url, wake).run(),
        )
        reconciler = Reconciler(
            settings, rows, store, cluster, gate, waves, heartbeats=heartbeats, on_recovery=metrics.recovered
        )
        return cls(settings, port, database, cluster, queue, reconciler, watcher, metrics, health)

    async def run(self) -> None:
        """Work until cancelled."""
        async with serving(build_web(self.health, self.metrics), self.port), asyncio.TaskGroup() as group:
            group.create_task(self.queue.run(self.reconciler.reconcile))
            group.create_task(self.watcher.run())

    def wake(self, labels: Mapping[str, str], name: str = "") -> None:
        """An object with these labels and this name has changed in the cluster; its label may be what was edited."""
        for bot_id in {labelled_bot_id(labels), named_bot_id(name)} - {None}:
            self.watcher.wake(bot_id)

    async def aclose(self) -> None:
        await self.cluster.aclose()
        await self.database.aclose()
