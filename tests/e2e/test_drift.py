"""Every field of what the operator makes is edited on the real API server, and is put back with an Event.

The table is derived from the objects themselves: a new field is in it without anybody's thinking of it.
"""

import asyncio
import copy
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import pytest

from bot_operator.cluster import RefusedObjectError
from bot_operator.manifests import build_deployment, build_tradingbot
from bot_operator.naming import INSTANCE_LABEL, MANAGED_BY_LABEL, Workload
from bot_operator.ownership import KEYS, key_of, key_segment, told
from support.cluster import Cluster
from support.in_process import APPLY, MERGE_PATCH, OwnOperator, eventually, own_operator, state_of
from support.operator_builders import a_row
from support.postgres import PostgresServer

_SECRET = "s3cret-of-an-edit"
#: The API server itself refuses to change these, or they are the object's identity.
_UNCHANGEABLE = {"apiVersion", "kind", "metadata.name", "metadata.namespace"}
#: Without them an object is not ours, and stays untouched: see the test of its own.
_OURS = {f"metadata.labels[{label}]" for label in (MANAGED_BY_LABEL, INSTANCE_LABEL)}
_OTHER_VALUES: Mapping[str, Any] = {
    "imagePullPolicy": "Always", "protocol": "UDP", "cpu": "11m", "memory": "97Mi", "fieldPath": "spec.nodeName",
    "port": 8081, "uid": "00000000-0000-0000-0000-000000000000", "apiVersion": "tradingbot.dev/v1", "path": "/other",
    "type": "Unconfined",
}  # fmt: skip

Field = tuple[str, str, Any]  # as people read it, as a JSON pointer, its value


