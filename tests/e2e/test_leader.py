"""Two operators, one leader: as processes before the real API server, where each can be watched, and as pods."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.api_proxy import HANG, ApiProxy, Fault
from support.cluster import Cluster
from support.fleet import OPERATOR, Fleet
from support.operator_builders import a_document
from support.postgres import PostgresServer
from support.replicas import Place, Replica, eventually
from support.waiting import wait_until

NewReplica = Callable[[str], Awaitable[Replica]]


@pytest.fixture
async def new_replica(place: Place, cluster: Cluster) -> AsyncIterator[NewReplica]:
    async with AsyncExitStack() as stack:

        async def make(name: str) -> Replica:
            proxy = await stack.enter_async_context(ApiProxy(cluster.kubeconfig))
            replica = Replica(name, place, proxy).start()
            stack.callback(replica.end)
            return replica

        yield make


async def _two(place: Place, new_replica: NewReplica) -> tuple[Replica, Replica]:
    """The first leads, the second follows and is ready to."""
    first = await new_replica("first")
    await eventually(lambda: place.holder() == "first", 60, "the first to lead", tell=first.log)
    second = await new_replica("second")

    async def follows() -> bool:
        return await second.answers("/readyz") == (200, "ok, following\n")

    await eventually(follows, 60, "the second to follow", tell=second.log)
    return first, second


async def _insert_applied(place: Place, by: Replica, within: float) -> float:
    bot_id = await place.insert()
    return await eventually(lambda: place.deployed(bot_id), within, f"the Deployment of bot {bot_id}", tell=by.log)


async def test_a_follower_only_watches_the_lease_and_both_tell_what_they_are(
    place: Place, new_replica: NewReplica
) -> None:
    first, second = await _two(place, new_replica)
    await _insert_applied(place, first, 30)
    assert second.proxy.requests
    assert {request.path.rpartition("/")[2] for request in second.proxy.requests} == {"operator"}
    assert {request.method for request in second.proxy.requests} == {"GET"}
    for replica, leads in ((first, "1.0"), (second, "0.0")):
        assert (await replica.answers("/healthz"))[0] == 200
        assert f"tradingbot_operator_leader {leads}" in (await replica.answers("/metrics"))[1]
    assert '"event": "following"' in second.log()
    assert '"leader": "first_' in second.log()


async def test_the_follower_applies_a_row_within_fifteen_seconds_of_a_kill_of_the_leader(
    place: Place, new_replica: NewReplica
) -> None:
    first, second = await _two(place, new_replica)
    await _insert_applied(place, first, 30)
    first.signal(signal.SIGKILL)
    took = await _insert_applied(place, second, 40)
    print(f"kill -9 of the leader -> row applied by the follower: {took:.1f} s")
    assert place.holder() == "second"
    assert took < 15


async def test_an_orderly_stop_hands_over_at_once(place: Place, new_replica: NewReplica) -> None:
    first, second = await _two(place, new_replica)
    first.signal(signal.SIGTERM)
    assert await first.ended() == 0
    took = await eventually(lambda: place.holder() == "second", 20, "the second to lead", tell=second.log)
    print(f"end of the leader's process -> the follower leads: {took:.1f} s")
    assert took < 5
    await _insert_applied(place, second, 30)


async def test_a_leader_that_was_frozen_writes_nothing_when_it_goes_on(place: Place, new_replica: NewReplica) -> None:
    first, second = await _two(place, new_replica)
    bots = [await place.insert() for _ in range(5)]
    for bot_id in bots:
        await eventually(lambda bot_id=bot_id: place.deployed(bot_id), 30, "a Deployment", tell=first.log)
    first.signal(signal.SIGSTOP)
    frozen = asyncio.get_running_loop().time()
    # News for both, the most for the one that is frozen: its NOTIFYs and its watch-streams wait in its sockets.
    for bot_id in bots:
        await place.store.failed(bot_id, "something to tell", keep_status=True)
    took = await _insert_applied(place, second, 40)
    await asyncio.sleep(max(0.0, frozen + 30 - asyncio.get_running_loop().time()))  # what the case is about
    for bot_id in bots:
        await asyncio.to_thread(place.cluster.kubectl, "--namespace", place.namespace, "delete", "deployment",
                                f"bot-{bot_id}", "--wait=false")  # fmt: skip
    first.signal(signal.SIGCONT)
    assert await first.ended() == 1
    assert first.proxy.writes(since=frozen) == []
    assert place.holder() == "second"
    assert "leadership_lost" in first.log()
    print(f"SIGSTOP of the leader -> row applied by the follower: {took:.1f} s")
    for bot_id in bots:
        await eventually(lambda bot_id=bot_id: place.deployed(bot_id), 30, "a Deployment again", tell=second.log)


async def test_a_leader_cut_off_from_the_api_server_ends_before_the_follower_begins(
    place: Place, new_replica: NewReplica
) -> None:
    first, second = await _two(place, new_replica)
    first.proxy.rule = lambda _request: Fault(HANG)
    cut = asyncio.get_running_loop().time()
    await place.insert()
    assert await first.ended() == 1
    ended = asyncio.get_running_loop().time()
    await eventually(lambda: place.holder() == "second", 30, "the second to lead", tell=second.log)
    await eventually(lambda: bool(second.proxy.writes()), 30, "a write of the new leader", tell=second.log)
    print(f"cut off -> ended after {ended - cut:.1f} s, first write of the other after "
          f"{second.proxy.writes()[0].at - cut:.1f} s")  # fmt: skip
    assert max((request.at for request in first.proxy.writes()), default=0) < second.proxy.writes()[0].at


def test_pods_take_over_from_each_other(new_release, postgres: PostgresServer) -> None:
    fleet = Fleet(new_release({"bot": {"env": [{"name": "TRADINGBOT_HEARTBEAT_SECONDS", "value": "2"}]}}), postgres)
    release = fleet.release
    release.install()

    def holder() -> str:
        spec = release.get("lease", release.operator).get("spec", {})
        return str(spec.get("holderIdentity") or "").partition("_")[0]

    pods = {pod["metadata"]["name"]: pod for pod in release.items("pods", "--selector", OPERATOR)}
    assert len(pods) == 2
    leader = wait_until(holder, 30, "a leader")
    assert leader in pods
    staying = fleet.insert(a_document())
    fleet.wait_ready(staying)
    if not _kill_process_of(pods[leader]["metadata"]["uid"]):
        pytest.skip("NOT RUN: the processes of this cluster's node can't be signalled from this machine")
    killed = datetime.now(UTC)
    bot_id = fleet.insert(a_document())
    made = wait_until(lambda: release.get("deployment", f"bot-{bot_id}"), 60, "the new row's Deployment")
    # The API server's own time, on this machine's clock, to the second: kubectl takes seconds itself on a busy machine.
    took = (datetime.fromisoformat(made["metadata"]["creationTimestamp"]) - killed).total_seconds()
    second = holder()
    print(f"kill -9 of the leader's process -> row applied: {took:.1f} s, by {second}, before: {leader}")
    assert second != leader
    assert took < 15

    release.kubectl("delete", "pod", second, "--grace-period=0", "--force")
    killed_at = time.monotonic()
    bot_id = fleet.insert(a_document())
    wait_until(lambda: release.get("deployment", f"bot-{bot_id}"), 120, "the new row's Deployment")
    print(f"leader's pod deleted without grace -> row applied: {time.monotonic() - killed_at:.1f} s, by {holder()}")
    assert holder() not in {second, ""}
    assert fleet.restarts(staying) == 0

    owner = release.get("lease", release.operator)["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"]) == ("Deployment", release.operator)
    release.cluster.run("helm", "uninstall", release.name, "--namespace", release.namespace)
    wait_until(lambda: not release.get("lease", release.operator), 60, "the end of the Lease")


def _kill_process_of(pod_uid: str) -> bool:
    """SIGKILL the operator's process of a pod whose node is this machine; False where it is not seen here."""
    found = False
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                environment = (folder / "environ").read_bytes().split(b"\0")
                command = (folder / "cmdline").read_bytes()
                if f"POD_UID={pod_uid}".encode() in environment and b"bot_operator" in command:
                    os.kill(int(folder.name), signal.SIGKILL)
                    found = True
    return found
