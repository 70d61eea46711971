"""The operator and its fleet: many rows at once, one change among many, no change at all, and a start on many."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

from benchmarks.context import Context, NotInstalledError
from benchmarks.figures import Figure, Section, sample
from benchmarks.fleet_cluster import BareClient, apply_all, bare_client, deployments, list_all, podless_namespace
from benchmarks.fleet_operator import Fleet, Operator
from benchmarks.processes import processor_seconds
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_core.store.upgrade import upgrade
from support.cluster import Cluster, NoClusterError, open_cluster
from support.operator_builders import some_settings
from support.release import install_crd

TITLE = "A fleet of 1,000 and of 5,000 bots"
HOW = (
    "A real API server with its controllers, in a namespace whose quota lets no pod start; the operator is a process of"
    " its own beside it, on PostgreSQL. The reference applies the same TradingBots and Deployments server-side with"
    " aiohttp alone, 16 requests at a time. Rows are inserted in one transaction, and time runs from its commit until"
    " the last Deployment is there. A change is one row's resources; time runs until its Deployment has them."
)
_FEW, _MANY = 1000, 5000
_CHANGES = 50
_IDLE_SECONDS = 600.0


@dataclass
class _Found:
    few: list[tuple[float, float]] = field(default_factory=list)  # seconds of the bare client and of the operator
    many: list[tuple[float, float]] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)
    idle: dict[str, float] = field(default_factory=dict)
    listings: list[float] = field(default_factory=list)
    restarts: list[float] = field(default_factory=list)
    needless: list[int] = field(default_factory=list)


def measure(context: Context) -> Section:
    """Raise NotInstalledError where there is no PostgreSQL server or no cluster to be had."""
    try:
        cluster = open_cluster()
    except NoClusterError as error:
        raise NotInstalledError(str(error)) from error
    try:
        return measure_on(context, cluster)
    finally:
        cluster.end()


def measure_on(context: Context, cluster: Cluster) -> Section:
    install_crd(cluster)
    found = asyncio.run(_measured(context, cluster))
    changes = sorted(found.changes)
    figures = (
        _at_once(context.size(_FEW, 5), found.few),
        _at_once(context.size(_MANY, 10), found.many),
        Figure("one change among many, p50", sample("s", changes), limit=0.5),
        Figure("one change among many, p99", sample("s", changes[-max(1, len(changes) // 100) :]), limit=2),
        Figure("idle fleet, API writes", sample("", [found.idle["API writes"]]), limit=0),
        Figure("idle fleet, row writes", sample("", [found.idle["row writes"]]), limit=0),
        Figure("idle fleet, processor", sample("% of a core", [found.idle["processor"]]), limit=3),
        Figure("idle fleet, operator's memory", sample("MiB", [found.idle["resident"]]), limit=250),
        Figure(
            "restart until ready", sample("s", found.restarts), "list all once", sample("s", found.listings)
        ),
        Figure("restart until ready, at most", sample("s", found.restarts), limit=15),
        Figure("restart, needless writes", sample("", found.needless), limit=0),
    )  # fmt: skip
    return Section("fleet", TITLE, HOW, figures)


def _at_once(count: int, seconds: list[tuple[float, float]]) -> Figure:
    ours, bare = sample("s", [one for _, one in seconds]), sample("s", [one for one, _ in seconds])
    note = f"{2 * count / bare.median:.0f} objects a second by the bare client; runs: {len(seconds)}"
    return Figure(f"{count:,} rows at once", ours, "bare client", bare, 1.6, note=note)


async def _measured(context: Context, cluster: Cluster) -> _Found:
    found = _Found()
    async with bare_client(cluster) as client:
        for _ in range(context.runs):
            found.few.append(await _inserted_at_once(context, cluster, client, context.size(_FEW, 5)))
        count = context.size(_MANY, 10)
        bare = await _applied_bare(context, cluster, client, count)
        async with _a_fleet(context, cluster, client) as fleet:
            with fleet.operator() as operator:
                found.many.append((bare, await _until_deployed(context, fleet, count)))
                await asyncio.to_thread(operator.wait_quiet, context.patience)
                found.idle = await _idle(context, fleet, operator)
            for _ in range(context.runs):
                found.listings.append(await list_all(client, fleet.settings.namespace))
                with fleet.operator() as operator:
                    found.restarts.append(operator.ready_after)
                    await asyncio.to_thread(operator.wait_quiet, context.patience)
                    found.needless.append(operator.writes())
            with fleet.operator():  # last: no pod of a changed bot ever comes up, which is told after a while
                found.changes = [await _changed(context, fleet, number) for number in range(context.size(_CHANGES, 1))]
    return found


@asynccontextmanager
async def _a_fleet(context: Context, cluster: Cluster, client: BareClient) -> AsyncIterator[Fleet]:
    name = context.postgres.create_database()
    url = context.postgres.url(name)
    upgrade(url)
    async with aclosing(Database(url)) as database, podless_namespace(cluster) as namespace:
        folder = context.folder / namespace
        folder.mkdir()
        rhythm = {"pollSeconds": context.size(30.0, 3.0), "trouble": {"graceSeconds": 1}}
        settings = some_settings(namespace=namespace, release="bench", **rhythm)
        yield Fleet(cluster, client, settings, database, url, folder)
    context.postgres.drop_database(name)


async def _inserted_at_once(context: Context, cluster: Cluster, client: BareClient, count: int) -> tuple[float, float]:
    bare = await _applied_bare(context, cluster, client, count)
    async with _a_fleet(context, cluster, client) as fleet:
        with fleet.operator():
            return bare, await _until_deployed(context, fleet, count)


async def _applied_bare(context: Context, cluster: Cluster, client: BareClient, count: int) -> float:
    async with _a_fleet(context, cluster, client) as fleet:
        await fleet.insert(count)
        rows = await BotStore(fleet.database, actor="benchmark").all()
        return await apply_all(client, fleet.settings, rows)


async def _until_deployed(context: Context, fleet: Fleet, count: int) -> float:
    await fleet.insert(count)
    began, path = time.perf_counter(), deployments(fleet.settings.namespace)
    while await fleet.client.count(path) < count:
        assert time.perf_counter() - began < context.patience
        await asyncio.sleep(0.05)
    return time.perf_counter() - began


async def _changed(context: Context, fleet: Fleet, number: int) -> float:
    """Seconds from the commit of a change to a row until its Deployment has it."""
    bot_id, memory = await fleet.change(number)
    began, path = time.perf_counter(), f"{deployments(fleet.settings.namespace)}/bot-{bot_id}"
    while memory not in str((await fleet.client.request("GET", path))["spec"]["template"]):
        assert time.perf_counter() - began < context.patience
        await asyncio.sleep(0.01)
    return time.perf_counter() - began


async def _idle(context: Context, fleet: Fleet, operator: Operator) -> dict[str, float]:
    database = str(fleet.database.url.database)
    writes, rows, used = operator.writes(), context.postgres.row_versions(database), processor_seconds(operator.pid)
    began = time.perf_counter()
    await asyncio.sleep(context.size(_IDLE_SECONDS, 2.0))
    seconds = time.perf_counter() - began
    return {
        "API writes": operator.writes() - writes,
        "row writes": len(context.postgres.row_versions(database) - rows),
        "processor": 100 * (processor_seconds(operator.pid) - used) / seconds,
        "resident": operator.process.resident(),
    }
