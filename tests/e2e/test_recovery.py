"""Bots that fall silent although their pod is well, and pods whose node is lost while their process goes on."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from support.bots import a_document
from support.fleet import Fleet, backtested, bars_of, freeze_process_of, processes_of, signal_process_of
from support.postgres import PostgresServer
from support.waiting import wait_until

LEASE_SECONDS = 15
QUICK = {"TRADINGBOT_HEARTBEAT_SECONDS": "1", "TRADINGBOT_LEASE_SECONDS": str(LEASE_SECONDS)}
TOLD = {"error_notifications": True, "webhook_enabled": True}
#: What a heartbeat writes is lost on the way, as in a database that is no longer the one that others read.
DEAFEN = """
CREATE FUNCTION lose_beats() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN NEW.last_heartbeat := OLD.last_heartbeat; RETURN NEW; END $$;
CREATE TRIGGER lose_beats BEFORE UPDATE ON trading_bots FOR EACH ROW
  WHEN (OLD.id = {bot_id}) EXECUTE FUNCTION lose_beats();
"""
ASK = """
import json, urllib.request
answers = {}
for path in ("healthz", "readyz"):
    with urllib.request.urlopen(f"http://127.0.0.1:8080/{path}", timeout=5) as answer:
        answers[path] = answer.status
print(json.dumps(answers))
"""


def generated(speed: float, bars: int, **changes: Any) -> dict[str, Any]:
    data = {"data_source": "generated", "interval": "1h", "seed": 9, "speed": speed, "bars": bars}
    return a_document(data=data, **changes)


@pytest.fixture
def new_fleet(new_release, postgres: PostgresServer):
    def make(**values: Any) -> Fleet:
        env = [{"name": name, "value": value} for name, value in QUICK.items()]
        bot = {"env": env, **values.pop("bot", {})}
        fleet = Fleet(new_release({"bot": bot, **values}), postgres)
        fleet.release.install()
        return fleet

    return make


def lease(fleet: Fleet, bot_id: int) -> tuple[str, int]:
    """Holder and epoch."""
    ((holder, epoch),) = fleet.sql(f"SELECT holder, epoch FROM bot_leases WHERE bot_id = {bot_id}")
    return str(holder), int(epoch)


def orders(fleet: Fleet, bot_id: int, where: str = "true") -> int:
    ((count,),) = fleet.sql(f"SELECT count(*) FROM bot_orders WHERE bot_id = {bot_id} AND {where}")
    return int(count)


def assert_single(fleet: Fleet, bot_id: int, document: Mapping[str, Any]) -> None:
    """The bot ends with the trades of one that nobody disturbed, each order sent once."""
    bars = bars_of(document)
    fleet.wait_through(bot_id, bars[-1], 420)
    assert fleet.trades(bot_id) == backtested(document, bars)
    ((sent, distinct),) = fleet.sql(
        f"SELECT count(*), count(DISTINCT client_order_id) FROM bot_orders WHERE bot_id = {bot_id}"
    )
    assert sent == distinct


def lost_pods(fleet: Fleet, bot_id: int) -> set[str]:
    """The pods of which no heartbeat came; a write that crossed another is noted again."""
    return {message.partition("its pod ")[2].split()[0] for (message,) in fleet.events(bot_id, "heartbeat_lost")}


def uid(pod: Mapping[str, Any]) -> str:
    return str(pod["metadata"]["uid"])


def test_a_silent_bot_gets_new_pods_then_quarantine_with_a_message_and_is_healed_by_a_request(new_fleet):
    fleet: Fleet = new_fleet(
        operator={"pollSeconds": 5, "statusSeconds": 2},
        recovery={"missedHeartbeats": 8, "maxRecoveries": 2},
    )
    document = generated(10, 1400, notifications=TOLD)
    bot_id, other = fleet.insert(document), fleet.insert(generated(10, 5000))
    first, untouched = fleet.wait_ready(bot_id, 240), fleet.wait_ready(other, 240)
    fleet.wait_traded(bot_id, 2)
    assert fleet.events(bot_id, "heartbeat_lost") == []

    started = time.monotonic()
    fleet.sql(DEAFEN.format(bot_id=bot_id))
    answers = fleet.release.kubectl("exec", first["metadata"]["name"], "--", "python", "-c", ASK)
    assert json.loads(answers) == {"healthz": 200, "readyz": 200}
    wait_until(lambda: fleet.events(bot_id, "heartbeat_lost"), 120, "the operator's word that no heartbeat comes")
    print(f"last heartbeat -> noticed: {time.monotonic() - started:.1f} s")
    wait_until(lambda: uid(first) not in map(uid, fleet.release.pods(bot_id)), 120, "the pod's end")
    wait_until(lambda: fleet.metadata(bot_id).get("quarantined"), 480, "quarantine")
    print(f"last heartbeat -> quarantine after two new pods: {time.monotonic() - started:.1f} s")

    assert len(lost_pods(fleet, bot_id)) == 2
    assert len(fleet.events(bot_id, "quarantined")) == 1
    assert f"tradingbot bots start {bot_id}" in fleet.metadata(bot_id)["last_error"]
    (message,) = fleet.sql("SELECT priority, content->>'message' FROM msg_messages WHERE message_type = 'error'")
    assert message[0] == "CRITICAL"
    assert "no heartbeat for" in message[1]
    wait_until(lambda: fleet.release.status(bot_id).get("phase") == "Error", 60, "phase Error")
    status = fleet.release.status(bot_id)
    assert len(status["recoveries"]) == 2
    (trading,) = [item for item in status["conditions"] if item["type"] == "Trading"]
    assert (trading["status"], trading["reason"]) == ("False", "Quarantined")
    reasons = [item["reason"] for item in fleet.release.items("events")]
    assert reasons.count("HeartbeatLost") >= 2
    assert reasons.count("Quarantined") == 1

    # A pod stays, idle: it holds no lease and sends nothing.
    idle = fleet.wait_ready(bot_id, 240)
    held = f"SELECT expires_at > now() FROM bot_leases WHERE bot_id = {bot_id}"
    wait_until(lambda: fleet.sql(held) == [(False,)], 60, "the lease's end")
    sent = orders(fleet, bot_id)
    (now,) = fleet.release.pods(other)
    assert uid(now) == uid(untouched)
    assert fleet.events(other, "heartbeat_lost") == []
    assert fleet.status(bot_id) == "error"
    assert orders(fleet, bot_id) == sent

    fleet.sql("DROP FUNCTION lose_beats CASCADE")
    fleet.set_status(bot_id, "starting")
    wait_until(lambda: fleet.status(bot_id) == "running", 120, "row says running")
    assert_single(fleet, bot_id, document)
    (healed,) = fleet.release.pods(bot_id)
    assert uid(healed) == uid(idle)
    assert "recoveries" not in fleet.release.status(bot_id)
    assert len(lost_pods(fleet, bot_id)) == 2


def test_a_forced_delete_of_a_frozen_pod_makes_no_second_trader(new_fleet):
    fleet: Fleet = new_fleet(bot={"terminationGracePeriodSeconds": 120})
    document = generated(10, 900)
    bot_id = fleet.insert(document)
    old = fleet.wait_ready(bot_id, 240)
    fleet.wait_traded(bot_id, 2)
    holder, epoch = lease(fleet, bot_id)
    assert holder == f"pod:{uid(old)}"
    if not freeze_process_of(old):
        pytest.skip("NOT RUN: the processes of this cluster's node can't be signalled from this machine")
    try:
        frozen = time.monotonic()
        fleet.release.kubectl("delete", "pod", old["metadata"]["name"], "--force", "--grace-period=0")
        wait_until(lambda: uid(old) not in map(uid, fleet.release.pods(bot_id)), 30, "no such pod any more")
        wait_until(lambda: fleet.release.pods(bot_id), 30, "the new pod")
        wait_until(lambda: lease(fleet, bot_id)[1] > epoch, 240, "the new pod's lease")
        waited = time.monotonic() - frozen
        (new,) = fleet.release.pods(bot_id)
        print(f"frozen and force-deleted -> the new pod trades: {waited:.1f} s of a lease of {LEASE_SECONDS} s")
        assert lease(fleet, bot_id) == (f"pod:{uid(new)}", epoch + 1)
        assert waited > LEASE_SECONDS - 2  # a heartbeat was up to a second old
        before = orders(fleet, bot_id, f"epoch = {epoch}")
    finally:
        # The kubelet of this node is not lost, and kills what is left of the pod when its time is over.
        print(f"the old process wakes beside the new pod: {signal_process_of(old, signal.SIGCONT)}")
    wait_until(lambda: orders(fleet, bot_id, f"epoch = {epoch + 1}") > 0, 60, "an order of the new pod")
    wait_until(lambda: not processes_of(old), 150, "the old process's end")
    assert orders(fleet, bot_id, f"epoch = {epoch}") == before
    assert_single(fleet, bot_id, document)
    assert lease(fleet, bot_id)[1] == epoch + 1


@contextmanager
def lost_node(fleet: Fleet, bot_id: int) -> Iterator[subprocess.Popen[bytes]]:
    """A pod's process on a machine that the cluster lost and the database did not: it trades on."""
    url = fleet.postgres.url(fleet.release.database)
    environment = {**os.environ, **QUICK, "DATABASE_URL": url, "POD_UID": str(uuid.uuid4()), "PORT": "0"}
    command = (sys.executable, "-m", "bot_runtime", "run", str(bot_id))
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)