@pytest.fixture
async def operator(
    cluster: Cluster, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[OwnOperator]:
    async with own_operator(cluster, postgres, monkeypatch) as running:
        yield running


def fields_of(value: Any, path: tuple[str, ...] = (), pointer: str = "") -> Iterator[Field]:
    """Every leaf of a document."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            escaped = key.replace("~", "~0").replace("/", "~1")
            yield from fields_of(item, (*path, key), f"{pointer}/{escaped}")
    elif isinstance(value, list) and value and path[-1] in KEYS:
        for number, item in enumerate(value):
            segment = key_segment(key_of(item, KEYS[path[-1]]))
            yield from fields_of(item, (*path, segment), f"{pointer}/{number}")
    else:
        yield told(path), pointer, value


def edits_of(field: Field) -> Iterator[list[dict[str, Any]]]:
    """Ways to edit a field; the API server takes at least one of them."""
    path, pointer, value = field
    name = pointer.rpartition("/")[2]
    if path == "spec.strategy.type":
        yield [{"op": "replace", "path": "/spec/strategy", "value": {"type": "RollingUpdate"}}]
    if name in _OTHER_VALUES:
        yield [{"op": "replace", "path": pointer, "value": _OTHER_VALUES[name]}]
    match value:
        case bool():
            yield [{"op": "replace", "path": pointer, "value": not value}]
        case int():
            yield [{"op": "replace", "path": pointer, "value": value + 1}]
        case str():
            # A name is part of what tells items apart, and is told; a value never is.
            yield [
                {
                    "op": "replace",
                    "path": pointer,
                    "value": value + ("-x" if name in {"name", "mountPath"} else f"-{_SECRET}"),
                }
            ]
        case dict():
            yield [{"op": "replace", "path": pointer, "value": {"medium": "Memory"}}]
        case list():
            yield [{"op": "replace", "path": pointer, "value": [*value, "more"]}]
    yield [{"op": "remove", "path": pointer}]
    if pointer.endswith("/name"):  # something refers to it by this name
        yield [{"op": "remove", "path": pointer.removesuffix("/name")}]
    if "volume" in pointer:  # mounts and volumes go together
        pod, volumes = "/spec/template/spec", [{"name": "other", "emptyDir": {}}]
        mounts = [{"name": "other", "mountPath": "/other"}]
        yield [
            {"op": "replace", "path": f"{pod}/volumes", "value": volumes},
            {"op": "replace", "path": f"{pod}/containers/0/volumeMounts", "value": mounts},
        ]


async def put_back(operator: OwnOperator, kind: str, bot_id: int, edit: Callable[[], Awaitable[dict[str, Any]]]) -> str:
    """Edit an object, and wait until it is exactly what it was and an Event says so; the Event's words."""
    first = await operator.get(kind, bot_id)
    before, told_before = state_of(first), await operator.restored(bot_id)
    edited = await edit()
    if edited and state_of(edited) == before:
        raise RefusedObjectError("the API server has filled in the very same")

    async def good() -> bool:
        return state_of(await operator.get(kind, bot_id)) == before

    async def event() -> bool:
        # Of an owner that does not exist the garbage collector may hear first: the object is made anew then.
        anew = (await operator.get(kind, bot_id))["metadata"]["uid"] != first["metadata"]["uid"]
        return anew or len(await operator.restored(bot_id)) > len(told_before)

    await eventually(good, 30, f"{kind} of bot {bot_id} as it was")
    await eventually(event, 30, f"an Event of bot {bot_id}")
    return " ".join(words for name, words in (await operator.restored(bot_id)).items() if name not in told_before)


async def edit_field(operator: OwnOperator, kind: str, bot_id: int, field: Field) -> float | None:
    """Seconds that it took; None where the API server takes no edit of it."""
    for patch in edits_of(field):
        started = time.monotonic()
        try:
            message = await put_back(operator, kind, bot_id, lambda patch=patch: operator.edit(kind, bot_id, patch))
        except RefusedObjectError:
            continue
        except AssertionError as error:
            raise AssertionError(f"{field[0]}, edited by {patch}: {error}") from error
        assert _SECRET not in message
        assert not message or field[0].rpartition(".")[0].split("[")[0] in message, (field, message)
        assert message or "ownerReferences" in field[0]
        return time.monotonic() - started
    return None


async def shared_out(bots: list[int], work: list[Any], do: Callable[[int, Any], Awaitable[Any]]) -> list[Any]:
    """Each bot takes the next piece of work when it is done with the last."""
    left, results = list(reversed(work)), []

    async def worker(bot_id: int) -> None:
        while left:
            piece = left.pop()
            results.append((piece, await do(bot_id, piece)))

    async with asyncio.TaskGroup() as group:
        for bot_id in bots:
            group.create_task(worker(bot_id))
    return results


@pytest.mark.parametrize("kind", ["deployments", "tradingbots"])
async def test_every_field_that_somebody_edits_is_put_back_with_an_event(operator: OwnOperator, kind: str) -> None:
    bots = await operator.insert(8)
    await operator.settled(bots)
    settings, row = operator.app.settings, a_row(1).record()
    manifest = build_tradingbot(row, settings)
    if kind == "deployments":
        manifest = build_deployment(Workload.of([1]), settings, owner_uid="any")
    table = [field for field in fields_of(manifest) if field[0] not in _UNCHANGEABLE | _OURS]
    assert len(table) > (60 if kind == "deployments" else 14)

    async def edit(bot_id: int, field: Field) -> float | None:
        own = next((item for item in fields_of(await operator.get(kind, bot_id)) if item[1] == field[1]), field)
        return await edit_field(operator, kind, bot_id, own)

    results = await shared_out(bots, table, edit)
    refused = {field[0] for field, took in results if took is None}
    # The API server itself refuses to change the selector, and the pod's labels away from it.
    selected = manifest["spec"].get("selector", {}).get("matchLabels", {})
    fixed = {
        f"spec.{place}[{label}]" for label in selected for place in ("selector.matchLabels", "template.metadata.labels")
    }
    assert refused == fixed
    times = sorted(took for _, took in results if took is not None)
    print(f"{kind}: {len(times)} fields put back; median {times[len(times) // 2]:.2f} s, longest {times[-1]:.2f} s")


def _container(**values: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"name": "bot", **values}]}}}}


