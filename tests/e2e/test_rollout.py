import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from support.bots import a_document
from support.fleet import Fleet
from support.postgres import PostgresServer
from support.release import merge
from support.waiting import wait_until

BOTS = 8
PLACES = 2  # 25 % of them
BASE = {
    "operator": {"replicas": 1, "pollSeconds": 5},
    "rollout": {"maxUnavailablePercent": 25, "readySeconds": 900, "pauseAfterFailures": 2},
    "bot": {"env": [{"name": "TRADINGBOT_HEARTBEAT_SECONDS", "value": "2"}], "terminationGracePeriodSeconds": 20},
}


def generated(**changes: Any) -> dict[str, Any]:
    data = {"data_source": "generated", "interval": "1h", "seed": 9, "speed": 2, "bars": 50000}
    return a_document(data=data, **changes)


@pytest.fixture
def fleet(new_release, postgres: PostgresServer) -> Fleet:
    fleet = Fleet(new_release(BASE), postgres)
    fleet.release.install()
    return fleet


class Sampler:
    """Asks again and again which bots have no pod that is Ready."""

    def __init__(self, fleet: Fleet, bots: list[int]) -> None:
        self._fleet, self._bots = fleet, set(bots)
        self.worst: set[int] = set()
        self.samples = 0
        self._over = threading.Event()

    def sample(self) -> None:
        ready = set()
        for pod in self._fleet.release.items(
            "pods", "--selector", "app.kubernetes.io/name=tradingbot,tradingbot.dev/bot-id"
        ):
            conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", [])}
            if conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]:
                ready.add(int(pod["metadata"]["labels"]["tradingbot.dev/bot-id"]))
        down = self._bots - ready
        self.worst = max(self.worst, down, key=len)
        self.samples += 1

    @contextmanager
    def running(self) -> Iterator[None]:
        def work() -> None:
            while not self._over.wait(0.3):
                self.sample()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()


def words(fleet: Fleet) -> dict[int, str]:
    return {
        item["spec"]["botId"]: item.get("status", {}).get("update", "") for item in fleet.release.items("tradingbots")
    }


def pods(fleet: Fleet) -> dict[str, str]:
    """Each pod's uid, by its bot."""
    found = fleet.release.items("pods", "--selector", "tradingbot.dev/bot-id")
    return {pod["metadata"]["labels"]["tradingbot.dev/bot-id"]: pod["metadata"]["uid"] for pod in found}


def upgrade(fleet: Fleet, *changes: dict[str, Any]) -> None:
    fleet.release.values = merge(fleet.release.values, *changes)
    fleet.release.install()


def marked(value: str) -> dict[str, Any]:
    """A harmless change that shapes pods."""
    return {"bot": {"env": [*BASE["bot"]["env"], {"name": "A_MARK", "value": value}]}}


def started(fleet: Fleet, count: int, **changes: Any) -> list[int]:
    bots = [fleet.insert(generated(**changes)) for _ in range(count)]
    for bot_id in bots:
        fleet.wait_ready(bot_id, 240)
    wait_until(lambda: all(fleet.status(bot_id) == "running" for bot_id in bots), 120, "all rows say running")
    wait_until(lambda: [words(fleet).get(bot_id) for bot_id in bots] == ["Current"] * count, 60, "all are current")
    return bots


