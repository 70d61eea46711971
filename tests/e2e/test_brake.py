import json
from collections.abc import Iterable
from typing import Any

import pytest

from support.bots import a_document
from support.fleet import OPERATOR, Fleet
from support.postgres import PostgresServer
from support.waiting import wait_until

BOTS = 6
ANNOTATION = "tradingbot.dev/confirm-shrink"
VALUES = {
    "bot": {"env": [{"name": "TRADINGBOT_HEARTBEAT_SECONDS", "value": "2"}]},
    "operator": {"pollSeconds": 5},
    "safety": {"minBots": 3, "confirmSeconds": 15},
}


@pytest.fixture
def fleet(new_release, postgres: PostgresServer) -> Fleet:
    found = Fleet(new_release(VALUES), postgres)
    found.release.install()
    return found


def a_running_fleet(fleet: Fleet) -> dict[int, str]:
    """Bots that trade, by the uids of their pods."""
    data = {"data_source": "generated", "interval": "1h", "seed": 9, "speed": 5, "bars": 20_000}
    ids = [fleet.insert(a_document(data=data, name=f"bot {number}")) for number in range(BOTS)]
    for bot_id in ids:
        fleet.wait_ready(bot_id, 240)
    for bot_id in ids:
        wait_until(lambda b=bot_id: fleet.status(b) == "running", 60, "row says running")
    return {bot_id: uid_of(fleet, bot_id) for bot_id in ids}


def uid_of(fleet: Fleet, bot_id: int) -> str:
    (pod,) = [pod for pod in fleet.release.pods(bot_id) if "deletionTimestamp" not in pod["metadata"]]
    return str(pod["metadata"]["uid"])


def held(fleet: Fleet) -> dict[int, str]:
    """Held bots and what their condition says."""
    found = {}
    for item in fleet.release.items("tradingbots"):
        for condition in item.get("status", {}).get("conditions", []):
            if condition["type"] == "RemovalHeld" and condition["status"] == "True":
                found[int(item["spec"]["botId"])] = condition["message"]
    return found


def wait_held(fleet: Fleet, ids: Iterable[int]) -> str:
    """Until all of them are held and say the same; what they say."""
    wanted = set(ids)
    wait_until(
        lambda: set(now := held(fleet)) == wanted and len(set(now.values())) <= 1, 120, f"RemovalHeld on {wanted}"
    )
    return next(iter(held(fleet).values()))


def told(fleet: Fleet) -> list[dict[str, Any]]:
    return [item for item in fleet.release.items("events") if item["reason"] == "RemovalHeld"]


def confirm(fleet: Fleet, *arguments: str) -> Any:
    """`tradingbot confirm-shrink` where the command line is: in the operator's image."""
    command = ("tradingbot", "confirm-shrink", "--yes", "--json", *arguments)
    pod = fleet.leader()["metadata"]["name"]
    return json.loads(fleet.release.kubectl("exec", pod, "--container", "operator", "--", *command))


def save(fleet: Fleet) -> None:
    fleet.sql("CREATE TABLE saved AS SELECT * FROM trading_bots")


def restored(where: str = "true") -> str:
    return f"INSERT INTO trading_bots OVERRIDING SYSTEM VALUE SELECT * FROM saved WHERE {where}"


