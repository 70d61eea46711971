"""The whole operator, kopf and all, in this process against a real API server: no image, no pod.

Its namespace's quota of no pods keeps Deployments from running anything. Every request that it sends is counted.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any, TypeVar

import pytest
from kubernetes.aio.config import kube_config

from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_core.store.upgrade import upgrade
from bot_operator.app import OperatorApp
from bot_operator.fence import Fence
from bot_operator.handlers.process import connections_ended, watch_cluster
from bot_operator.kube import Kube
from bot_operator.metrics import Metrics
from bot_operator.naming import GROUP, VERSION, object_name
from bot_operator.settings import OperatorSettings, ProcessSettings
from bot_operator.status import Phase
from bot_operator.transport import Transport
from support.cluster import Cluster, random_suffix
from support.operator_builders import a_document, some_settings
from support.postgres import PostgresServer, free_port

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"

_T = TypeVar("_T")


class CountingTransport(Transport):
    """Notes each request as (verb, kind of object)."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner._client)
        self.count: Counter[tuple[str, str]] = Counter()

    async def request(self, method: str, path: str, *rest: Any, **options: Any) -> dict[str, Any] | None:
        parts = path.split("/namespaces/")[1].split("/")
        self.count[method, "/".join([parts[1], *parts[3:]])] += 1
        return await super().request(method, path, *rest, **options)

    @property
    def writes(self) -> dict[tuple[str, str], int]:
        return {what: number for what, number in self.count.items() if what[0] != "GET"}


@dataclass
class OwnOperator:
    """An operator of the test's own, and another hand that edits what it has made."""

    namespace: str
    database_name: str
    thread: "_OperatorThread"
    hand: Transport
    kube: Kube
    store: BotStore

    @property
    def app(self) -> OperatorApp:
        return self.thread.app

    @property
    def counting(self) -> CountingTransport:
        return self.thread.counting

    async def sweep(self) -> None:
        """Look at everything, as the poll does."""
        assert await self.thread.call(self.app.watcher._looks.everything)

    def path(self, kind: str, bot_id: int | None = None, part: str = "") -> str:
        group = f"apis/{GROUP}/{VERSION}" if kind == "tradingbots" else "api/v1" if kind == "events" else "apis/apps/v1"
        name = "" if bot_id is None else f"/{object_name(bot_id)}"
        return f"/{group}/namespaces/{self.namespace}/{kind}{name}{part}"

    async def insert(self, count: int = 1) -> list[int]:
        user = await self.store.user("trader@example.com")
        return [await self.store.insert(a_document(name=f"bot number {n}"), user) for n in range(count)]

    async def get(self, kind: str, bot_id: int) -> dict[str, Any]:
        return await self.hand.request("GET", self.path(kind, bot_id)) or {}

    async def edit(
        self, kind: str, bot_id: int, body: Any, content: str = JSON_PATCH, part: str = "", manager: str = "somebody"
    ) -> dict[str, Any]:
        """One write by another manager. Raises RefusedObjectError where the API server won't have it."""
        query = {"fieldManager": manager} | ({"force": "true"} if content == APPLY else {})
        edited = await self.hand.request("PATCH", self.path(kind, bot_id, part), query, body, content)
        assert edited is not None
        return edited

    async def restored(self, bot_id: int) -> dict[str, str]:
        """What the Events, by their names, say that was put back for a bot."""
        selector = f"involvedObject.name={object_name(bot_id)},reason=Restored"
        found = await self.hand.request("GET", self.path("events"), {"fieldSelector": selector})
        return {item["metadata"]["name"]: item["message"] for item in (found or {}).get("items", [])}

    async def settled(self, bot_ids: list[int], timeout: float = 120) -> None:
        """Wait until each bot says that it gets no pod, which is how it stays, and the operator has no more to do."""

        async def done() -> bool:
            observed = await self.kube.observe_all()
            there = [observed[bot] for bot in bot_ids if bot in observed]
            failed = [item for item in there if item.deployment and item.bot and item.bot.phase == Phase.ERROR]
            return len(failed) == len(bot_ids) and len(self.app.queue) == 0 and await self.quiet()

        await eventually(done, timeout, "a settled fleet", every=0.5)

    async def quiet(self, seconds: float = 1.0) -> bool:
        """Whether nothing is written for a while; a while is what it takes to say so."""
        before = dict(self.counting.writes)
        await asyncio.sleep(seconds)
        return before == self.counting.writes and len(self.app.queue) == 0


