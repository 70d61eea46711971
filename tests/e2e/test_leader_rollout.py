"""The leader is killed in the middle of a roll-out: the follower finishes it, and each bot restarts once."""

import signal
import threading
import time
from typing import Any

from support.bots import a_document
from support.fleet import Fleet, signal_process_of
from support.waiting import wait_until

BOTS = 8
UNAVAILABLE_PERCENT = 25


def a_slow_bot() -> dict[str, Any]:
    return a_document(data={"data_source": "generated", "interval": "1h", "seed": 9, "speed": 5, "bars": 100_000})


class Watch(threading.Thread):
    """Notes every pod of every bot, and since when each bot is not ready; the longest of these times counts."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__()
        self.fleet = fleet
        self.pods: dict[str, set[str]] = {}
        self.longest: dict[str, float] = {}
        self.most_down = 0
        self._down_since: dict[str, float] = {}
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.3):
            pods = self.fleet.release.items("pods", "--selector", "app.kubernetes.io/name=tradingbot")
            now, ready = time.monotonic(), set()
            for pod in pods:
                bot = pod["metadata"]["labels"]["tradingbot.dev/bot-id"]
                self.pods.setdefault(bot, set()).add(pod["metadata"]["uid"])
                conditions = {item["type"]: item["status"] for item in pod["status"].get("conditions", [])}
                if conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]:
                    ready.add(bot)
            self._note(now, ready)

    def _note(self, now: float, ready: set[str]) -> None:
        for bot in self.pods:
            if bot in ready:
                self._down_since.pop(bot, None)
            else:
                since = self._down_since.setdefault(bot, now)
                self.longest[bot] = max(self.longest.get(bot, 0.0), now - since)
        self.most_down = max(self.most_down, len(self._down_since))

    def end(self) -> None:
        self._over.set()
        self.join(30)


def another_leads(fleet: Fleet, before: dict[str, Any]) -> bool:
    """Whether a pod that is there leads; for a while the Lease still names the one that is gone."""
    leader = fleet.leader()
    return bool(leader) and leader["metadata"]["uid"] != before["metadata"]["uid"]


def test_a_leader_killed_in_the_middle_of_a_roll_out_is_followed_by_one_that_finishes_it(new_release, postgres):
    env = [{"name": "TRADINGBOT_HEARTBEAT_SECONDS", "value": "2"}]
    values = {"bot": {"env": env}, "rollout": {"maxUnavailablePercent": UNAVAILABLE_PERCENT}}
    fleet = Fleet(new_release(values), postgres)
    fleet.release.install()
    bots = [fleet.insert(a_slow_bot()) for _ in range(BOTS)]
    for bot_id in bots:
        fleet.wait_ready(bot_id)
    old = {bot_id: fleet.template_hash(bot_id) for bot_id in bots}

    def updated() -> int:
        return sum(fleet.template_hash(bot_id) != old[bot_id] for bot_id in bots)

    watch = Watch(fleet)
    watch.start()
    try:
        fleet.install_with({"bot": {"env": [*env, {"name": "A_NEW_SHAPE", "value": "yes"}]}})
        wait_until(lambda: updated() >= 2, 300, "the first wave", every=0.2)
        leader = fleet.leader()
        assert updated() < BOTS, "the roll-out was over before its leader was killed"
        signal_process_of(leader, signal.SIGKILL)  # before the deletion could tell it to end in order
        fleet.release.kubectl("delete", "pod", leader["metadata"]["name"], "--grace-period=0", "--force")
        killed = time.monotonic()
        wait_until(lambda: another_leads(fleet, leader), 60, "another leader")
        print(f"leader killed -> another leads: {time.monotonic() - killed:.1f} s")
        wait_until(lambda: updated() == BOTS, 600, "the end of the roll-out")
        for bot_id in bots:
            fleet.wait_ready(bot_id)
            wait_until(
                lambda bot_id=bot_id: fleet.release.status(bot_id).get("update") == "Current", 180, "status.update"
            )
        print(f"killed -> all updated and ready: {time.monotonic() - killed:.1f} s")
    finally:
        watch.end()
    print(f"longest time not ready, by bot: { {bot: round(time, 1) for bot, time in watch.longest.items()} }")
    assert {bot: len(pods) for bot, pods in watch.pods.items()} == {str(bot_id): 2 for bot_id in bots}
    assert watch.most_down <= BOTS * UNAVAILABLE_PERCENT // 100
    assert max(watch.longest.values()) < 120  # one restart: a drain, an image that is there, a start, on a slow machine
    for bot_id in bots:
        assert fleet.restarts(bot_id) == 0
        ((orders, distinct),) = fleet.sql(
            f"SELECT count(*), count(DISTINCT client_order_id) FROM bot_orders WHERE bot_id = {bot_id}"
        )
        assert orders == distinct