def test_a_process_on_a_lost_node_trades_on_alone_until_its_lease_lapses_and_is_fenced_when_it_comes_back(new_fleet):
    fleet: Fleet = new_fleet()
    fleet.stop_operator()
    document = generated(10, 900)
    bot_id = fleet.insert(document)
    with lost_node(fleet, bot_id) as lost:
        fleet.wait_traded(bot_id, 1)
        fleet.start_operator()
        wait_until(lambda: fleet.release.pods(bot_id), 60, "the pod that the operator makes instead")

        def waits() -> bool:
            (pod,) = fleet.release.pods(bot_id)
            log = fleet.release.kubectl("logs", pod["metadata"]["name"], check=False)
            return "bot_starting" in log and not fleet.ready(bot_id)

        wait_until(waits, 240, "the new pod at the lease")
        traded = fleet.trade_count(bot_id)
        fleet.wait_traded(bot_id, traded + 1)  # the old one goes on …
        assert lease(fleet, bot_id)[1] == 1
        assert orders(fleet, bot_id, "epoch <> 1") == 0  # … and nobody else does
        assert fleet.ready(bot_id) is False

        lost.send_signal(signal.SIGSTOP)
        wait_until(lambda: lease(fleet, bot_id)[1] == 2, 120, "the new pod's lease")
        wait_until(lambda: orders(fleet, bot_id, "epoch = 2") > 0, 60, "an order of the new pod")
        before = orders(fleet, bot_id, "epoch = 1")
        lost.send_signal(signal.SIGCONT)
        fleet.wait_traded(bot_id, fleet.trade_count(bot_id) + 2)
        assert orders(fleet, bot_id, "epoch = 1") == before
        assert lease(fleet, bot_id)[1] == 2
        assert lost.poll() is None  # it waits, as the other did
        assert_single(fleet, bot_id, document)
