"""Messages of a fleet: pods write them, one container beside the operator delivers them and alone knows where to."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from support.bots import a_document
from support.cluster import Cluster
from support.fleet import Fleet, backtested, bars_of
from support.postgres import PostgresServer
from support.stand_ins import WebhookReceiver
from support.waiting import wait_until

CHANNELS = "channels"
#: Two trades, opened and closed: fewer messages than would make a digest.
DATA = {"data_source": "generated", "interval": "1h", "seed": 9, "speed": 0, "bars": 33}
TOLD = {"position_opened": True, "position_closed": True, "bot_events": False, "webhook_enabled": True}
DELIVERY = ("jinja2", "telegram", "slack_sdk", "aiosmtplib")
COMMAND_LINE = ("typer", "rich")
HEALTHY = ("program", "database", "tables", "privileges", "service", "bots", "notifications", "queue")
OUTFIT = """
import importlib.util, json, os
print(json.dumps([dict(os.environ), [name for name in {names!r} if importlib.util.find_spec(name)]]))
"""


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    made = WebhookReceiver("0.0.0.0")
    yield made
    made.close()


def outfit(fleet: Fleet, target: str, container: str) -> tuple[dict[str, str], list[str]]:
    """The environment of a container, and which of the libraries its programs can import."""
    script = OUTFIT.format(names=(*DELIVERY, *COMMAND_LINE))
    said = fleet.release.kubectl("exec", target, "--container", container, "--", "python", "-c", script)
    environment, libraries = json.loads(said)
    return environment, libraries


def asked(fleet: Fleet, container: str, *words: str) -> Any:
    """What `tradingbot … --json` answers in a container of the operator's pod."""
    target = ("exec", f"deploy/{fleet.release.operator}", "--container", container, "--")
    return json.loads(fleet.release.kubectl(*target, "tradingbot", *words, "--json"))


def test_a_pods_trades_are_told_once_each_by_a_container_that_alone_knows_the_channels(
    new_release, cluster: Cluster, postgres: PostgresServer, receiver: WebhookReceiver
):
    values = {
        "notifications": {"enabled": True, "existingSecret": CHANNELS},
        "monitoring": {"dashboards": {"enabled": True}},
    }
    fleet = Fleet(new_release(values), postgres)
    channels = {
        "WEBHOOK_URL": f"http://{cluster.host}:{receiver.port}/hooks/fleet",
        "WEBHOOK_SECRET": receiver.secret,
    }
    fleet.release.create_secret(CHANNELS, **channels)
    fleet.release.install()
    document = a_document(data=DATA, notifications=TOLD)
    bars = bars_of(document)
    expected = backtested(document, bars)
    assert len(expected) == 2

    bot_id = fleet.insert(document)
    pod = fleet.wait_ready(bot_id)
    fleet.wait_through(bot_id, bars[-1])
    assert fleet.trades(bot_id) == expected
    told = ["trade_entry", "trade_exit", "trade_entry", "trade_exit"]
    columns = "message_type, status, id, floor(extract(epoch FROM created_at) * 1000)"

    def queued() -> list[tuple[Any, ...]]:
        return fleet.sql(f"SELECT {columns} FROM msg_messages ORDER BY id")

    wait_until(lambda: [row[1] for row in queued()] == ["DELIVERED"] * len(told), 30, "every message delivered")
    assert [row[0] for row in queued()] == told
    keys = {f"tradingbot-{row[2]}-{int(row[3])}" for row in queued()}
    assert sorted(message.identity for message in receiver.arrived) == sorted(keys)
    assert not any(message.repeated for message in receiver.arrived)
    assert {message.target for message in receiver.arrived} == {"/hooks/fleet"}

    operator = f"deploy/{fleet.release.operator}"
    environment, libraries = outfit(fleet, operator, "notify")
    assert channels.items() <= environment.items()
    assert libraries == [*DELIVERY, *COMMAND_LINE]
    token = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # its place
    absent = fleet.release.kubectl("exec", operator, "--container", "notify", "--", "ls", token, check=False)
    assert "No such file" in absent
    environment, _ = outfit(fleet, operator, "operator")
    assert not set(channels) & set(environment)
    environment, libraries = outfit(fleet, f"pod/{pod['metadata']['name']}", "bot")
    assert not set(channels) & set(environment)
    assert libraries == []

    assert [row["id"] for row in asked(fleet, "operator", "bots", "list")] == [bot_id]
    assert [row["status"] for row in asked(fleet, "notify", "messages", "list")] == ["DELIVERED"] * len(told)
    examined = asked(fleet, "operator", "doctor", "--offline")
    findings = {found["check"]: found["outcome"] for found in examined["findings"]}
    assert {name: findings[name] for name in HEALTHY} == dict.fromkeys(HEALTHY, "ok")
    boards = fleet.release.items("configmaps", "--selector", "grafana_dashboard=1")
    assert len(boards) == 3
    assert all(json.loads(text)["panels"] for board in boards for text in board["data"].values())
