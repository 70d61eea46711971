"""Faults that other operators of trading bots have or had: each of them tried here, on one fleet of a real cluster."""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from support.bots import a_document
from support.cluster import random_suffix
from support.fleet import Fleet, backtested, bars_of, freeze_process_of, signal_process_of
from support.waiting import wait_until

# The tests stop each other's bots, and those of a whole module are many at once.
QUICK = {
    "bot": {"env": [{"name": "TRADINGBOT_HEARTBEAT_SECONDS", "value": "2"}]},
    "safety": {"minBots": 1000},
    "trouble": {"graceSeconds": 5},
}
RESOURCES = {"requests": {"cpu": "11m", "memory": "97Mi"}, "limits": {"memory": "257Mi"}}
IN_DOUBT = "('intended', 'submitted', 'unknown')"


def generated(speed: float, bars: int, **changes: Any) -> dict[str, Any]:
    data = {"data_source": "generated", "interval": "1h", "seed": 9, "speed": speed, "bars": bars}
    return a_document(data=data, **changes)


@pytest.fixture(scope="module")
def fleet(shared_releases, postgres) -> Fleet:
    found = Fleet(shared_releases(QUICK), postgres)
    found.release.install()
    return found


@contextmanager
def watched_pods(fleet: Fleet, bot_id: int) -> Iterator[list[int]]:
    """How many pods of a bot there were at a time, noted at each change; one that is ending counts until it is gone."""
    selector = f"tradingbot.dev/bot-id={bot_id}"
    command = ("get", "pods", "--selector", selector, "--watch", "--output-watch-events", "--output=json")
    watch = fleet.release.cluster.start("kubectl", "--namespace", fleet.release.namespace, *command)
    living: set[str] = set()
    counts: list[int] = []

    def follow() -> None:
        decoder, text = json.JSONDecoder(), ""
        for line in watch.stdout or ():
            text += line
            try:
                event, end = decoder.raw_decode(text)
            except ValueError:
                continue
            text = text[end:].lstrip()
            uid, phase = event["object"]["metadata"]["uid"], event["object"]["status"].get("phase")
            gone = event["type"] == "DELETED" or phase in {"Succeeded", "Failed"}
            (living.discard if gone else living.add)(uid)
            counts.append(len(living))

    reader = threading.Thread(target=follow)
    reader.start()
    try:
        yield counts
    finally:
        watch.send_signal(signal.SIGTERM)
        watch.wait(10)
        reader.join(10)
        if watch.stdout is not None:
            watch.stdout.close()


def container_of(fleet: Fleet, bot_id: int) -> dict[str, Any]:
    deployment = fleet.release.get("deployment", f"bot-{bot_id}")
    found: dict[str, Any] = deployment["spec"]["template"]["spec"]["containers"][0]
    return found


def distinct_orders(fleet: Fleet, bot_id: int) -> bool:
    ((orders, distinct),) = fleet.sql(
        f"SELECT count(*), count(DISTINCT client_order_id) FROM bot_orders WHERE bot_id = {bot_id}"
    )
    return bool(orders == distinct)


def test_a_bot_whose_pod_gets_other_resources_never_has_two_pods(fleet: Fleet):
    bot_id = fleet.insert(generated(20, 5000))
    before, hashed = fleet.wait_ready(bot_id), fleet.template_hash(bot_id)
    fleet.wait_traded(bot_id, 1)
    with watched_pods(fleet, bot_id) as counts:
        fleet.install_with({"bot": {"resources": RESOURCES}})
        wait_until(lambda: fleet.other_pod(bot_id, before), 120, "another pod")
        fleet.wait_ready(bot_id)
    assert len(counts) > 3
    assert max(counts) == 1
    assert fleet.template_hash(bot_id) != hashed
    assert fleet.release.pods(bot_id)[0]["spec"]["containers"][0]["resources"] == RESOURCES
    assert fleet.release.get("deployment", f"bot-{bot_id}")["spec"]["strategy"] == {"type": "Recreate"}
    assert distinct_orders(fleet, bot_id)
    fleet.set_status(bot_id, "disabled")


