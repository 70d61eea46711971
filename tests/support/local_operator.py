"""An operator in this process at a real API server, on SQLite: for tests in which no bot has to run, without images."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import load_kube_config
from sqlalchemy import update

from bot_core.schema import bots
from bot_core.store.bots import BotStore
from bot_core.store.brake import Brake
from bot_core.store.database import Database
from bot_core.store.projection import ProjectionStore
from bot_core.store.shrinks import ShrinkStore
from bot_core.store.upgrade import upgrade
from bot_operator.brake import brake_limits
from bot_operator.gate import Gate
from bot_operator.kube import Kube
from bot_operator.manifests import Document
from bot_operator.projection import Projection
from bot_operator.reconciler import Reconciler
from bot_operator.rows import RowReader
from bot_operator.transport import Transport
from support.cluster import Cluster, random_suffix
from support.operator_builders import a_document, some_settings


class _Counting(Transport):
    """Counts requests as "PATCH status", "GET tradingbots" …"""

    def __init__(self, client: ApiClient) -> None:
        super().__init__(client)
        self.asked: Counter[str] = Counter()

    async def request(self, method: str, path: str, *arguments: Any, **more: Any) -> Document | None:
        self.asked[f"{method} {path.rsplit('/', 1)[-1]}"] += 1
        return await super().request(method, path, *arguments, **more)


class LocalOperator:
    def __init__(self, cluster: Cluster, namespace: str, transport: _Counting, database: Database) -> None:
        self.cluster, self.namespace, self.database = cluster, namespace, database
        self.kube, self.asked = Kube(transport, namespace, "fleet"), transport.asked
        self.store = BotStore(database, actor="operator")
        self.looks: list[int] = []
        self.configure()

    def configure(self, **bot: Any) -> None:
        """Start anew, with these settings of the bots' pods."""
        pod = {"image": "localhost/nowhere:1", "imagePullPolicy": "Never", **bot}
        trouble = {"graceSeconds": 2}
        self.settings = some_settings(namespace=self.namespace, bot=pod, trouble=trouble)
        rows = RowReader(self.store, ProjectionStore(self.database))
        brake = Brake(ShrinkStore(self.database), brake_limits(self.settings), "operator")
        gate = Gate(self.settings, brake, rows, self.kube)
        self.reconciler = Reconciler(self.settings, rows, self.store, self.kube, gate)
        self.projection = Projection(self.settings, rows, self.kube, self.looks.append)

    async def insert(self, **document: Any) -> int:
        return await self.store.insert(a_document(**document), await self.store.user("trader@example.com"))

    async def change(self, bot_ids: list[int], **values: Any) -> None:
        async with self.database.write() as connection:
            await connection.execute(update(bots).where(bots.c.id.in_(bot_ids)).values(**values))


@asynccontextmanager
async def local_operator(cluster: Cluster, folder: Path) -> AsyncIterator[LocalOperator]:
    """In a namespace of its own, which goes with it."""
    namespace, url = f"tb-e2e-{random_suffix()}", f"sqlite:///{folder / 'bots.db'}"
    cluster.kubectl("create", "namespace", namespace)
    upgrade(url)
    configuration = Configuration()
    await load_kube_config(config_file=str(cluster.kubeconfig), client_configuration=configuration)
    made = LocalOperator(cluster, namespace, _Counting(ApiClient(configuration)), Database(url))
    try:
        yield made
    finally:
        await made.kube.aclose()
        await made.database.aclose()
        cluster.kubectl("delete", "namespace", namespace, "--wait=false")
