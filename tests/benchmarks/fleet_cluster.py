"""A namespace without pods on a real cluster, and a client that does nothing but ask and apply: the reference.

No Deployment gets a pod: what is measured is the API server, its controllers and who talks to them.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import load_kube_config

from bot_core.models.bot import BotRow
from bot_operator.manifests import build_deployment, build_tradingbot
from bot_operator.naming import GROUP, MANAGER, VERSION, Workload
from bot_operator.placement import place
from bot_operator.record import BotRecord
from bot_operator.settings import OperatorSettings
from bot_operator.transport import as_yaml
from support.cluster import Cluster, random_suffix

_APPLY = "application/apply-patch+yaml"
#: As many as kube-apiserver serves well at a time on a small machine; more did not make it faster.
_AT_ONCE = 16


@dataclass(frozen=True)
class BareClient:
    """Requests by aiohttp alone; an answer other than 2xx is an error."""

    session: aiohttp.ClientSession
    url: str

    async def request(self, method: str, path: str, body: Any = None, **query: str) -> dict[str, Any]:
        data = None if body is None else as_yaml(body).encode()
        headers = {"Content-Type": _APPLY if method == "PATCH" else "application/json"}
        async with self.session.request(method, self.url + path, params=query, data=data, headers=headers) as answer:
            answer.raise_for_status()
            found: dict[str, Any] = await answer.json()
            return found

    async def apply(self, path: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
        name = manifest["metadata"]["name"]
        return await self.request("PATCH", f"{path}/{name}", manifest, fieldManager=MANAGER, force="true")

    async def count(self, path: str) -> int:
        """How many objects there are, at the price of one."""
        page = await self.request("GET", path, limit="1")
        return len(page["items"]) + int(page["metadata"].get("remainingItemCount", 0))


@asynccontextmanager
async def bare_client(cluster: Cluster) -> AsyncIterator[BareClient]:
    configuration = Configuration()
    await load_kube_config(config_file=str(cluster.kubeconfig), client_configuration=configuration)
    secured = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    secured.load_cert_chain(configuration.cert_file, configuration.key_file)
    connector = aiohttp.TCPConnector(ssl=secured, limit=2 * _AT_ONCE)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield BareClient(session, configuration.host)


def deployments(namespace: str) -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/deployments"


def tradingbots(namespace: str) -> str:
    return f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/tradingbots"


async def apply_all(client: BareClient, settings: OperatorSettings, rows: Iterable[BotRow]) -> float:
    """Apply each bot's TradingBot and then its Deployment, several bots at once; the seconds that it took."""
    documents = [(row.id, build_tradingbot(BotRecord(row), settings), _deployment(row, settings)) for row in rows]
    left = iter(documents)
    bots, workloads = tradingbots(settings.namespace), deployments(settings.namespace)

    async def work() -> None:
        for _, bot, deployment in left:
            made = await client.apply(bots, bot)
            deployment["metadata"]["ownerReferences"][0]["uid"] = made["metadata"]["uid"]
            await client.apply(workloads, deployment)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(work())
    return time.perf_counter() - began


async def list_all(client: BareClient, namespace: str) -> float:
    """Seconds that it takes to list all TradingBots, Deployments and pods once, page by page."""
    began = time.perf_counter()
    for path in (tradingbots(namespace), deployments(namespace), f"/api/v1/namespaces/{namespace}/pods"):
        more: str | None = ""
        while more is not None:
            page = await client.request("GET", path, limit="500", **{"continue": more})
            more = page["metadata"].get("continue") or None
    return time.perf_counter() - began


def _deployment(row: BotRow, settings: OperatorSettings) -> dict[str, Any]:
    shape = place(BotRecord(row), None, settings).shape
    assert shape is not None
    return build_deployment(Workload.of([row.id]), settings, shape, owner_uid="to be known")


@asynccontextmanager
async def podless_namespace(cluster: Cluster) -> AsyncIterator[str]:
    name = f"tb-e2e-{random_suffix()}"
    cluster.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"tradingbot.dev/e2e": "true"}}},
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "no-pods", "namespace": name},
            "spec": {"hard": {"pods": "0"}},
        },
    )
    try:
        yield name
    finally:
        await asyncio.to_thread(cluster.kubectl, "delete", "namespace", name, timeout=900)