def test_a_change_rolls_in_waves_a_broken_one_pauses_and_a_rollback_heals(fleet: Fleet):
    bots = started(fleet, BOTS)
    before, sampler = pods(fleet), Sampler(fleet, bots)
    began = time.monotonic()
    with sampler.running():
        upgrade(fleet, marked("one"))
        wait_until(
            lambda: set(words(fleet).values()) == {"Current"} and not set(pods(fleet).values()) & set(before.values()),
            900,
            "all are current on new pods",
        )
    print(
        f"{BOTS} bots made anew in {time.monotonic() - began:.0f} s, {sampler.samples} samples, worst {sampler.worst}"
    )
    assert 0 < len(sampler.worst) <= PLACES
    for bot_id in bots:
        template = fleet.release.get("deployment", f"bot-{bot_id}")["spec"]["template"]["spec"]
        assert {"name": "A_MARK", "value": "one"} in template["containers"][0]["env"]

    before, sampler = pods(fleet), Sampler(fleet, bots)
    with sampler.running():
        upgrade(fleet, {"bot": {"image": {"tag": "there-is-none"}}})
        wait_until(
            lambda: sorted(set(words(fleet).values())) == ["Behind: roll-out paused", "Failed"], 300, "the pause"
        )
        untouched = [bot_id for bot_id, word in words(fleet).items() if word != "Failed"]
        assert len(untouched) == BOTS - 2
        trades = {bot_id: fleet.trade_count(bot_id) for bot_id in untouched}
        for bot_id in untouched:
            fleet.wait_traded(bot_id, trades[bot_id] + 1, 120)
        after = pods(fleet)
        assert all(after[str(bot_id)] == before[str(bot_id)] for bot_id in untouched)
        described = fleet.release.kubectl("describe", "tradingbot", f"bot-{untouched[0]}")
        assert "kubectl annotate tradingbots" in described
        reasons = [event["reason"] for event in fleet.release.items("events")]
        assert reasons.count("RolloutPaused") == 1
        assert reasons.count("UpdateFailed") == 2

        fleet.release.cluster.run(
            "helm",
            "rollback",
            fleet.release.name,
            "2",
            "--namespace",
            fleet.release.namespace,
            "--wait",
            "--timeout=180s",
            timeout=240,
        )
        wait_until(lambda: set(words(fleet).values()) == {"Current"}, 300, "all are current after the rollback")
    print(f"broken and rolled back: {sampler.samples} samples, worst {sampler.worst}")
    assert len(sampler.worst) <= PLACES
    after = pods(fleet)
    assert all(after[str(bot_id)] == before[str(bot_id)] for bot_id in untouched)
    for bot_id in bots:
        fleet.wait_ready(bot_id)


def test_when_flat_waits_for_the_end_of_the_position_and_manual_for_a_restart(fleet: Fleet):
    (holding,) = started(fleet, 1, update_policy="when_flat")
    (asked,) = started(fleet, 1, update_policy="manual")

    def wait_for_position() -> None:
        wait_until(
            lambda: fleet.sql(f"SELECT 1 FROM trading_positions WHERE bot_id = {holding} AND status = 'open'"),
            120,
            "a position",
        )

    before = pods(fleet)
    # The position must outlive the upgrade: a row that a person wrote beside the bot's own.
    wait_for_position()
    fleet.sql(
        "INSERT INTO trading_positions (bot_id, trade_type, symbol, direction, qty_open, status)"
        f" VALUES ({holding}, 'paper', 'XXXUSDT', 'long', 1, 'open')"
    )
    upgrade(fleet, marked("two"))
    wait_until(lambda: words(fleet) == {holding: "Behind: waits until flat", asked: "Behind: manual"}, 120, "both wait")
    assert pods(fleet) == before
    fleet.sql(
        f"UPDATE trading_positions SET status = 'closed', qty_open = 0 WHERE bot_id = {holding} AND symbol = 'XXXUSDT'"
    )
    wait_until(lambda: words(fleet)[holding] == "Current", 240, "the flat one is current")
    assert pods(fleet)[str(holding)] != before[str(holding)]
    assert pods(fleet)[str(asked)] == before[str(asked)]

    # As `tradingbot bots restart` does.
    fleet.set_status(asked, "restarting")
    wait_until(lambda: words(fleet)[asked] == "Current", 240, "the restarted one is current")
    assert pods(fleet)[str(asked)] != before[str(asked)]
    wait_until(lambda: fleet.status(asked) == "running", 60, "it runs")
