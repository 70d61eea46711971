"""A hundred bots as real pods on one node, against as many pods of the same image that only sleep."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.context import Context, NotInstalledError
from benchmarks.documents import insert_at_once, paper_bot
from benchmarks.figures import Figure, Section, sample
from bot_core.store.database import Database
from support.cluster import Cluster, ImageSet, NoClusterError, open_cluster
from support.postgres import PostgresServer, find_postgres
from support.release import Release, install_crd, merge
from support.waiting import wait_until

TITLE = "A hundred bots on one node"
HOW = (
    "The chart, installed on a cluster of one node with real pods, PostgreSQL beside it. All rows are inserted in one"
    " transaction; time runs from then until every pod is Ready, which a bot is once it has its bars, its lease and its"
    " first look at them. The reference: as many Deployments of the same image whose process only sleeps, applied at"
    " once, without probes."
)
_BOTS = 100
_WATCHED_SECONDS = 900.0
_SECRET = "bench-database"


def measure(context: Context) -> Section:
    """Raise NotInstalledError where there is no cluster with real pods to be had."""
    try:
        cluster = open_cluster()
    except NoClusterError as error:
        raise NotInstalledError(str(error)) from error
    try:
        return measure_on(context, cluster, ImageSet.provide(cluster))
    finally:
        cluster.end()


def measure_on(context: Context, cluster: Cluster, images: ImageSet) -> Section:
    """Raise NotInstalledError where there is no PostgreSQL server."""
    install_crd(cluster)
    count = context.size(_BOTS, 2)
    with _postgres() as server:
        sleeping, ready, restarts = [], [], []
        for _ in range(context.size(2, 1)):
            sleeping.append(_sleepers(context, cluster, images, count))
            with _release(context, cluster, images, server) as release:
                ready.append(_bots(context, release, server, count))
                seconds = context.size(_WATCHED_SECONDS, 1.0) if not restarts else 0.0
                time.sleep(seconds)
                restarts.append(_restarts(release))
    figures = (
        Figure(
            f"{count} bots until all are ready", sample("s", ready), "pods that sleep", sample("s", sleeping), 1.3,
            note=f"runs: {len(ready)}",
        ),
        Figure("restarts in 15 minutes", sample("", restarts[:1]), limit=0),
    )  # fmt: skip
    return Section("real_pods", TITLE, HOW, figures)


@contextmanager
def _postgres() -> Iterator[PostgresServer]:
    programs = find_postgres()
    if programs is None:
        raise NotInstalledError("no PostgreSQL server is installed (Debian's package: postgresql)")
    server = PostgresServer(programs, listen="0.0.0.0")
    server.start()
    try:
        yield server
    finally:
        server.close()


@contextmanager
def _release(context: Context, cluster: Cluster, images: ImageSet, server: PostgresServer) -> Iterator[Release]:
    database = server.create_database()
    own = {"crds": {"install": False}, "database": {"existingSecret": _SECRET}}
    release = Release(cluster, merge(images.values(), own), database=database)
    release.create_namespace()
    release.create_secret(_SECRET, url=server.url(database, cluster.host))
    try:
        release.install()
        yield release
    finally:
        release.remove()
        _wait_gone(context, release)


def _bots(context: Context, release: Release, server: PostgresServer, count: int) -> float:
    """Seconds from the rows' commit until every bot's pod is Ready."""

    async def insert() -> None:
        database = Database(server.url(release.database), pool_size=1)
        await insert_at_once(database, [paper_bot(seed=number) for number in range(count)])
        await database.aclose()

    asyncio.run(insert())
    return _until_ready(context, release, "tradingbot.dev/bot-id", count)


def _sleepers(context: Context, cluster: Cluster, images: ImageSet, count: int) -> float:
    """Seconds until as many pods of the image are Ready, each of a Deployment of its own."""
    release = Release(cluster, {})
    release.create_namespace()
    image = images.values()["bot"]["image"]
    cluster.apply(*(_sleeper(release.namespace, f"{image['repository']}:{image['tag']}", n) for n in range(count)))
    try:
        return _until_ready(context, release, "sleeper=yes", count)
    finally:
        release.cluster.kubectl("delete", "namespace", release.namespace, "--wait=false")
        _wait_gone(context, release)


def _sleeper(namespace: str, image: str, number: int) -> dict[str, Any]:
    labels = {"sleeper": "yes", "number": str(number)}
    container = {
        "name": "sleeper",
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["python3", "-c", "import time; time.sleep(86400)"],
        "securityContext": {
            "allowPrivilegeEscalation": False, "runAsNonRoot": True, "runAsUser": 10001,
            "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
        },
    }  # fmt: skip
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"sleeper-{number}", "namespace": namespace, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
            },
        },
    }


def _until_ready(context: Context, release: Release, selector: str, count: int) -> float:
    began = time.perf_counter()
    wait_until(lambda: _ready(release, selector) == count, context.patience, f"{count} ready pods", every=0.5)
    return time.perf_counter() - began


def _ready(release: Release, selector: str) -> int:
    path = '{range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}'
    shown = release.kubectl("get", "pods", "--selector", selector, f"--output=jsonpath={path}")
    return shown.split().count("True")


def _restarts(release: Release) -> int:
    pods = release.items("pods", "--selector", "tradingbot.dev/bot-id")
    return sum(status["restartCount"] for pod in pods for status in pod["status"].get("containerStatuses", []))


def _wait_gone(context: Context, release: Release) -> None:
    gone: Callable[[], bool] = lambda: not release.cluster.get("namespace", release.namespace)  # noqa: E731
    wait_until(gone, context.patience, "the namespace's end", every=1)