async def eventually(condition: Any, timeout: float, what: str, *, every: float = 0.05) -> None:
    try:
        async with asyncio.timeout(timeout):
            while not await condition():
                await asyncio.sleep(every)
    except TimeoutError:
        raise AssertionError(f"{what} did not come about in {timeout:g} s") from None


@asynccontextmanager
async def own_operator(
    cluster: Cluster, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> AsyncIterator[OwnOperator]:
    """Run an operator on a namespace and a database of its own."""
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(cluster.kubeconfig))
    namespace, release, name = f"tb-e2e-{random_suffix()}", f"r{random_suffix()}", postgres.create_database()
    upgrade(postgres.url(name))
    cluster.apply(*_namespace(namespace))
    ours = some_settings(namespace=namespace, release=release, trouble={"graceSeconds": 1}, **settings)
    thread = _OperatorThread(ours, postgres.url(name))
    hand, database = await Transport.connect(), Database(postgres.url(name))
    try:
        await thread.begin()
        store = BotStore(database, actor="test")
        yield OwnOperator(namespace, name, thread, hand, Kube(hand, namespace, release), store)
        assert thread.is_alive(), "the operator ended"
    finally:
        await thread.end()
        await hand.aclose()
        await database.aclose()
        assert await connections_ended(35)
        cluster.kubectl("delete", "namespace", namespace, "--wait=false")
        postgres.drop_database(name)


class _OperatorThread(Thread):
    """A loop of its own: at its end kopf cancels whatever task its loop has got meanwhile."""

    app: OperatorApp
    counting: CountingTransport

    def __init__(self, settings: OperatorSettings, database_url: str) -> None:
        super().__init__(daemon=True)
        self._settings = settings
        self._url = database_url
        self._begun = Future[None]()

    def run(self) -> None:
        asyncio.run(self._work())

    async def _work(self) -> None:
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        self.counting = CountingTransport(await Transport.connect())
        kube = Kube(self.counting, self._settings.namespace, self._settings.release)
        process, fence = ProcessSettings(self._url, port=free_port()), Fence.always_open()
        self.app = OperatorApp.compose(self._settings, process, Database(self._url), kube, fence, Metrics())
        working = asyncio.create_task(self.app.run(watch_cluster))
        self._begun.set_result(None)
        await asyncio.wait([working, asyncio.ensure_future(self._ending.wait())], return_when=asyncio.FIRST_COMPLETED)
        working.cancel()
        await asyncio.wait([working])
        await self.app.aclose()
        assert await connections_ended(35)

    async def begin(self) -> None:
        self.start()
        await asyncio.wrap_future(self._begun)

    async def end(self) -> None:
        if self.is_alive():
            self._loop.call_soon_threadsafe(self._ending.set)
            await asyncio.to_thread(self.join, 30)

    async def call(self, look: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """Run something in the operator's own loop."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(look(), self._loop))


def _namespace(name: str) -> list[Mapping[str, Any]]:
    labels = {"pod-security.kubernetes.io/enforce": "restricted", "tradingbot.dev/e2e": "true"}
    quota = {"name": "no-pods", "namespace": name}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}},
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": quota, "spec": {"hard": {"pods": "0"}}},
    ]


def state_of(document: Mapping[str, Any]) -> str:
    """All that people can write into an object, to be compared; and who owns it."""
    meta = document.get("metadata", {})
    annotations = {key: value for key, value in meta.get("annotations", {}).items() if not key.endswith("/revision")}
    parts = {key: meta.get(key) for key in ("labels", "ownerReferences", "finalizers")} | {"annotations": annotations}
    owners = sorted({(entry["manager"], entry["operation"]) for entry in meta.get("managedFields", [])
                     if entry.get("subresource") != "status"})  # fmt: skip
    return json.dumps([document.get("spec"), parts, owners], sort_keys=True)
