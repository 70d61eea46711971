"""An operator in this process at a real API server, on SQLite: for tests in which no bot has to run, without images."""

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
from bot_core.store.database import Database
from bot_core.store.upgrade import upgrade
from bot_operator.app import OperatorApp
from bot_operator.fence import Fence
from bot_operator.handlers.process import connections_ended
from bot_operator.kube import Kube
from bot_operator.metrics import Metrics
from bot_operator.reconciler import Reconciler
from bot_operator.settings import ProcessSettings
from bot_operator.transport import Transport
from support.cluster import Cluster, random_suffix
from support.in_process import CountingTransport
from support.operator_builders import a_document, some_settings


class LocalOperator:
    def __init__(self, cluster: Cluster, namespace: str, transport: CountingTransport, database: Database) -> None:
        self.cluster, self.namespace, self.database = cluster, namespace, database
        self.kube, self.asked = Kube(transport, namespace, "fleet"), transport.count
        self.store = BotStore(database, actor="operator")
        self.configure()

    def configure(self, **bot: Any) -> None:
        """Start anew, with these settings of the bots' pods."""
        pod = {"image": "localhost/nowhere:1", "imagePullPolicy": "Never", **bot}
        trouble = {"graceSeconds": 2}
        self.settings = some_settings(namespace=self.namespace, bot=pod, trouble=trouble)
        process = ProcessSettings(self.database.url, port=0)
        self.app = OperatorApp.compose(self.settings, process, self.database, self.kube, Fence.always_open(), Metrics())

    @property
    def reconciler(self) -> Reconciler:
        return self.app.reconciler

    async def look(self, bot_id: int) -> None:
        """At the fleet, and then at this bot."""
        assert await self.app.watcher._looks.everything()
        await self.reconciler.reconcile(bot_id)

    async def project(self) -> None:
        await self.app.watcher._project()

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
    transport = CountingTransport(Transport(ApiClient(configuration)))
    made = LocalOperator(cluster, namespace, transport, Database(url))
    try:
        yield made
    finally:
        await made.kube.aclose()
        await made.database.aclose()
        assert await connections_ended(35)
        cluster.kubectl("delete", "namespace", namespace, "--wait=false")
