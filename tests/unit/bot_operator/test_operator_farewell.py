"""What `helm uninstall` runs, against a server that keeps objects; the real one is the e2e tests' matter."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from structlog.testing import CapturingLogger

from bot_operator import farewell
from bot_operator.farewell import Fleet, say_farewell
from bot_operator.kube import Kube
from bot_operator.naming import bot_labels
from bot_operator.transport import Transport

_OPERATOR = {
    "app.kubernetes.io/name": "tradingbot-operator",
    "app.kubernetes.io/instance": "fleet",
    "app.kubernetes.io/component": "operator",
}


@dataclass
class _Api:
    """Objects by kind and name. A pod is seen `looks` times more once its Deployment was deleted or scaled."""

    kinds: dict[str, dict[str, dict[str, Any]]] = field(
        default_factory=lambda: {"tradingbots": {}, "deployments": {}, "pods": {}}
    )
    done: list[str] = field(default_factory=list)
    looks: int = 2
    failures: int = 0

    def add(self, kind: str, name: str, labels: dict[str, str]) -> None:
        self.kinds[kind][name] = {"metadata": {"name": name, "uid": f"uid-{kind}-{name}", "labels": labels}}

    def a_bot(self, bot_id: int, release: str = "fleet") -> None:
        labels = bot_labels(release, bot_id)
        for kind in ("tradingbots", "deployments"):
            self.add(kind, f"bot-{bot_id}", labels)
        self.add("pods", f"bot-{bot_id}-x", labels)

    async def handle(self, request: web.Request) -> web.Response:
        if self.failures:
            self.failures -= 1
            return web.json_response({"message": "etcd is away"}, status=503)
        *_, kind, name = ["", *request.path.strip("/").split("/")]
        if request.method == "GET":
            return web.json_response({"items": self._listed(name, request.query.get("labelSelector", ""))})
        if request.method == "PATCH":
            self.done.append(f"scale {kind}")
            for pod in self.kinds["pods"].values():
                if pod["metadata"]["labels"] == _OPERATOR:
                    pod["ending"] = pod.get("ending", self.looks)
            return web.json_response({})
        self.done.append(f"delete {kind} {name}")
        gone = self.kinds[kind].pop(name)
        assert (await request.json())["preconditions"]["uid"] == gone["metadata"]["uid"]
        if kind == "deployments":
            self.kinds["pods"][f"{name}-x"]["ending"] = self.looks
            self.kinds["pods"][f"{name}-x"]["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
        return web.json_response({})

    def _listed(self, kind: str, selector: str) -> list[dict[str, Any]]:
        wanted = dict(term.split("=") for term in selector.split(","))
        found = [item for item in self.kinds[kind].values() if wanted.items() <= item["metadata"]["labels"].items()]
        for item in [item for item in found if "ending" in item]:
            item["ending"] -= 1
            if item["ending"] <= 0:
                del self.kinds[kind][item["metadata"]["name"]]
        return found


@pytest.fixture
async def api() -> AsyncIterator[tuple[_Api, Fleet]]:
    found = _Api()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", found.handle)
    async with TestServer(application) as server:
        configuration = Configuration()
        configuration.host = str(server.make_url("")).rstrip("/")
        transport = Transport(ApiClient(configuration))
        yield found, Fleet(transport, Kube(transport, "trading", "fleet"), "trading", "fleet", "the-operator")
        await transport.aclose()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farewell, "LOOK_SECONDS", 0.0)


async def test_the_operator_goes_first_and_then_its_bots_whose_end_is_waited_for(api: tuple[_Api, Fleet]) -> None:
    cluster, fleet = api
    cluster.add("pods", "the-operator-x", _OPERATOR)
    cluster.a_bot(7)
    cluster.a_bot(8)
    assert await say_farewell(fleet, 30) == 0
    assert cluster.kinds == {"tradingbots": {}, "deployments": {}, "pods": {}}
    first_deletion = next(index for index, what in enumerate(cluster.done) if what.startswith("delete"))
    assert first_deletion > cluster.looks, "bots were deleted while the operator could make them again"
    assert set(cluster.done[:first_deletion]) == {"scale the-operator"}
    deletions = [what for what in cluster.done if what.startswith("delete")]
    assert sorted(deletions) == [
        "delete deployments bot-7", "delete deployments bot-8", "delete tradingbots bot-7", "delete tradingbots bot-8",
    ]  # fmt: skip


async def test_an_evicted_pod_of_the_operator_is_not_waited_for(api: tuple[_Api, Fleet]) -> None:
    cluster, fleet = api
    cluster.add("pods", "the-operator-evicted", _OPERATOR)
    evicted = cluster.kinds["pods"]["the-operator-evicted"] | {"status": {"phase": "Failed"}, "ending": 10**9}
    cluster.kinds["pods"]["the-operator-evicted"] = evicted
    cluster.a_bot(7)
    assert await say_farewell(fleet, 5) == 0
    assert cluster.kinds["tradingbots"] == {}


async def test_another_releases_bots_are_not_touched(api: tuple[_Api, Fleet]) -> None:
    cluster, fleet = api
    cluster.a_bot(7, "another")
    assert await say_farewell(fleet, 30) == 0
    assert set(cluster.kinds["tradingbots"]) == {"bot-7"}
    assert not [what for what in cluster.done if what.startswith("delete")]


async def test_a_busy_api_server_is_asked_again(api: tuple[_Api, Fleet]) -> None:
    cluster, fleet = api
    cluster.a_bot(7)
    cluster.failures = 3
    assert await say_farewell(fleet, 30) == 0
    assert cluster.kinds["pods"] == {}


async def test_a_pod_that_never_ends_is_told_and_makes_it_fail(
    api: tuple[_Api, Fleet], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, fleet = api
    cluster.looks = 10**9
    cluster.a_bot(7)
    log = CapturingLogger()
    monkeypatch.setattr(farewell, "_log", log)
    assert await say_farewell(fleet, 0.2) == 1
    assert [(call.method_name, call.args, call.kwargs["what"]) for call in log.calls] == [
        ("info", ("waiting",), "not ended yet: bot-7"),
        ("error", ("given_up",), "not ended yet: bot-7"),
    ]


async def test_pods_that_no_deployment_ends_are_told_with_what_ends_them(
    api: tuple[_Api, Fleet], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, fleet = api
    cluster.a_bot(7)
    del cluster.kinds["deployments"]["bot-7"]
    log = CapturingLogger()
    monkeypatch.setattr(farewell, "_log", log)
    assert await say_farewell(fleet, 0.2) == 1
    assert log.calls[-1].kwargs["what"] == (
        "not ended yet: bot-7; no Deployment is left to end the pods of bot-7: kubectl delete replicasets,pods"
        " --namespace=trading"
        " --selector=app.kubernetes.io/instance=fleet,app.kubernetes.io/managed-by=tradingbot-operator"
    )
