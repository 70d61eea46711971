"""What ends a bot's process is seen in TradingBot, row and messages, and is gone from them once the bot is well."""

from typing import Any

import pytest

from support.bots import a_document
from support.fleet import Fleet
from support.postgres import PostgresServer
from support.waiting import wait_until

RULES = "rules"
#: An entry rule that ends its own pod; a file in /tmp outlives the container and not the pod.
PLUGIN = """
import os
from pathlib import Path

from bot_runtime.plugin_api import EntryPlugin, Parameter


class DoomedEntry(EntryPlugin):
    name = "DoomedEntry"
    parameters = (Parameter("deed", 0, "1 dies, 2 takes all memory once, 3 fills the disk", 0, 3),)

    def __init__(self, config):
        self._deed = config.whole("deed")
        self.indicators = ()
        self.lookback = 1

    def evaluate(self, view):
        once = Path("/tmp/once")
        if self._deed == 1:
            os._exit(3)
        if self._deed == 2 and not once.exists():
            once.touch()
            hoard = [bytearray(b"x" * 10_000_000) for _ in range(200)]
        if self._deed == 3 and not once.exists():
            once.write_bytes(bytes(100_000_000))
        return None


ENTRIES = [DoomedEntry]
"""
DATA = {"data_source": "generated", "interval": "1h", "seed": 9, "speed": 1, "bars": 5000}
TOLD = {"error_notifications": True, "bot_events": False, "webhook_enabled": True}
VALUES: dict[str, Any] = {
    "operator": {"pollSeconds": 3, "statusSeconds": 3},
    "trouble": {"graceSeconds": 6, "notReadySeconds": 600},
    "bot": {
        "env": [{"name": "TRADINGBOT_HEARTBEAT_SECONDS", "value": "2"}],
        "plugins": {"configMap": RULES, "names": {"entries": ["DoomedEntry"]}},
        "resources": {
            "requests": {"cpu": "10m", "memory": "96Mi"},
            "limits": {"memory": "256Mi", "ephemeral-storage": "40Mi"},
        },
    },
}


def doomed(deed: int) -> dict[str, Any]:
    entry = {"name": "DoomedEntry", "params": {"e_deed": deed}}
    strategy = {
        "type": "CustomStrategy",
        "parameters": {"entry_logic": entry, "exit_logic": {"name": "ATRExitMixin", "params": {}}},
    }
    return a_document(data=DATA, strategy=strategy, notifications=TOLD)


def mend(fleet: Fleet, bot_id: int) -> None:
    where = "{strategy,parameters,entry_logic,params,e_deed}"
    fleet.sql(f"UPDATE trading_bots SET config = jsonb_set(config::jsonb, '{where}', '0') WHERE id = {bot_id}")


def letters(fleet: Fleet, bot_id: int, word: str) -> int:
    """Letters of errors to the bot's owner in which a word is."""
    text = fleet.sql(f"SELECT content, metadata FROM msg_messages WHERE message_type = 'error' AND '{bot_id}' <> ''")
    return sum(word in content["message"] and metadata["bot_id"] == bot_id for content, metadata in text)


def errors(fleet: Fleet, bot_id: int) -> int:
    ((count,),) = fleet.sql(f"SELECT error_count FROM trading_bots WHERE id = {bot_id}")
    return int(count)


