"""Keys and shape of a bot's pod on a real cluster: what is really in the pod, and what a row can't get."""

import json
from typing import Any

import pytest

from support.bots import a_document
from support.fleet import Fleet
from support.postgres import PostgresServer
from support.waiting import wait_until

KEY, SECRET = "key-0f3a9c51", "secret-77b1e2d4"
LIVE = {"type": "binance", "trading_mode": "live", "live_trading_confirmed": True, "cash": 1000}
#: Nothing listens there: what counts here is what a pod has, not what a venue says.
ENVIRONMENT = [
    {"name": "TRADINGBOT_HEARTBEAT_SECONDS", "value": "2"},
    {"name": "TRADINGBOT_EXCHANGE_URL", "value": "http://127.0.0.1:9"},
]
NAMES = "import os; print(*sorted(os.environ))"
VALUES = "import os; print(os.environ['BOT_KEYS_API_KEY'])"


@pytest.fixture
def new_fleet(new_release, postgres: PostgresServer):
    def make(**bot: Any) -> Fleet:
        fleet = Fleet(new_release({"bot": {"env": ENVIRONMENT, **bot}}), postgres)
        fleet.release.install()
        return fleet

    return make


def a_live_document(secret: str, **changes: Any) -> dict[str, Any]:
    market = {"data_source": "binance", "interval": "1h"}
    return a_document(broker=LIVE, data=market, credentials_secret=secret, **changes)


def a_paper_document(**changes: Any) -> dict[str, Any]:
    data = {"data_source": "generated", "interval": "1h", "seed": 9, "speed": 20, "bars": 5000}
    return a_document(data=data, **changes)


def conditions(fleet: Fleet, bot_id: int) -> dict[str, tuple[str, str]]:
    found = fleet.release.status(bot_id).get("conditions", [])
    return {item["type"]: (item["status"], item["reason"]) for item in found}


def started(fleet: Fleet, bot_id: int) -> str:
    """The name of the bot's one pod, once its container runs; empty until then."""
    pods = [pod for pod in fleet.release.pods(bot_id) if "deletionTimestamp" not in pod["metadata"]]
    running = [
        pod["metadata"]["name"]
        for pod in pods
        for container in pod["status"].get("containerStatuses", [])
        if "running" in container["state"]
    ]
    return running[0] if len(pods) == len(running) == 1 else ""


def inside(fleet: Fleet, bot_id: int, program: str) -> list[str]:
    pod = wait_until(lambda: started(fleet, bot_id), 120, f"the pod of bot {bot_id}")
    return fleet.release.kubectl("exec", pod, "--", "python", "-c", program).split()


def said_anywhere(fleet: Fleet) -> str:
    """All that a person or a program may come to see of this release, but for the Secrets themselves."""
    kinds = "tradingbots,deployments,replicasets,pods,events,configmaps,leases"
    parts = [json.dumps(fleet.release.get(kinds))]
    for pod in fleet.release.items("pods"):
        name = pod["metadata"]["name"]
        parts.append(fleet.release.kubectl("logs", name, "--all-containers", check=False))
        if "tradingbot.dev/bot-id" in pod["metadata"]["labels"] and "running" in json.dumps(pod["status"]):
            ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/metrics').read().decode())"
            parts.append(fleet.release.kubectl("exec", name, "--", "python", "-c", ask, check=False))
    tables = ("trading_bots", "bot_events", "bot_state", "msg_messages")
    parts.extend(str(fleet.sql(f"SELECT * FROM {table}")) for table in tables)
    return "\n".join(parts)


def test_a_live_bot_gets_the_one_secret_that_its_row_names_and_nothing_shows_it(new_fleet):
    fleet: Fleet = new_fleet()
    release = fleet.release
    bot_id = fleet.insert(a_live_document("bot-keys"))
    paper = fleet.insert(a_paper_document(credentials_secret="bot-keys"))

    wait_until(
        lambda: conditions(fleet, bot_id).get("CredentialsReady") == ("False", "SecretMissing"),
        90,
        "the missing Secret",
    )
    message = release.status(bot_id)["message"]
    command = f"kubectl --namespace {release.namespace} create secret generic bot-keys --from-env-file=FILE"
    assert command in message
    (waiting,) = release.pods(bot_id)
    assert waiting["status"]["containerStatuses"][0]["restartCount"] == 0

    env_file = f"API_KEY={KEY}\nAPI_SECRET={SECRET}\nPATH=/nowhere\nDATABASE_URL=sqlite:///elsewhere.db\n"
    release.kubectl("create", "secret", "generic", "bot-keys", "--from-env-file=/dev/stdin", stdin=env_file)
    names = inside(fleet, bot_id, NAMES)
    assert {"BOT_KEYS_API_KEY", "BOT_KEYS_API_SECRET", "BOT_KEYS_DATABASE_URL", "DATABASE_URL"} <= {*names}
    (same,) = release.pods(bot_id)
    assert same["metadata"]["uid"] == waiting["metadata"]["uid"]
    assert inside(fleet, bot_id, VALUES) == [KEY]
    (where,) = inside(fleet, bot_id, "import os; print(os.environ['DATABASE_URL'].split(':')[0], sep='')")
    assert where.startswith("postgresql")
    wait_until(lambda: conditions(fleet, bot_id)["CredentialsReady"] == ("True", "Given"), 60, "keys that are there")
    assert release.get("tradingbot", f"bot-{bot_id}")["spec"]["credentialsSecret"] == "bot-keys"

    fleet.wait_ready(paper)
    assert not [name for name in inside(fleet, paper, NAMES) if name.startswith("BOT_KEYS_")]
    assert "CredentialsReady" not in conditions(fleet, paper)

    changed = json.dumps({"stringData": {"API_KEY": f"{KEY}-2"}})
    release.kubectl("patch", "secret", "bot-keys", "--patch", changed)
    assert inside(fleet, bot_id, VALUES) == [KEY]
    release.kubectl("delete", "pod", "--selector", f"tradingbot.dev/bot-id={bot_id}")
    assert inside(fleet, bot_id, VALUES) == [f"{KEY}-2"]

    everything = said_anywhere(fleet)
    assert "bot-keys" in everything
    assert KEY not in everything
    assert SECRET not in everything