def test_another_image_makes_another_pod_and_an_edited_one_is_put_back(fleet: Fleet):
    bot_id = fleet.insert(generated(20, 5000))
    fleet.wait_ready(bot_id)
    hashed, container = fleet.template_hash(bot_id), container_of(fleet, bot_id)
    image = f"deployment/bot-{bot_id}", "bot=localhost/bot-runtime:not-there"
    fleet.release.kubectl("set", "image", *image)
    wait_until(lambda: container_of(fleet, bot_id) == container, 60, "the edit put back")
    fleet.wait_ready(bot_id)
    fleet.wait_traded(bot_id, fleet.trade_count(bot_id) + 1)
    assert distinct_orders(fleet, bot_id)

    fleet.install_with({"bot": {"resources": RESOURCES, "image": {"tag": "not-there"}}})
    wait_until(lambda: fleet.template_hash(bot_id) != hashed, 60, "another hash for another image")
    assert container_of(fleet, bot_id)["image"].endswith(":not-there")
    wait_until(lambda: "not-there" in fleet.metadata(bot_id).get("last_error", ""), 120, "the row tells of the image")
    fleet.install_with({"bot": {"resources": RESOURCES}})
    wait_until(lambda: fleet.ready(bot_id), 180, "the pod of the old image")
    fleet.set_status(bot_id, "disabled")


def test_keys_reach_a_pod_by_reference_only_and_are_in_no_log(fleet: Fleet):
    key, secret = f"key-{random_suffix()}", f"secret-{random_suffix()}"
    fleet.release.create_secret("bot-fault-keys", API_KEY=key, API_SECRET=secret)
    broker = {"type": "binance", "trading_mode": "live", "testnet": True, "live_trading_confirmed": True}
    market = {"data_source": "binance", "interval": "1m"}
    bot_id = fleet.insert(a_document(data=market, broker=broker, credentials_secret="bot-fault-keys"))
    names = wait_until(lambda: environment_names(fleet, bot_id), 90, "the keys in the pod's environment")
    assert any(name.endswith("API_KEY") for name in names)
    everything = fleet.release.kubectl(
        "get", "deployments,replicasets,pods,tradingbots,configmaps,events", "--output=yaml", "--show-managed-fields"
    )
    pods = [pod["metadata"]["name"] for pod in fleet.release.items("pods")]
    logs = "".join(fleet.release.kubectl("logs", name, "--all-containers", check=False) for name in pods)
    tables = ("trading_bots", "bot_events", "bot_orders", "bot_state", "msg_messages")
    rows = repr([fleet.sql(f"SELECT * FROM {table}") for table in tables])
    assert "bot-fault-keys" in everything
    for text in (everything, logs, rows):
        assert key not in text
        assert secret not in text
    fleet.set_status(bot_id, "disabled")


def environment_names(fleet: Fleet, bot_id: int) -> list[str]:
    program = ("python", "-c", "import os; print(*sorted(os.environ))")
    pods = [pod for pod in fleet.release.pods(bot_id) if pod["status"].get("phase") == "Running"]
    names = [fleet.release.kubectl("exec", pod["metadata"]["name"], "--", *program, check=False) for pod in pods]
    return " ".join(names).split()


def test_a_database_that_is_away_or_reads_as_empty_removes_nothing(fleet: Fleet):
    bots = [fleet.insert(generated(20, 5000)) for _ in range(2)]
    before = {bot_id: fleet.wait_ready(bot_id)["metadata"]["uid"] for bot_id in bots}
    fleet.sql("ALTER TABLE trading_bots RENAME TO trading_bots_away")
    failures = 'tradingbot_operator_read_failures_total{source="database"}'
    wait_until(lambda: fleet.metric(failures) > 0, 90, "a failed read")
    fleet.sql("CREATE TABLE trading_bots (LIKE trading_bots_away INCLUDING ALL)")
    wait_until(lambda: fleet.metric("tradingbot_operator_removals_held") >= len(bots), 90, "word of what is held")
    assert {bot_id: fleet.release.pods(bot_id)[0]["metadata"]["uid"] for bot_id in bots} == before
    fleet.sql("DROP TABLE trading_bots; ALTER TABLE trading_bots_away RENAME TO trading_bots")
    for bot_id in bots:
        assert fleet.wait_ready(bot_id)["metadata"]["uid"] == before[bot_id]
        fleet.set_status(bot_id, "disabled")


