"""A hundred random edits of rows and objects, then one comparison: the cluster is exactly what the rows ask for."""

import json
import os
import random
from collections.abc import Callable
from typing import Any

from bot_core.models.bot import BotRow, desired_state
from bot_core.models.config import parse_config
from support.bots import a_document
from support.fleet import Fleet
from support.waiting import wait_until

EDITS = 100
BOTS = 6
#: What the API server and the controllers write into every object.
_OF_THE_SERVER = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields")


def document(**changes: Any) -> dict[str, Any]:
    data = {"data_source": "generated", "interval": "1h", "seed": 9, "speed": 5, "bars": 100_000}
    return a_document(data=data, **changes)


class Chaos:
    """Edits that people and programs make, by chance but from a seed, each of them on a bot of the table."""

    def __init__(self, fleet: Fleet, dice: random.Random) -> None:
        self.fleet = fleet
        self.dice = dice
        self.done: list[str] = []
        self._edits: list[tuple[int, Callable[[int], str | None]]] = [
            (3, self.disable), (4, self.enable), (3, self.change_document), (2, self.spoil_document),
            (2, self.restart), (1, self.delete_row), (1, self.add_row),
            (2, self.scale), (3, self.edit_template), (2, self.label), (2, self.delete_deployment),
            (2, self.edit_spec), (2, self.edit_status), (1, self.delete_tradingbot), (3, self.delete_pod),
        ]  # fmt: skip

    def edit(self) -> None:
        ids = [row[0] for row in self.fleet.sql("SELECT id FROM trading_bots ORDER BY id")]
        weights = [weight for weight, _ in self._edits]
        (chosen,) = self.dice.choices([edit for _, edit in self._edits], weights)
        bot_id = self.dice.choice(ids)
        self.done.append(f"{chosen.__name__} {bot_id}: {chosen(bot_id) or 'done'}")

    def disable(self, bot_id: int) -> None:
        self.fleet.set_status(bot_id, self.dice.choice(["disabled", "stopping"]))

    def enable(self, bot_id: int) -> None:
        self.fleet.set_status(bot_id, self.dice.choice(["enabled", "starting"]))

    def restart(self, bot_id: int) -> None:
        self.fleet.set_status(bot_id, "restarting")

    def change_document(self, bot_id: int) -> None:
        symbol = self.dice.choice(["ETHUSDT", "BTCUSDT", "SOLUSDT"])
        self._write(bot_id, document(symbol=symbol, name=str(self.dice.random())))

    def spoil_document(self, bot_id: int) -> None:
        self._write(bot_id, self.dice.choice([{}, {"symbol": 3}, document(strategy={"type": "Nonsense"}), "text"]))

    def _write(self, bot_id: int, value: Any) -> None:
        text = json.dumps(value).replace("'", "''")
        self.fleet.sql(f"UPDATE trading_bots SET config = '{text}' WHERE id = {bot_id}")

    def delete_row(self, bot_id: int) -> str | None:
        ((count,),) = self.fleet.sql("SELECT count(*) FROM trading_bots")
        if count <= BOTS // 2:
            return "left: there are few"
        self.fleet.sql(f"DELETE FROM trading_bots WHERE id = {bot_id}")
        return None

    def add_row(self, _bot_id: int) -> None:
        self.fleet.insert(document())

    def scale(self, bot_id: int) -> str:
        return self._kubectl("scale", f"deployment/bot-{bot_id}", f"--replicas={self.dice.choice([0, 2])}")

    def edit_template(self, bot_id: int) -> str:
        container: dict[str, Any] = self.dice.choice([
            {"name": "bot", "env": [{"name": "SOMEBODY", "value": "was here"}]},
            {"name": "bot", "args": ["run", "1", "2"]},
            {"name": "bot", "resources": {"limits": {"memory": "300Mi"}}},
            {"name": "bot", "livenessProbe": {"periodSeconds": 77}},
        ])  # fmt: skip
        return self._patch(f"deployment/bot-{bot_id}", {"spec": {"template": {"spec": {"containers": [container]}}}})

    def label(self, bot_id: int) -> str:
        labels = self.dice.choice([{"somebody": "was-here"}, {"app.kubernetes.io/name": "else"}])
        return self._patch(f"deployment/bot-{bot_id}", {"metadata": {"labels": labels}})

    def delete_deployment(self, bot_id: int) -> str:
        return self._kubectl("delete", "deployment", f"bot-{bot_id}", "--wait=false")

    def edit_spec(self, bot_id: int) -> str:
        return self._patch(f"tradingbot/bot-{bot_id}", {"spec": {"symbol": "EDITED", "enabled": False}}, "merge")

    def edit_status(self, bot_id: int) -> str:
        change = {"status": {"phase": "Stopped", "message": "somebody was here", "balance": "1"}}
        return self._patch(f"tradingbot/bot-{bot_id}", change, "merge", "--subresource=status")

    def delete_tradingbot(self, bot_id: int) -> str:
        return self._kubectl("delete", "tradingbot", f"bot-{bot_id}", "--wait=false")

    def delete_pod(self, bot_id: int) -> str:
        return self._kubectl("delete", "pod", "--selector", f"tradingbot.dev/bot-id={bot_id}", "--wait=false")

    def _patch(self, what: str, change: dict[str, Any], kind: str = "strategic", *options: str) -> str:
        return self._kubectl("patch", what, f"--type={kind}", f"--patch={json.dumps(change)}", *options)

    def _kubectl(self, *words: str) -> str:
        return self.fleet.release.kubectl(*words, check=False).strip()


