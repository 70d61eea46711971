"""An operator before a real API server whose answers fail, hang, break off, or refuse its token."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from bot_core.store.database import Database
from bot_operator.app import OperatorApp
from bot_operator.fence import Fence
from bot_operator.handlers.process import watch_cluster
from bot_operator.kube import Kube
from bot_operator.metrics import Metrics
from bot_operator.settings import ProcessSettings, parse_settings
from bot_operator.token import ServiceAccountToken
from bot_operator.transport import Transport
from support.api_proxy import HANG, RESET, ApiProxy, Fault, Request
from support.cluster import Cluster
from support.postgres import free_port
from support.replicas import Place, eventually


@pytest.fixture
async def proxy(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ApiProxy]:
    async with ApiProxy(cluster.kubeconfig) as found:
        monkeypatch.setenv("KUBECONFIG", str(found.kubeconfig(tmp_path / "kubeconfig")))
        yield found


@asynccontextmanager
async def _operator(
    place: Place, proxy: ApiProxy, token: ServiceAccountToken | None = None, **changes: Any
) -> AsyncIterator[OperatorApp]:
    document = place.settings(**changes)
    settings = parse_settings(document | {"leader": {"enabled": False}})
    process, metrics = ProcessSettings(place.url, port=free_port()), Metrics()
    configuration = Configuration()
    configuration.host = proxy.url
    if token is not None:
        token.refresh(configuration)
        configuration.refresh_api_key_hook = token.refresh  # type: ignore[assignment]  # the client's is untyped
    transport = Transport(ApiClient(configuration), observe=metrics.requested, token=token)
    cluster = Kube(transport, settings.namespace, settings.release)
    app = OperatorApp.compose(settings, process, Database(place.url), cluster, Fence.always_open(), metrics)
    running = asyncio.create_task(app.run(watch_cluster))
    try:
        yield app
    finally:
        running.cancel()
        await asyncio.wait([running])
        await app.aclose()


async def _applied(place: Place, within: float) -> float:
    bot_id = await place.insert()
    return await eventually(lambda: place.deployed(bot_id), within, f"the Deployment of bot {bot_id}")


def _of(bots: set[int]) -> Callable[[Request], bool]:
    names = tuple(f"/bot-{bot_id}" for bot_id in bots)
    return lambda request: request.path.removesuffix("/status").endswith(names) and not request.watches


async def test_twenty_bots_whose_requests_hang_delay_no_other(place: Place, proxy: ApiProxy) -> None:
    bots = {await place.insert() for _ in range(20)}
    poisoned = _of(bots)
    proxy.rule = lambda request: Fault(HANG) if poisoned(request) else None
    async with _operator(place, proxy) as app:
        took = [await _applied(place, 30) for _ in range(5)]
        print(f"20 bots hang; others applied after {', '.join(f'{seconds:.1f}' for seconds in took)} s")
        assert app.queue.oldest_wait > 0
        assert max(took) < 15
        proxy.rule = lambda _request: None
        await eventually(
            lambda: all(place.deployed(bot_id) for bot_id in bots), 120, "the others, once they are healed"
        )


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault(status=409), "409"),
        (Fault(status=429, headers={"Retry-After": "2"}), "429"),
        (Fault(status=500), "500"),
        (Fault(status=503, headers={"Retry-After": "1"}), "503"),
        (Fault(RESET), "connection"),
    ],
)
async def test_answers_that_fail_are_outlived(place: Place, proxy: ApiProxy, fault: Fault, code: str) -> None:
    async with _operator(place, proxy) as app:
        await _applied(place, 60)
        broken: list[float] = []
        first = _of({row.id for row in await place.store.all()})

        def fails_thrice(request: Request) -> Fault | None:
            if request.method == "PATCH" and not first(request) and len(broken) < 3:
                broken.append(time.monotonic())
                return fault
            return None

        proxy.rule = fails_thrice
        took = await _applied(place, 60)
        print(f"three times {code}: applied after {took:.1f} s")
        assert len(broken) == 3
        assert f'api_requests_total{{code="{code}",verb="PATCH"}} 3.0' in app.metrics.text().decode()
        waits = [after - before for before, after in itertools.pairwise(broken)]
        # Of an object that has changed meanwhile another look is taken at once.
        assert min(waits) >= {"429": 1.9, "409": 0.0}.get(code, 0.9)


async def test_an_api_server_that_restarts_is_outlived_by_sweeps_and_watch_streams(
    place: Place, proxy: ApiProxy
) -> None:
    async with _operator(place, proxy, pollSeconds=600) as app:
        await _applied(place, 60)
        await proxy.vanish()
        bot_id = await place.insert()
        await asyncio.sleep(5)
        await proxy.listen()
        took = await eventually(lambda: place.deployed(bot_id), 90, "the Deployment of what was inserted meanwhile")
        print(f"API server back -> applied after {took:.1f} s")
        watching = len([request for request in proxy.requests if request.watches])
        await eventually(lambda: len([r for r in proxy.requests if r.watches]) >= watching, 60, "watches")
        # The sweep is ten minutes away: only a watch-stream can tell of this.
        await asyncio.sleep(25)
        place.cluster.kubectl("--namespace", place.namespace, "delete", "deployment", f"bot-{bot_id}")
        await eventually(lambda: place.deployed(bot_id), 60, "the Deployment again, by news of a watch-stream")
        assert 'watch_restarts_total{what="request"} 0.0' not in app.metrics.text().decode()


async def test_a_token_that_is_replaced_costs_nothing(place: Place, proxy: ApiProxy, tmp_path: Path) -> None:
    good, file = ["first"], tmp_path / "token"
    file.write_text("first")
    proxy.kubeconfig(tmp_path / "kubeconfig", "first")
    proxy.rule = lambda request: None if request.token in good else Fault(status=401)
    async with _operator(place, proxy, ServiceAccountToken(file), pollSeconds=600):
        await _applied(place, 60)
        file.write_text("second")
        proxy.kubeconfig(tmp_path / "kubeconfig", "second")
        good[:] = ["second"]
        proxy.break_connections()
        bot_id = await place.insert()
        await eventually(lambda: place.deployed(bot_id), 30, "a Deployment with the new token")
        watched = [request for request in proxy.requests if request.watches and request.token == "second"]
        await eventually(lambda: watched or [r for r in proxy.requests if r.watches and r.token == "second"], 60,
                         "watch-streams with the new token")  # fmt: skip