def test_rows_that_are_wrong_in_many_ways_delay_no_good_one(fleet: Fleet):
    wrong: list[Any] = [
        {}, {"symbol": 7}, generated(20, 10, broker="none"), generated(20, 10, strategy={"type": "Nonsense"}),
        generated(20, 10, symbol="x" * 300), generated(20, 10, kubernetes={"resources": "all of it"}),
    ]  # fmt: skip
    refused = [fleet.insert(document) for document in wrong]
    fleet.sql(
        "INSERT INTO trading_bots (user_id, status, config) "
        "SELECT user_id, 'enabled', to_json('no document'::text) FROM trading_bots LIMIT 1"
    )
    good = fleet.insert(generated(20, 5000))
    fleet.wait_ready(good)
    for bot_id in refused:
        wait_until(lambda bot_id=bot_id: fleet.status(bot_id) == "error", 30, f"bot {bot_id} refused")
        assert fleet.metadata(bot_id)["last_error"]
        assert not fleet.release.pods(bot_id)
    fleet.sql(f"DELETE FROM trading_bots WHERE status = 'error' OR id = {good}")


def test_an_orphan_is_removed_and_what_is_not_ours_is_left_alone(fleet: Fleet):
    orphan, podded, other = (fleet.insert(generated(20, 5000)) for _ in range(3))
    for bot_id in (orphan, podded, other):
        fleet.wait_ready(bot_id)
    ours = fleet.release.get("deployment", f"bot-{orphan}")
    foreign = [as_foreign(ours, "bot-900001", {}), as_foreign(ours, "bot-900002", {"instance": "another-release"})]
    fleet.release.cluster.apply(*foreign)
    fleet.stop_operator()
    try:
        fleet.release.kubectl("delete", "deployment", f"bot-{podded}", "--cascade=orphan")
        fleet.sql(f"DELETE FROM trading_bots WHERE id IN ({orphan}, {podded})")
    finally:
        fleet.start_operator()
    for bot_id in (orphan, podded):
        wait_until(lambda b=bot_id: not fleet.release.pods(b), 90, f"the end of the pod of bot {bot_id}")
        for kind in ("deployment", "tradingbot"):
            wait_until(lambda k=kind, b=bot_id: not fleet.release.get(k, f"bot-{b}"), 30, f"no {kind} {bot_id}")
    assert fleet.ready(other)
    for wanted in foreign:
        left = fleet.release.get("deployment", wanted["metadata"]["name"])
        assert left["metadata"]["labels"] == wanted["metadata"]["labels"]
        assert left["metadata"]["generation"] == 1
        fleet.release.kubectl("delete", "deployment", wanted["metadata"]["name"])
    fleet.set_status(other, "disabled")


