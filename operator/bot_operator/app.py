"""The composition root: one frozen object that holds what there is once per process. It decides nothing."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Self

from bot_core.models.errors import FatalError
from bot_core.models.extensions import use_extensions
from bot_core.store.bots import BotStore
from bot_core.store.brake import Brake
from bot_core.store.database import Database
from bot_core.store.listen import Listener, listen_url
from bot_core.store.projection import ProjectionStore
from bot_core.store.shrinks import ShrinkStore
from bot_operator.brake import brake_limits
from bot_operator.cluster import Cluster
from bot_operator.election import Election
from bot_operator.fence import Fence, FencedDatabase
from bot_operator.gate import Gate
from bot_operator.health import LeaseHealth, OperatorHealth, SweepHealth
from bot_operator.heartbeats import Heartbeats
from bot_operator.kube import Kube
from bot_operator.lease import Leases
from bot_operator.metrics import Metrics
from bot_operator.naming import labelled_bot_id, named_bot_id
from bot_operator.projection import Projection
from bot_operator.reconciler import Reconciler
from bot_operator.row_writer import RowWriter
from bot_operator.rows import RowReader
from bot_operator.settings import OperatorSettings, ProcessSettings
from bot_operator.sightings import Sightings
from bot_operator.sweep import Sweep
from bot_operator.transport import Transport
from bot_operator.watcher import Watcher
from bot_operator.waves import Waves
from bot_operator.web import build_web, serving
from bot_operator.workqueue import WorkQueue

ACTOR = "operator"
#: One change in the cluster makes several events, each by another controller: one look answers those of so long.
_EVENTS_SECONDS = 0.25

Watch = Callable[["OperatorApp"], Awaitable[None]]


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
    sweeps: SweepHealth
    health: OperatorHealth
    election: Election | None
    leases: Leases | None
    sightings: Sightings
    rows: RowReader
    gate: Gate

    @classmethod
    async def from_settings(cls, settings: OperatorSettings, process: ProcessSettings) -> Self:
        """Build everything; nothing is connected yet, so neither database nor cluster need to be up."""
        metrics = Metrics()
        fence = Fence() if settings.leader.enabled else Fence.always_open()
        transport = await Transport.connect(fence=fence, observe=metrics.requested)
        cluster = Kube(transport, settings.namespace, settings.release)
        # Its own connections: renewals never wait for the bots' requests, and are what the fence depends on.
        own = await Transport.connect(observe=metrics.requested) if settings.leader.enabled else None
        leases = None if own is None else Leases(own, settings)
        database = FencedDatabase(process.database_url, fence)
        return cls.compose(settings, process, database, cluster, fence, metrics, leases)

    @classmethod
    def compose(
        cls,
        settings: OperatorSettings,
        process: ProcessSettings,
        database: Database,
        cluster: Cluster,
        fence: Fence,
        metrics: Metrics,
        leases: Leases | None = None,
    ) -> Self:
        use_extensions(settings.plugins.extensions())
        sweeps, lease_health = SweepHealth(settings.poll_seconds), LeaseHealth.of(settings.leader.lease_seconds)
        health = OperatorHealth(sweeps, lease_health if leases else None, lambda: fence.is_open)
        queue = WorkQueue(on_end=metrics.reconciled)
        metrics.watch(
            queue_depth=lambda: len(queue),
            oldest_wait=lambda: queue.oldest_wait,
            sweep_age=lambda: health.sweep_age,
            leads=lambda: health.leads,
        )
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
        heartbeats = Heartbeats(settings, lambda bot_id: queue.add(bot_id, news=False), on_held=metrics.recoveries_held)
        waves = Waves(settings, lambda bot_id: watcher.wake(bot_id))  # noqa: PLW0108  # it is made below
        sightings = Sightings()
        listen_to = listen_url(process.direct_url, database.url)
        watcher = Watcher(
            Sweep(settings, rows, cluster, gate, queue, metrics, sweeps, waves, heartbeats, sightings),
            queue.add,
            poll_seconds=settings.poll_seconds,
            status_seconds=settings.status_seconds,
            project=Projection(
                settings, rows, cluster, lambda bot_id: queue.add(bot_id, news=False), heartbeats
            ).project,
            listen=None if database.is_sqlite else lambda wake: Listener(listen_to, wake).run(),
        )
        writer = RowWriter(store, rows)
        reconciler = Reconciler(
            settings, rows, writer, cluster, gate, waves, heartbeats, sightings,
            again=queue.add, on_recovery=metrics.recovered,
        )  # fmt: skip
        election = None
        if leases is not None:
            identity = f"{process.name}_{uuid.uuid4()}"
            election = Election(settings.leader, leases, fence, identity, on_tried=lease_health.noted)
        return cls(
            settings, process.port, database, cluster, queue, reconciler, watcher, metrics, sweeps, health, election,
            leases, sightings, rows, gate,
        )  # fmt: skip

    async def run(self, watch: Watch) -> None:
        """Serve, and work while this process leads, until cancelled. `watch` runs for ever and calls `wake`.

        Raises FatalError when the work ended by itself, and when another process leads.
        """
        async with serving(build_web(self.health, self.metrics), self.port):
            if self.election is None:
                await self._work(watch)
            else:
                await self.election.lead(lambda: self._work(watch))

    async def _work(self, watch: Watch) -> None:
        self.sweeps.began()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.queue.run(self.reconciler.reconcile))
                group.create_task(self.watcher.run())
                group.create_task(_run(watch(self)))
        except ExceptionGroup as error:
            raise FatalError("the operator ended by itself") from error

    def wake(self, labels: Mapping[str, str], name: str = "") -> None:
        """An object with these labels and this name has changed in the cluster; its label may be what was edited."""
        for bot_id in {labelled_bot_id(labels), named_bot_id(name)}:
            if bot_id is not None:
                self.sightings.noted(bot_id)
                self.queue.add(bot_id, within=_EVENTS_SECONDS)

    async def aclose(self) -> None:
        await self.gate.aclose()
        await self.rows.aclose()
        await self.cluster.aclose()
        if self.leases is not None:
            await self.leases.aclose()
        await self.database.aclose()


async def _run(work: Awaitable[None]) -> None:
    await work