class Expectation:
    """What the rows ask for, against what the cluster holds. It uses nothing of the operator's."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.problems: list[str] = []

    def met(self) -> bool:
        self.problems = []
        rows = self._rows()
        model_id = max(rows)
        deployments = self._by_bot("deployments")
        bots = self._by_bot("tradingbots")
        self._same("TradingBots", set(bots), set(rows))
        runs = {bot_id for bot_id, row in rows.items() if desired_state(row).run}
        self._same("Deployments", set(deployments), runs)
        if model_id not in runs & set(deployments):
            return False
        model = bare(deployments[model_id], model_id)
        for bot_id in sorted(runs & set(deployments)):
            self._same(f"Deployment of {bot_id}", bare(deployments[bot_id], bot_id), model)
            if not self.fleet.ready(bot_id):
                self.problems.append(f"bot {bot_id} is not ready")
        for bot_id, row in rows.items():
            self._check_projection(row, bots.get(bot_id, {}))
        return not self.problems

    def _check_projection(self, row: BotRow, shown: dict[str, Any]) -> None:
        config = parse_config(row.config).config
        spec, status = shown.get("spec", {}), shown.get("status", {})
        self._same(f"bot {row.id} enabled", spec.get("enabled"), desired_state(row).run)
        self._same(f"bot {row.id} configHash", spec.get("configHash"), row.config_hash)
        if config is not None:
            self._same(f"bot {row.id} symbol", spec.get("symbol"), config.symbol)
        phase = "Running" if desired_state(row).run else "Stopped"
        self._same(f"bot {row.id} phase ({status.get('message')})", status.get("phase"), phase)

    def _same(self, what: str, found: Any, wanted: Any) -> None:
        if found != wanted:
            self.problems.append(f"{what}: found {found!r}, wanted {wanted!r}")

    def _rows(self) -> dict[int, BotRow]:
        columns = "id, user_id, status, extra_metadata, config"
        names = [name.strip() for name in columns.split(",")]
        found = self.fleet.sql(f"SELECT {columns} FROM trading_bots")
        return {row[0]: BotRow.model_validate(dict(zip(names, row, strict=True))) for row in found}

    def _by_bot(self, kind: str) -> dict[int, dict[str, Any]]:
        items = self.fleet.release.items(kind, "--selector", "app.kubernetes.io/managed-by=tradingbot-operator")
        return {int(item["metadata"]["name"].removeprefix("bot-")): item for item in items}


def bare(deployment: dict[str, Any], bot_id: int) -> Any:
    """A Deployment without what differs from bot to bot: its id, where one is meant and not just the same number."""
    metadata = {key: value for key, value in deployment["metadata"].items() if key not in _OF_THE_SERVER}
    metadata["annotations"] = sorted(metadata.get("annotations", {}))
    metadata["ownerReferences"] = [{**owner, "uid": ""} for owner in metadata["ownerReferences"]]
    text = json.dumps({"metadata": metadata, "spec": deployment["spec"]}, sort_keys=True)
    for around in ('"bot-{}"', '"tradingbot.dev/bot-id": "{}"', '"args": ["run", "{}"'):
        text = text.replace(around.format(bot_id), around.format("ID"))
    return json.loads(text)


def test_after_a_hundred_random_edits_the_cluster_is_what_the_rows_ask_for(new_release, postgres):
    seed = int(os.environ.get("CHAOS_SEED") or random.randrange(1_000_000))
    print(f"CHAOS_SEED={seed}")
    values = {"bot": {"env": [{"name": "TRADINGBOT_HEARTBEAT_SECONDS", "value": "2"}]}, "safety": {"minBots": 1000}}
    fleet = Fleet(new_release(values), postgres)
    fleet.release.install()
    for bot_id in [fleet.insert(document()) for _ in range(BOTS)]:
        fleet.wait_ready(bot_id)
    chaos = Chaos(fleet, random.Random(seed))
    for _ in range(EDITS):
        chaos.edit()
    # A bot whose document turned invalid keeps the pod that it had, so how it got there decides what it is: mend all.
    for (bot_id,) in fleet.sql("SELECT id FROM trading_bots"):
        chaos.change_document(bot_id)
    fleet.insert(document())  # nobody edits this one: the others are compared with it
    expectation = Expectation(fleet)

    print(*chaos.done, sep="\n")  # shown if the test fails
    wait_until(
        expectation.met, 600, "the cluster as the rows ask", every=2, tell=lambda: "\n".join(expectation.problems)
    )
    for (bot_id,) in fleet.sql("SELECT id FROM trading_bots WHERE status NOT IN ('disabled', 'stopped', 'stopping')"):
        ((orders, distinct),) = fleet.sql(
            f"SELECT count(*), count(DISTINCT client_order_id) FROM bot_orders WHERE bot_id = {bot_id}"
        )
        assert orders == distinct
