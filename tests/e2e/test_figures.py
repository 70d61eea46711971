"""What heartbeats cost at a real API server: its own requests, counted, of an operator in this process without pods."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
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
from bot_operator.cluster import StaleLookError
from bot_operator.gate import Gate
from bot_operator.kube import Kube
from bot_operator.manifests import build_status
from bot_operator.projection import Projection
from bot_operator.reconciler import Reconciler
from bot_operator.rows import RowReader
from bot_operator.transport import Transport
from support.cluster import Cluster, random_suffix
from support.operator_builders import a_document, some_settings

BOTS = 12


class Operator:
    """Its parts, and what they asked the API server for: "PATCH status", "GET tradingbots" …"""

    def __init__(self, kube: Kube, database: Database, namespace: str) -> None:
        settings = some_settings(namespace=namespace)
        self.kube, self.database, self.settings = kube, database, settings
        self.store = BotStore(database, actor="operator")
        rows = RowReader(self.store, ProjectionStore(database))
        brake = Brake(ShrinkStore(database), brake_limits(settings), "operator")
        self.reconciler = Reconciler(settings, rows, self.store, kube, Gate(settings, brake, rows, kube))
        self.looks: list[int] = []
        self.projection = Projection(settings, rows, kube, self.looks.append)
        self.asked: Counter[str] = Counter()

    async def change(self, bot_ids: list[int], **values: Any) -> None:
        async with self.database.write() as connection:
            await connection.execute(update(bots).where(bots.c.id.in_(bot_ids)).values(**values))


@pytest.fixture
async def operator(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Operator]:
    namespace, url = f"tb-e2e-{random_suffix()}", f"sqlite:///{tmp_path / 'bots.db'}"
    cluster.kubectl("create", "namespace", namespace)
    upgrade(url)
    configuration = Configuration()
    await load_kube_config(config_file=str(cluster.kubeconfig), client_configuration=configuration)
    database, kube = Database(url), Kube(Transport(ApiClient(configuration)), namespace, "fleet")
    made = Operator(kube, database, namespace)
    send = Transport.request

    async def counted(self: Transport, method: str, path: str, *arguments: Any, **more: Any) -> Any:
        made.asked[f"{method} {path.rsplit('/', 1)[-1]}"] += 1
        return await send(self, method, path, *arguments, **more)

    monkeypatch.setattr(Transport, "request", counted)
    yield made
    await kube.aclose()
    await database.aclose()
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")


async def test_a_heartbeat_each_second_costs_one_list_a_pass_and_one_write_a_bot(operator: Operator):
    user = await operator.store.user("trader@example.com")
    ids = [await operator.store.insert(a_document(enabled=False), user) for _ in range(BOTS)]
    for bot_id in ids:
        await operator.reconciler.reconcile(bot_id)
    began = datetime(2026, 3, 1, tzinfo=UTC)
    quick, slow, _still = ids[:4], ids[4:8], ids[8:]
    operator.asked.clear()
    for second in range(1, 61):
        await operator.change(quick, last_heartbeat=began + timedelta(seconds=second), current_balance=second)
        if second % 10 == 0:
            await operator.change(slow, last_heartbeat=began + timedelta(seconds=second))
        if second % 15 == 0:
            await operator.projection.project()
    assert operator.asked == {"GET tradingbots": 4, "PATCH status": 4 * len(quick + slow)}
    assert operator.looks == []
    found = await operator.kube.tradingbots()
    assert found[quick[0]].status["lastHeartbeat"] == "2026-03-01T00:01:00Z"
    assert found[quick[0]].status["balance"] == "60"
    assert found[quick[0]].status["phase"] == "Stopped"

    # What a look then has to write takes a figure that is gone away with it: there is but one manager of the fields.
    await operator.change(quick, current_balance=None)
    await operator.projection.project()
    assert "balance" not in (await operator.kube.tradingbots())[quick[0]].status


async def test_a_status_that_was_read_before_another_write_is_refused(operator: Operator):
    bot_id = await operator.store.insert(a_document(enabled=False), await operator.store.user("trader@example.com"))
    await operator.reconciler.reconcile(bot_id)
    before = (await operator.kube.tradingbots())[bot_id]
    await operator.change([bot_id], config={"symbol": "X", "enabled": False})
    await operator.reconciler.reconcile(bot_id)
    stale = build_status(f"bot-{bot_id}", operator.settings, {**before.status, "phase": "Running"})
    with pytest.raises(StaleLookError):
        await operator.kube.apply_status(stale, before.document)
    assert (await operator.kube.tradingbots())[bot_id].phase != "Running"
    stale["metadata"]["name"] = "bot-999999"
    with pytest.raises(StaleLookError):
        await operator.kube.apply_status(stale, before.document)