def test_no_row_gets_another_secret_of_the_namespace(new_fleet):
    fleet: Fleet = new_fleet()
    own = fleet.release.get("deployment", fleet.release.operator)["spec"]["template"]["spec"]["containers"][0]["env"]
    (database,) = [item["valueFrom"]["secretKeyRef"]["name"] for item in own if item["name"] == "DATABASE_URL"]
    fleet.release.create_secret("bot-keys", API_KEY=KEY, API_SECRET=SECRET)

    stealing = {name: fleet.insert(a_live_document(name)) for name in (database, "sh.helm.release.v1.x.v1", "other")}
    for name, bot_id in stealing.items():
        wait_until(lambda b=bot_id: fleet.status(b) == "error", 60, f"{name} refused")
        said = fleet.metadata(bot_id)["last_error"]
        assert f"credentials_secret: '{name}' is no Secret that a row may name" in said
        assert "a name that begins with bot-" in said
        wait_until(
            lambda b=bot_id: conditions(fleet, b).get("CredentialsReady") == ("False", "NotAllowed"),
            30,
            "the condition",
        )
        assert fleet.release.status(bot_id)["message"] == said
        assert not fleet.release.get("deployment", f"bot-{bot_id}")

    fleet.release.create_secret("bot-empty", NOTE="no key at all")
    keyless = fleet.insert(a_live_document("bot-empty"))
    wait_until(
        lambda: conditions(fleet, keyless).get("CredentialsReady") == ("False", "KeysMissing"),
        120,
        "a Secret without keys",
    )
    assert "BOT_EMPTY_API_KEY and BOT_EMPTY_API_SECRET" in fleet.metadata(keyless)["last_error"]

    running = fleet.insert(a_live_document("bot-keys"))
    pod = wait_until(lambda: started(fleet, running), 120, "the pod")
    document = json.dumps(a_live_document(database))
    fleet.sql(f"UPDATE trading_bots SET config = '{document}' WHERE id = {running}")
    wait_until(lambda: "not_allowed" in fleet.metadata(running), 60, "the refusal in the row")
    assert f"'{database}' is no Secret that a row may name" in fleet.metadata(running)["not_allowed"]
    assert conditions(fleet, running)["ConfigValid"] == ("False", "NotAllowed")
    assert started(fleet, running) == pod
    assert [name for name in inside(fleet, running, NAMES) if name == "BOT_KEYS_API_KEY"]


def test_a_pod_is_shaped_by_its_row_within_the_policy(new_fleet):
    fleet: Fleet = new_fleet(
        policy={"maxMemory": "512Mi", "tolerationKeys": ["bots"], "labelPrefixes": ["example.com/"]}
    )
    asked = {
        "resources": {"requests": {"cpu": "20m"}, "limits": {"memory": "300Mi"}},
        "tolerations": [{"key": "bots", "operator": "Exists"}],
        "labels": {"example.com/team": "a"},
    }
    bot_id = fleet.insert(a_paper_document(kubernetes=asked))
    pod = fleet.wait_ready(bot_id)
    assert pod["metadata"]["labels"]["example.com/team"] == "a"
    assert {"key": "bots", "operator": "Exists"} in pod["spec"]["tolerations"]
    resources = pod["spec"]["containers"][0]["resources"]
    assert resources == {"requests": {"cpu": "20m", "memory": "96Mi"}, "limits": {"memory": "300Mi"}}

    more = json.dumps(
        a_paper_document(kubernetes={"resources": {"limits": {"memory": "1Gi"}}, "priority_class": "high"})
    )
    fleet.sql(f"UPDATE trading_bots SET config = '{more}' WHERE id = {bot_id}")
    wait_until(lambda: "not_allowed" in fleet.metadata(bot_id), 60, "the refusal in the row")
    said = fleet.metadata(bot_id)["not_allowed"]
    assert "kubernetes.resources.limits.memory: '1Gi' is more than allowed; allowed: at most 512Mi" in said
    assert "kubernetes.priority_class: 'high' is not allowed; allowed: none" in said
    wait_until(lambda: said in fleet.release.status(bot_id)["message"], 30, "the refusal in the TradingBot")
    (still,) = fleet.release.pods(bot_id)
    assert still["metadata"]["uid"] == pod["metadata"]["uid"]

    less = json.dumps(a_paper_document(kubernetes={"resources": {"limits": {"memory": "500Mi"}}}))
    fleet.sql(f"UPDATE trading_bots SET config = '{less}' WHERE id = {bot_id}")
    wait_until(lambda: "not_allowed" not in fleet.metadata(bot_id), 60, "the refusal's end")

    def limit() -> str:
        pods = fleet.release.pods(bot_id)
        return pods[0]["spec"]["containers"][0]["resources"]["limits"]["memory"] if len(pods) == 1 else ""

    wait_until(lambda: limit() == "500Mi", 90, "the new pod")
    fleet.wait_ready(bot_id)
