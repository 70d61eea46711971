"""The adapter against a server that speaks HTTP as the API server does; the real one is the e2e tests' matter."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from bot_operator.cluster import (
    ClusterUnavailableError,
    RefusedForNowError,
    RefusedObjectError,
    StaleLookError,
    ThrottledError,
)
from bot_operator.fence import Fence, NotLeaderError
from bot_operator.kube import Kube
from bot_operator.manifests import build_deployment, build_status, build_tradingbot
from bot_operator.naming import Workload, bot_labels
from bot_operator.token import ServiceAccountToken
from bot_operator.transport import Transport
from support.operator_builders import a_row, some_settings

_BOTS = "/apis/tradingbot.dev/v1alpha1/namespaces/trading/tradingbots"
_DEPLOYMENTS = "/apis/apps/v1/namespaces/trading/deployments"
_PODS = "/api/v1/namespaces/trading/pods"


@dataclass
class _Api:
    """Answers by path, in turn; keeps what it was asked."""

    answers: dict[str, list[tuple[int, Any]]] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str], str, Any]] = field(default_factory=list)
    kube: Kube = field(init=False)
    configuration: Configuration = field(init=False)

    def says(self, path: str, document: Any, status: int = 200) -> None:
        self.answers.setdefault(path, []).append((status, document))

    headers: dict[str, str] = field(default_factory=dict)
    token: str = ""  # the only one that is good, if any is asked for
    tokens: list[str] = field(default_factory=list)
    fence: Fence = field(default_factory=Fence.always_open)
    requests: list[tuple[str, str]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        text = await request.text()
        self.tokens.append(request.headers.get("Authorization", ""))
        if self.token and self.tokens[-1] != f"Bearer {self.token}":
            return web.Response(text=json.dumps({"message": "Unauthorized"}), status=401)
        body = json.loads(text) if text else None
        self.asked.append((request.method, request.path, dict(request.query), request.content_type, body))
        answers = self.answers.get(request.path) or [(404, {"message": "not found"})]
        status, document = answers.pop(0) if len(answers) > 1 else answers[0]
        return web.Response(
            text=document if isinstance(document, str) else json.dumps(document), status=status, headers=self.headers
        )


@pytest.fixture
async def api() -> AsyncIterator[_Api]:
    found = _Api()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", found.handle)
    async with TestServer(application) as server:
        configuration = Configuration()
        configuration.host = str(server.make_url("")).rstrip("/")
        found.configuration = configuration
        observe = lambda verb, code: found.requests.append((verb, code))  # noqa: E731
        found.kube = Kube(Transport(ApiClient(configuration), fence=found.fence, observe=observe), "trading", "fleet")
        yield found
        await found.kube.aclose()


def _object(bot_id: int, name: str | None = None, **labels: str) -> dict[str, Any]:
    meta = {"name": name or f"bot-{bot_id}", "uid": f"uid-{bot_id}", "labels": bot_labels("fleet", bot_id) | labels}
    return {"metadata": meta, "spec": {}}


async def test_what_is_not_there_is_none_and_no_error(api: _Api) -> None:
    api.says(_PODS, {"items": []})
    observed = await api.kube.observe(7)
    assert observed.nothing
    assert [path for _, path, *_ in api.asked] == [f"{_BOTS}/bot-7", f"{_DEPLOYMENTS}/bot-7", _PODS]
    assert "tradingbot.dev/bot-id=7" in api.asked[2][2]["labelSelector"]
    assert "app.kubernetes.io/instance=fleet" in api.asked[2][2]["labelSelector"]


async def test_of_a_new_bot_one_request_is_enough_unless_there_is_something(api: _Api) -> None:
    api.says(_PODS, {"items": []})
    assert (await api.kube.observe(7, is_new=True)).nothing
    assert [path for _, path, *_ in api.asked] == [f"{_BOTS}/bot-7"]
    api.says(f"{_BOTS}/bot-7", {"metadata": {"name": "bot-7", "uid": "x"}})
    observed = await api.kube.observe(7, is_new=True)
    assert observed.bot is not None
    assert not observed.bot.ours
    assert [path for _, path, *_ in api.asked[1:]] == [f"{_BOTS}/bot-7", f"{_DEPLOYMENTS}/bot-7", _PODS]


async def test_a_foreign_object_of_the_name_is_seen_as_foreign(api: _Api) -> None:
    api.says(f"{_DEPLOYMENTS}/bot-7", {"metadata": {"name": "bot-7", "uid": "x"}})
    api.says(_PODS, {"items": []})
    deployment = (await api.kube.observe(7)).deployment
    assert deployment is not None
    assert not deployment.ours


async def test_everything_is_listed_once_a_kind_page_by_page(api: _Api) -> None:
    api.says(_BOTS, {"items": [_object(7)], "metadata": {"continue": "more"}})
    api.says(_BOTS, {"items": [_object(8), _object(9, name="a-copy-of-bot-9")], "metadata": {}})
    api.says(_DEPLOYMENTS, {"items": None, "metadata": {}})
    api.says(_PODS, {"items": [_object(8, name="bot-8-abc")], "metadata": {}})
    pages: list[int] = []
    found = await api.kube.observe_all(lambda: pages.append(len(api.asked)))
    assert pages == [1, 2, 3, 4]
    assert set(found) == {7, 8}
    assert found[8].pod is not None
    assert [query.get("continue") for _, path, query, *_ in api.asked if path == _BOTS] == [None, "more"]


async def test_a_list_of_an_unknown_kind_is_no_empty_list(api: _Api) -> None:
    with pytest.raises(ClusterUnavailableError):
        await api.kube.observe_all()


async def test_apply_is_server_side_and_forced_under_the_operators_name(api: _Api) -> None:
    manifest = build_tradingbot(a_row(7).record(), some_settings())
    api.says(f"{_BOTS}/bot-7", _object(7))
    api.says(f"{_BOTS}/bot-7/status", _object(7))
    assert (await api.kube.apply_tradingbot(manifest, {})).uid == "uid-7"
    await api.kube.apply_status(build_status("bot-7", some_settings(), {"phase": "Running"}), {})
    for (method, _, query, content_type, body), path in zip(api.asked, ("", "/status"), strict=True):
        assert (method, content_type) == ("PATCH", "application/apply-patch+yaml")
        assert query == {"fieldManager": "tradingbot-operator", "force": "true"}
        assert body["kind"] == "TradingBot", path
    assert api.asked[0][4] == manifest


async def test_a_deployment_is_deleted_in_the_foreground_and_only_this_very_one(api: _Api) -> None:
    api.says(f"{_DEPLOYMENTS}/bot-7", {})
    await api.kube.delete_deployment("bot-7", "uid-1")
    method, _, _, _, body = api.asked[0]
    assert method == "DELETE"
    assert body["propagationPolicy"] == "Foreground"
    assert body["preconditions"] == {"uid": "uid-1"}


async def test_a_pod_is_deleted_with_its_own_grace_time_and_only_this_very_one(api: _Api) -> None:
    await api.kube.delete_pod("bot-7-abc", "uid-1")
    method, path, _, _, body = api.asked[0]
    assert (method, path.rpartition("/")[2]) == ("DELETE", "bot-7-abc")
    assert body["preconditions"] == {"uid": "uid-1"}
    assert "gracePeriodSeconds" not in body


async def test_deleting_what_is_gone_is_done(api: _Api) -> None:
    await api.kube.delete_tradingbot("bot-7", "uid-1")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RefusedObjectError),
        (422, RefusedObjectError),
        (401, ClusterUnavailableError),
        (403, RefusedForNowError),
        (404, ClusterUnavailableError),
        (409, StaleLookError),
        (429, ThrottledError),
        (500, ClusterUnavailableError),
        (503, ThrottledError),
    ],
)
async def test_an_answer_becomes_an_error_by_its_consequence_in_the_servers_own_words(
    api: _Api, status: int, error: type[Exception]
) -> None:
    manifest = build_deployment(Workload.of([7]), some_settings(), owner_uid="uid-1")
    api.says(f"{_DEPLOYMENTS}/bot-7", {"message": "because of this"}, status)
    with pytest.raises(error, match=r"because of this|not found"):
        await api.kube.apply_deployment(manifest, None)


async def test_only_a_write_is_refused_for_now_and_not_by_a_namespace_that_is_being_deleted(api: _Api) -> None:
    api.says(f"{_BOTS}/bot-7", {"message": "no rights"}, 403)
    with pytest.raises(ClusterUnavailableError) as read:
        await api.kube.observe(7)
    ending = {"message": "it is being terminated", "details": {"causes": [{"reason": "NamespaceTerminating"}]}}
    api.says(f"{_DEPLOYMENTS}/bot-7", ending, 403)
    manifest = build_deployment(Workload.of([7]), some_settings(), owner_uid="uid-1")
    with pytest.raises(ClusterUnavailableError, match="terminated") as written:
        await api.kube.apply_deployment(manifest, None)
    assert {read.type, written.type} == {ClusterUnavailableError}


async def test_an_answer_that_is_no_json_is_shown_shortened(api: _Api) -> None:
    api.says(_BOTS, "<html>" + "x" * 500, 502)
    with pytest.raises(ClusterUnavailableError) as caught:
        await api.kube.observe_all()
    assert len(str(caught.value)) < 400


async def test_a_server_that_does_not_answer_is_unavailable() -> None:
    configuration = Configuration()
    configuration.host = "http://127.0.0.1:1"
    kube = Kube(Transport(ApiClient(configuration)), "trading", "fleet")
    with pytest.raises(ClusterUnavailableError, match="did not answer"):
        await kube.observe(7)
    await kube.aclose()


async def test_a_write_is_based_on_the_version_that_was_seen_and_does_not_take_over_what_was_not(api: _Api) -> None:
    manifest = build_deployment(Workload.of([7]), some_settings(), owner_uid="uid-1")
    api.says(f"{_DEPLOYMENTS}/bot-7", _object(7))
    await api.kube.apply_deployment(manifest, {"metadata": {"resourceVersion": "42"}})
    await api.kube.apply_deployment(manifest, None)
    (_, _, seen, _, onto), (_, _, unseen, _, anew) = api.asked
    assert (seen["force"], onto["metadata"]["resourceVersion"]) == ("true", "42")
    assert unseen["force"] == "false"
    assert "resourceVersion" not in anew["metadata"]


async def test_an_edited_object_is_put_back_in_one_write_and_ends_as_ours_by_apply_alone(api: _Api) -> None:
    manifest = build_deployment(Workload.of([7]), some_settings(), owner_uid="uid-1")
    path, ours = f"{_DEPLOYMENTS}/bot-7", {"manager": "tradingbot-operator", "operation": "Apply"}
    both = _object(7)
    both["metadata"]["managedFields"] = [ours, ours | {"operation": "Update"}]
    for answer in (both, both):
        api.says(path, answer)
    api.says(path, {"message": "the object has been modified"}, 409)
    api.says(path, both)
    api.says(path, _object(7))
    await api.kube.restore_deployment(manifest, {"metadata": {"resourceVersion": "42", "managedFields": [ours]}})
    json_patch, apply = "application/json-patch+json", "application/apply-patch+yaml"
    sent = [(method, kind) for method, _, _, kind, _ in api.asked if method == "PATCH"]
    assert sent == [("PATCH", json_patch), ("PATCH", apply), ("PATCH", json_patch), ("PATCH", json_patch)]
    assert api.asked[1][4]["metadata"]["uid"] == "uid-7"
    assert api.asked[-1][4][-1] == {"op": "add", "path": "/metadata/managedFields", "value": [ours]}


async def test_a_restore_that_is_based_on_a_stale_look_is_refused_as_such(api: _Api) -> None:
    manifest = build_deployment(Workload.of([7]), some_settings(), owner_uid="uid-1")
    api.says(f"{_DEPLOYMENTS}/bot-7", {"message": "the object has been modified"}, 409)
    with pytest.raises(StaleLookError):
        await api.kube.restore_deployment(manifest, {"metadata": {"resourceVersion": "42"}})


async def test_a_busy_server_is_given_the_time_that_it_asks_for(api: _Api) -> None:
    manifest = build_deployment(Workload.of([7]), some_settings(), owner_uid="uid-1")
    api.says(f"{_DEPLOYMENTS}/bot-7", {"message": "too many requests"}, 429)
    for said, seconds in (("7", 7.0), ("", 0.0), ("86400", 60.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 0.0)):
        api.headers = {"Retry-After": said}
        with pytest.raises(ThrottledError) as caught:
            await api.kube.apply_deployment(manifest, None)
        assert caught.value.retry_after == seconds


async def test_behind_a_closed_fence_everything_can_be_read_and_nothing_is_sent(api: _Api) -> None:
    settings = some_settings()
    api.fence.close()
    api.says(_PODS, {"items": []})
    await api.kube.observe(7)
    read = len(api.asked)
    writes = (
        lambda: api.kube.apply_tradingbot(build_tradingbot(a_row(7).record(), settings), None),
        lambda: api.kube.apply_status(build_status("bot-7", settings, {"phase": "Running"}), None),
        lambda: api.kube.apply_deployment(build_deployment(Workload.of([7]), settings, owner_uid="uid-1"), None),
        lambda: api.kube.delete_deployment("bot-7", "uid-1"),
        lambda: api.kube.delete_tradingbot("bot-7", "uid-1"),
        lambda: api.kube.emit({}),
    )
    for write in writes:
        with pytest.raises(NotLeaderError):
            await write()
    assert len(api.asked) == read


async def test_requests_are_counted_by_verb_and_code(api: _Api) -> None:
    api.says(_PODS, {"items": []})
    await api.kube.observe(7)
    await api.kube.emit({})
    assert api.requests == [("GET", "404"), ("GET", "404"), ("GET", "200"), ("POST", "404")]


async def test_a_token_that_was_replaced_is_used_at_once_where_the_old_one_is_refused(
    api: _Api, tmp_path: Path
) -> None:
    file, seconds = tmp_path / "token", [0.0]
    file.write_text("first\n")
    token = ServiceAccountToken(file, monotonic=lambda: seconds[0])
    token.refresh(api.configuration)
    api.configuration.refresh_api_key_hook = token.refresh
    transport = Transport(ApiClient(api.configuration), token=token)
    api.says("/version", {"major": "1"})
    api.token = "first"
    assert await transport.request("GET", "/version")
    file.write_text("second")
    assert await transport.request("GET", "/version")  # the old one is still good, and still used
    api.token = "second"
    assert await transport.request("GET", "/version")
    assert api.tokens == ["Bearer first", "Bearer first", "Bearer first", "Bearer second"]
    file.write_text("")  # while it is being replaced
    seconds[0] += 60
    assert await transport.request("GET", "/version")
    file.write_text("third")
    seconds[0] += 10
    api.token = "third"
    assert await transport.request("GET", "/version")
    assert api.tokens[-1] == "Bearer third"
    api.token = "none of these"
    with pytest.raises(ClusterUnavailableError, match="Unauthorized"):
        await transport.request("GET", "/version")
    await transport.aclose()