def test_rows_that_vanish_cost_no_pod_and_a_second_read_or_a_person_lets_go(fleet: Fleet):
    uids = a_running_fleet(fleet)
    ids = sorted(uids)
    save(fleet)

    fleet.sql("DELETE FROM trading_bots")
    message = wait_held(fleet, ids)
    assert "the table of bots is empty" in message
    assert "tradingbot confirm-shrink" in message
    assert f"kubectl annotate --overwrite --namespace {fleet.release.namespace} tradingbot bot-{ids[0]}" in message
    assert [event["involvedObject"]["name"] for event in told(fleet)][-1:] == [f"bot-{ids[0]}"]
    assert len(told(fleet)) < BOTS
    assert fleet.metric("tradingbot_operator_removals_held") == BOTS
    assert fleet.metric('tradingbot_operator_brake{level="asks"}') == 1
    # Its state went with its row: the pod waits, says so and is not counted on.
    wait_until(lambda: not any(fleet.ready(bot_id) for bot_id in ids), 120, "pods not ready")
    fleet.release.kubectl("delete", "pod", "--selector", OPERATOR)
    wait_until(lambda: fleet.release.items("pods", "--selector", OPERATOR), 60, "operator")
    fleet.sql(restored())
    wait_until(lambda: not held(fleet), 180, "the end of the hold")
    for bot_id in ids:
        fleet.wait_ready(bot_id, 240)
    assert {bot_id: uid_of(fleet, bot_id) for bot_id in ids} == uids
    assert all(fleet.restarts(bot_id) == 0 for bot_id in ids)

    fleet.sql("ALTER TABLE trading_bots RENAME TO elsewhere")
    assert "the table of bots is missing" in wait_held(fleet, ids)
    fleet.sql("ALTER TABLE elsewhere RENAME TO trading_bots")
    wait_until(lambda: not held(fleet), 180, "the end of the hold")
    for bot_id in ids:
        fleet.wait_ready(bot_id, 240)
    assert {bot_id: uid_of(fleet, bot_id) for bot_id in ids} == uids

    half = ids[:3]
    old_dump = f"id IN ({', '.join(map(str, half))})"
    fleet.sql(f"BEGIN; TRUNCATE trading_bots CASCADE; {restored(old_dump)}; COMMIT")
    assert "second reading" in wait_held(fleet, ids[3:])
    assert {bot_id: uid_of(fleet, bot_id) for bot_id in ids} == uids
    wait_until(lambda: not any(fleet.release.pods(bot_id) for bot_id in ids[3:]), 240, "the second read")
    assert {bot_id: uid_of(fleet, bot_id) for bot_id in half} == {bot_id: uids[bot_id] for bot_id in half}

    fleet.sql("TRUNCATE trading_bots CASCADE")
    code = wait_held(fleet, half).partition("confirm-shrink ")[2].partition("`")[0]
    (confirmed,) = confirm(fleet, code)["confirmed"]
    assert confirmed["bots"] == half
    wait_until(lambda: not any(fleet.release.pods(bot_id) for bot_id in half), 180, "the pods' end")
    assert confirm(fleet) == {"confirmed": [], "held": []}


def test_rows_that_all_say_disabled_are_held_until_annotated_and_one_alone_goes_at_once(fleet: Fleet):
    uids = a_running_fleet(fleet)
    ids = sorted(uids)
    alone, *rest = ids
    fleet.set_status(alone, "disabled")
    wait_until(lambda: not fleet.release.pods(alone), 120, "the one pod's end")
    assert not told(fleet)

    fleet.sql("UPDATE trading_bots SET status = 'disabled'")
    message = wait_held(fleet, rest)
    before = {bot_id: fleet.cursor(bot_id) for bot_id in rest}
    wait_until(lambda: all(fleet.cursor(bot_id) != before[bot_id] for bot_id in rest), 120, "bots that go on")
    assert {bot_id: uid_of(fleet, bot_id) for bot_id in rest} == {bot_id: uids[bot_id] for bot_id in rest}
    assert {fleet.status(bot_id) for bot_id in rest} == {"disabled"}
    code = message.partition(f"{ANNOTATION}=")[2].partition("`")[0]
    fleet.release.kubectl("annotate", "--overwrite", "tradingbot", f"bot-{rest[0]}", f"{ANNOTATION}={code}")
    wait_until(lambda: not any(fleet.release.pods(bot_id) for bot_id in rest), 180, "the pods' end")
    wait_until(lambda: {fleet.status(bot_id) for bot_id in rest} == {"stopped"}, 90, "rows say stopped")
    assert not held(fleet)
    confirmed = "SELECT confirmed_by, outcome FROM bot_shrinks WHERE confirmed_at IS NOT NULL"
    done = (f"annotation of TradingBot bot-{rest[0]}", "done")
    wait_until(
        lambda: fleet.sql(confirmed) == [done], 30, "the shrinking's end", tell=lambda: str(fleet.sql(confirmed))
    )