def _pod(**values: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": values}}}


_STRATEGIC = "application/strategic-merge-patch+json"
_SPY = {"name": "spy", "image": "example.com/spy:1"}
_EXEC = {"exec": {"command": ["true"]}, "httpGet": None}
_OPTIONAL = {"name": "fleet-database", "key": "url", "optional": True}
_APPLIED = {"apiVersion": "apps/v1", "kind": "Deployment"}
_MERGED: Mapping[str, dict[str, Any]] = {
    "a second container": _pod(containers=[_SPY]),
    "an init container": _pod(initContainers=[_SPY]),
    "one more variable": _container(env=[{"name": "EXTRA", "value": _SECRET}]),
    "a variable read from elsewhere": _container(
        env=[{"name": "PORT", "value": None, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    ),
    "a Secret as the environment": _container(envFrom=[{"secretRef": {"name": "other"}}]),
    "an optional Secret": _container(env=[{"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": _OPTIONAL}}]),
    "another port": _container(ports=[{"containerPort": 9999}]),
    "one more mount": _pod(volumes=[{"name": "more", "emptyDir": {}}]) ,
    "a node's folder": _pod(volumes=[{"name": "root", "hostPath": {"path": "/"}}]),
    "another probe": _container(livenessProbe=_EXEC),
    "a hook": _container(lifecycle={"preStop": {"exec": {"command": ["true"]}}}),
    "a limit": _container(resources={"limits": {"cpu": "1"}}),
    "a command": _container(command=["sleep"]),
    "added capabilities": _container(securityContext={"capabilities": {"add": ["NET_ADMIN"]}}),
    "the node's network": _pod(hostNetwork=True),
    "a node selector": _pod(nodeSelector={"disk": "ssd"}),
    "a toleration": _pod(tolerations=[{"operator": "Exists"}]),
    "affinity": _pod(affinity={"nodeAffinity": {}}),
    "other DNS": _pod(dnsPolicy="Default"),
    "a host's alias": _pod(hostAliases=[{"ip": "10.0.0.1", "hostnames": ["venue"]}]),
    "a label of the pod": {"spec": {"template": {"metadata": {"labels": {"more": "x"}}}}},
    "an annotation of the pod": {"spec": {"template": {"metadata": {"annotations": {"more": "x"}}}}},
    "a label": {"metadata": {"labels": {"more": "x"}}},
    "an annotation": {"metadata": {"annotations": {"more": "x"}}},
    "a finalizer": {"metadata": {"finalizers": ["example.com/hold"]}},
    "a pause": {"spec": {"paused": True}},
    "a deadline": {"spec": {"progressDeadlineSeconds": 60}},
    "a wait": {"spec": {"minReadySeconds": 5}},
}  # fmt: skip


async def test_what_others_add_to_a_deployment_is_removed(operator: OwnOperator) -> None:
    bots = await operator.insert(8)
    await operator.settled(bots)

    async def add(bot_id: int, name: str) -> None:
        try:
            message = await put_back(
                operator, "deployments", bot_id,
                lambda: operator.edit("deployments", bot_id, copy.deepcopy(_MERGED[name]), _STRATEGIC),
            )  # fmt: skip
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
        assert _SECRET not in message

    await shared_out(bots, list(_MERGED), add)


async def test_other_ways_to_write_are_put_back_too(operator: OwnOperator) -> None:
    (bot_id,) = await operator.insert(1)
    await operator.settled([bot_id])
    name = {"metadata": {"name": f"bot-{bot_id}", "namespace": operator.namespace}}
    spy = _APPLIED | name | _pod(containers=[_SPY])
    rolling = _APPLIED | name | {"spec": {"strategy": {"type": "RollingUpdate"}}}

    async def under_our_name() -> dict[str, Any]:
        whole = await operator.get("deployments", bot_id)
        del whole["metadata"]["managedFields"], whole["status"]
        whole["spec"]["template"]["spec"]["containers"].append(_SPY)
        return await operator.edit("deployments", bot_id, whole, APPLY, manager="tradingbot-operator")

    async def scaled() -> dict[str, Any]:
        await operator.edit("deployments", bot_id, {"spec": {"replicas": 0}}, MERGE_PATCH, "/scale")
        return {}

    async def wiped() -> dict[str, Any]:
        await operator.edit("deployments", bot_id, _pod(containers=[_SPY]), _STRATEGIC)
        wipe = [{"op": "replace", "path": "/metadata/managedFields", "value": [{}]}]
        return await operator.edit("deployments", bot_id, wipe)

    ways: list[Callable[[], Awaitable[dict[str, Any]]]] = [
        scaled,
        lambda: operator.edit("deployments", bot_id, spy, APPLY),
        lambda: operator.edit("deployments", bot_id, rolling, APPLY),
        under_our_name,
        lambda: operator.edit(
            "deployments", bot_id, _pod(containers=[_SPY]), _STRATEGIC, manager="tradingbot-operator"
        ),
        wiped,
    ]
    for way in ways:
        await put_back(operator, "deployments", bot_id, way)


async def test_what_others_add_to_a_tradingbot_and_its_status_is_removed(operator: OwnOperator) -> None:
    (bot_id,) = await operator.insert(1)
    await operator.settled([bot_id])
    for added in (
        {"metadata": {"labels": {"more": "x"}}},
        {"metadata": {"annotations": {"more": "x"}}},
        {"metadata": {"finalizers": ["example.com/hold"]}},
        {"spec": {"credentialsSecret": "another"}},
    ):
        await put_back(
            operator, "tradingbots", bot_id,
            lambda added=added: operator.edit("tradingbots", bot_id, added, MERGE_PATCH),
        )  # fmt: skip
    good = (await operator.get("tradingbots", bot_id))["status"]
    lies: list[dict[str, Any]] = [{key: None} for key in good]
    lies += [{"phase": "Running", "balance": "1000000"}, {"lastHeartbeat": "2026-01-01T00:00:00Z"}, {"image": "x"}]
    lies += [{"conditions": [{"type": "Lie", "status": "True", "reason": "X", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}]  # fmt: skip # noqa: E501

    async def as_it_was() -> bool:
        now = (await operator.get("tradingbots", bot_id))["status"]
        return _without_times(now) == _without_times(good)

    for lie in lies:
        await operator.edit("tradingbots", bot_id, {"status": lie}, MERGE_PATCH, "/status")
        await eventually(as_it_was, 30, f"the status as it was, after {lie}")
    words = " ".join((await operator.restored(bot_id)).values())
    for path in ("status.phase", "status.balance", "status.lastHeartbeat", "status.image"):
        assert path in words


def _without_times(status: Mapping[str, Any]) -> dict[str, Any]:
    conditions = [{**item, "lastTransitionTime": ""} for item in status.get("conditions", [])]
    return {**status, "conditions": conditions, "message": ""}


async def test_a_restart_by_kubectl_is_left_alone(operator: OwnOperator) -> None:
    (bot_id,) = await operator.insert(1)
    await operator.settled([bot_id])
    asked = {"kubectl.kubernetes.io/restartedAt": "2026-03-01T12:00:00Z"}
    body = {"spec": {"template": {"metadata": {"annotations": asked}}}}
    await operator.edit("deployments", bot_id, body, _STRATEGIC, manager="kubectl-rollout")
    await operator.sweep()
    await operator.settled([bot_id])
    template = (await operator.get("deployments", bot_id))["spec"]["template"]
    assert template["metadata"]["annotations"] == asked
    assert await operator.restored(bot_id) == {}
    await operator.edit("deployments", bot_id, {"spec": {"replicas": 3}}, MERGE_PATCH)

    async def back() -> bool:
        return bool((await operator.get("deployments", bot_id))["spec"]["replicas"] == 1)

    await eventually(back, 30, "one replica")
    template = (await operator.get("deployments", bot_id))["spec"]["template"]
    assert template["metadata"]["annotations"] == asked


@pytest.mark.parametrize("kind", ["deployments", "tradingbots"])
@pytest.mark.parametrize("label", [MANAGED_BY_LABEL, INSTANCE_LABEL])
async def test_an_object_that_is_no_longer_labelled_as_ours_is_left_alone_and_told_of(
    operator: OwnOperator, kind: str, label: str
) -> None:
    (bot_id,) = await operator.insert(1)
    await operator.settled([bot_id])
    body = {"metadata": {"labels": {label: "another"}}, "spec": {"replicas": 1} if kind == "deployments" else {}}
    await operator.edit(kind, bot_id, body, MERGE_PATCH)

    async def said() -> bool:
        row = await operator.store.get(bot_id)
        return row is not None and "is not this operator's" in str(row.extra_metadata.get("last_error"))

    await eventually(said, 30, "the row's word on it")
    left = state_of(await operator.get(kind, bot_id))
    await operator.sweep()
    await operator.quiet()
    assert state_of(await operator.get(kind, bot_id)) == left


@pytest.mark.parametrize("kind", ["deployments", "tradingbots"])
async def test_what_is_deleted_is_made_again(operator: OwnOperator, kind: str) -> None:
    (bot_id,) = await operator.insert(1)
    await operator.settled([bot_id])
    before = {name: (await operator.get(name, bot_id))["metadata"]["uid"] for name in ("deployments", "tradingbots")}
    await operator.hand.request("DELETE", operator.path(kind, bot_id))

    async def again() -> bool:
        bot, deployment = [await operator.get(name, bot_id) for name in ("tradingbots", "deployments")]
        if (
            not bot
            or not deployment
            or (bot if kind == "tradingbots" else deployment)["metadata"]["uid"] == before[kind]
        ):
            return False
        (owner,) = deployment["metadata"]["ownerReferences"]
        return bool(owner["uid"] == bot["metadata"]["uid"]) and "deletionTimestamp" not in deployment["metadata"]

    await eventually(again, 60, f"the {kind} of bot {bot_id} made again")