def as_foreign(deployment: dict[str, Any], name: str, changes: dict[str, str]) -> dict[str, Any]:
    """A Deployment of somebody else's that looks like one of ours but for its labels; it has no pods."""
    labels = {"app.kubernetes.io/name": "tradingbot", "tradingbot.dev/bot-id": name.removeprefix("bot-")}
    if changes:
        labels |= {
            "app.kubernetes.io/managed-by": "tradingbot-operator",
            "app.kubernetes.io/instance": changes["instance"],
        }
    template = {**deployment["spec"]["template"], "metadata": {"labels": labels}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    metadata = {"name": name, "namespace": deployment["metadata"]["namespace"], "labels": labels}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def test_a_crash_loop_is_told_in_the_row(fleet: Fleet):
    bot_id = fleet.insert(generated(20, 5000))
    pod = fleet.wait_ready(bot_id)
    name = pod["metadata"]["name"]
    errors = fleet.error_count(bot_id)

    def crash() -> bool:
        if not signal_process_of(pod, signal.SIGKILL):
            fleet.release.kubectl("exec", name, "--", "python", "-c", "import os; os.kill(1, 15)", check=False)
        return fleet.status(bot_id) == "error"

    wait_until(crash, 180, "the row says error", every=1)
    assert "CrashLoopBackOff" in fleet.metadata(bot_id)["last_error"]
    assert fleet.error_count(bot_id) > errors
    assert fleet.release.status(bot_id)["phase"] == "Error"
    fleet.release.kubectl("delete", "pod", name)
    wait_until(lambda: fleet.status(bot_id) == "running", 90, "the row says running again")
    assert "last_error" not in fleet.metadata(bot_id)
    fleet.set_status(bot_id, "disabled")


def test_any_name_of_a_bot_is_safe(fleet: Fleet):
    names = [
        "'; DROP TABLE trading_bots; --",
        "$(reboot) `id` %s {{ .Values }}",
        "Bött 🤖\n---\nkind: Secret",
        "x" * 5000,
        "../../etc",
    ]
    bots = [fleet.insert(generated(20, 5000, name=name)) for name in names]
    for bot_id, name in zip(bots, names, strict=True):
        fleet.wait_ready(bot_id)
        shown = fleet.release.get("tradingbot", f"bot-{bot_id}")
        assert shown["metadata"]["name"] == f"bot-{bot_id}"
        assert shown["spec"]["name"] == name[:253]
        assert container_of(fleet, bot_id)["args"] == ["run", str(bot_id)]
    for bot_id in bots:
        fleet.set_status(bot_id, "disabled")


def test_a_stop_in_the_middle_of_trading_leaves_no_order_unknown(fleet: Fleet):
    bots = [fleet.insert(generated(200, 100_000)) for _ in range(3)]
    for bot_id in bots:
        fleet.wait_ready(bot_id)
        fleet.wait_traded(bot_id, 3)
        fleet.set_status(bot_id, "disabled")
    for bot_id in bots:
        wait_until(lambda bot_id=bot_id: not fleet.release.pods(bot_id), 60, f"the end of the pod of bot {bot_id}")
        assert fleet.sql(f"SELECT state FROM bot_orders WHERE bot_id = {bot_id} AND state IN {IN_DOUBT}") == []
        assert fleet.status(bot_id) == "stopped"
        ((ended,),) = fleet.sql(f"SELECT count(*) FROM bot_orders WHERE bot_id = {bot_id} AND state = 'filled'")
        assert ended > 3


def test_two_restarts_double_no_order_and_no_fill(fleet: Fleet):
    document = generated(20, 500)
    bot_id = fleet.insert(document)
    for kill in range(2):
        pod = fleet.wait_ready(bot_id)
        fleet.wait_traded(bot_id, 2 + 2 * kill)
        fleet.release.kubectl("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force")
        wait_until(lambda pod=pod: fleet.other_pod(bot_id, pod), 90, "another pod")
    fleet.wait_ready(bot_id)
    bars = bars_of(document)
    fleet.wait_through(bot_id, bars[-1])
    assert fleet.trades(bot_id) == backtested(document, bars)
    assert distinct_orders(fleet, bot_id)
    fleet.set_status(bot_id, "disabled")


def test_the_probe_fails_when_the_loop_hangs_and_not_when_the_venue_is_away(fleet: Fleet):
    away = fleet.insert(a_document(data={"data_source": "binance", "interval": "1m"}))
    hangs = fleet.insert(generated(20, 5000))
    waiting = wait_until(lambda: fleet.started(away), 90, "the pod of the bot without a venue")
    frozen = fleet.wait_ready(hangs)
    if not freeze_process_of(frozen):
        pytest.skip("NOT RUN: the processes of this cluster's node can't be signalled from this machine")
    wait_until(lambda: fleet.restarts(hangs) == 1, 90, "the restart of the bot that hangs")
    fleet.wait_ready(hangs)
    (still,) = fleet.release.pods(away)
    assert still["metadata"]["uid"] == waiting["metadata"]["uid"]
    assert fleet.restarts(away) == 0
    assert not fleet.ready(away)
    for bot_id in (away, hangs):
        fleet.set_status(bot_id, "disabled")