def wait_error(fleet: Fleet, bot_id: int, reason: str, timeout: float = 240) -> None:
    """The trouble is in the table that people look at, in the row, in the queue of messages, and an Event."""

    def seen() -> bool:
        metadata = fleet.metadata(bot_id)
        shown = str(fleet.release.status(bot_id).get("message", ""))
        in_row = fleet.status(bot_id) == "error" and str(metadata.get("last_error", "")).startswith(reason)
        return in_row and shown.startswith(reason)

    def told() -> str:
        return f"{fleet.status(bot_id)} {fleet.metadata(bot_id)} {fleet.release.status(bot_id)}"

    wait_until(seen, timeout, f"{reason} of bot {bot_id}", tell=told)
    table = fleet.release.kubectl("get", "tradingbots", "--output=wide")
    (line,) = [line for line in table.splitlines() if line.startswith(f"bot-{bot_id} ")]
    assert " Error " in line
    assert reason in line
    assert letters(fleet, bot_id, reason) >= 1
    assert any(reason in message for (message,) in fleet.events(bot_id, "error"))
    events = fleet.release.items("events", f"--field-selector=involvedObject.name=bot-{bot_id},type=Warning")
    assert any(reason in event["message"] for event in events)


def wait_well(fleet: Fleet, bot_id: int, timeout: float = 240) -> None:
    """The runtime itself has said that the bot runs, and nothing of the trouble is left to be taken for true."""

    def well() -> bool:
        metadata, status = fleet.metadata(bot_id), fleet.release.status(bot_id)
        clean = "last_error" not in metadata and fleet.status(bot_id) == "running"
        return clean and status.get("phase") == "Running"

    def told() -> str:
        return f"{fleet.status(bot_id)} {fleet.metadata(bot_id)} {fleet.release.status(bot_id)}"

    wait_until(well, timeout, f"bot {bot_id} well again", tell=told)


@pytest.fixture
def fleet(new_release, postgres: PostgresServer) -> Fleet:
    made = Fleet(new_release(VALUES), postgres)
    made.release.kubectl("create", "configmap", RULES, f"--from-literal=doomed.py={PLUGIN}")
    made.release.install()
    return made


def test_what_ends_a_process_is_told_everywhere_and_gone_once_the_bot_is_well(fleet: Fleet):
    crashing, hungry, hoarding = (fleet.insert(doomed(deed)) for deed in (1, 2, 3))

    # A process that dies again and again.
    wait_error(fleet, crashing, "CrashLoopBackOff: Error, exit code 3")
    mend(fleet, crashing)

    # Out of memory once: told, counted once, and no error, for the bot is well again.
    wait_until(lambda: fleet.metadata(hungry).get("last_disruption"), 240, "the memory's end in the row")
    assert fleet.metadata(hungry)["last_disruption"]["error"] == "Restarted: OOMKilled, exit code 137"
    wait_well(fleet, hungry)
    wait_until(lambda: "OOMKilled" in fleet.release.status(hungry)["message"], 15, "why it was restarted")
    (pod,) = fleet.release.pods(hungry)
    shown = fleet.release.status(hungry)
    assert (shown["restarts"], shown["pod"], shown["node"], shown["image"]) == (
        1, pod["metadata"]["name"], pod["spec"]["nodeName"], pod["spec"]["containers"][0]["image"],
    )  # fmt: skip
    assert (errors(fleet, hungry), letters(fleet, hungry, "OOMKilled")) == (1, 1)

    # Evicted by the kubelet, for which it takes its time; another pod takes its place. The kubelet's own word for it is
    # there only where the bot's process did not end before it.
    wait_until(lambda: fleet.metadata(hoarding).get("last_disruption"), 480, "the eviction in the row")
    mend(fleet, hoarding)
    reason = fleet.metadata(hoarding)["last_disruption"]["error"].partition(":")[0]
    assert reason in {"Evicted", "Ended"}
    assert letters(fleet, hoarding, reason) >= 1
    wait_well(fleet, hoarding)
    wait_until(lambda: reason in fleet.release.status(hoarding)["message"], 15, "why there is another pod")

    # The crashing bot was mended long ago; the kubelet's back-off is over some time.
    wait_well(fleet, crashing)

    # What is asked for stands, whatever the pods say.
    for bot_id in (crashing, hungry, hoarding):
        fleet.set_status(bot_id, "disabled")
    bots = (crashing, hungry, hoarding)
    wait_until(lambda: {fleet.status(bot) for bot in bots} == {"stopped"}, 60, "the stops' answers")
