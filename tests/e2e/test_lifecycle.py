"""A release from its first installation to its last trace: upgraded, tried, rolled back, uninstalled, found again."""

import json
import re
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.bots import a_document
from support.cluster import CHART, Cluster, random_suffix
from support.fleet import Fleet
from support.postgres import PostgresServer
from support.release import CRD, PREVIOUS_CHARTS, Release
from support.waiting import wait_until

#: What comes and goes by itself, or is every namespace's own.
PASSING = {"events", "events.events.k8s.io", "endpointslices.discovery.k8s.io", "endpoints"}
OF_THE_NAMESPACE = {"serviceaccounts/default", "configmaps/kube-root-ca.crt", "secrets/tradingbot-database"}


@pytest.fixture
def new_fleet(new_release, postgres: PostgresServer):
    def make(values: dict[str, Any] | None = None) -> Fleet:
        return Fleet(new_release(values), postgres)

    return make


@pytest.fixture(scope="session")
def listable(cluster: Cluster) -> list[str]:
    """All namespaced kinds of the cluster that can be listed."""
    kinds = cluster.kubectl("api-resources", "--namespaced", "--verbs=list", "--output=name").split()
    return [kind for kind in kinds if kind not in PASSING and not kind.endswith("metrics.k8s.io")]


def objects(release: Release, kinds: list[str]) -> set[str]:
    found = release.get(",".join(kinds)).get("items", [])
    named = {f"{plural(item['kind'])}/{item['metadata']['name']}" for item in found}
    return named - OF_THE_NAMESPACE


def plural(kind: str) -> str:
    return f"{kind.lower()}s"


def a_trader(**changes: Any) -> dict[str, Any]:
    data = {"data_source": "generated", "interval": "1h", "seed": 9, "speed": 20, "bars": 50_000}
    return a_document(data=data, **changes)


def pod_uids(release: Release) -> set[str]:
    found = release.items("pods", "--selector", "app.kubernetes.io/name=tradingbot")
    return {pod["metadata"]["uid"] for pod in found}


def wait_for_operator(release: Release) -> None:
    release.kubectl("rollout", "status", f"deployment/{release.operator}", "--timeout=120s", timeout=150)


def helm(release: Release, *words: str, values: dict[str, Any] | None = None, timeout: int = 240) -> str:
    options = () if values is None else ("--values=-",)
    given = None if values is None else json.dumps(values)
    return release.cluster.run("helm", *words, "--namespace", release.namespace, *options, stdin=given, timeout=timeout)


@dataclass(frozen=True)
class Traders:
    """Bots that trade; whatever happens to the operator, their pods stay the same and go on."""

    fleet: Fleet
    ids: tuple[int, ...]
    pods: set[str]

    @classmethod
    def begin(cls, fleet: Fleet, *symbols: str) -> "Traders":
        ids = tuple(fleet.insert(a_trader(symbol=symbol)) for symbol in symbols)
        for bot_id in ids:
            fleet.wait_ready(bot_id)
            fleet.wait_traded(bot_id)
        return cls(fleet, ids, pod_uids(fleet.release))

    def assert_untouched(self, what: str) -> None:
        assert pod_uids(self.fleet.release) == self.pods, f"{what} made new pods"
        assert all(self.fleet.restarts(bot_id) == 0 for bot_id in self.ids)

    def assert_going_on(self, what: str) -> None:
        wait_for_operator(self.fleet.release)
        before = {bot_id: self.fleet.trade_count(bot_id) for bot_id in self.ids}
        for bot_id, count in before.items():
            self.fleet.wait_traded(bot_id, count + 1)
            assert self.fleet.release.get("tradingbot", f"bot-{bot_id}")
        self.assert_untouched(what)

    def assert_drained(self) -> None:
        for bot_id in self.ids:
            assert self.fleet.status(bot_id) == "stopped"
            assert self.fleet.metadata(bot_id)["stopped_by"] == "shutdown"


def test_a_fleet_goes_on_through_upgrade_trial_and_rollback_and_its_end_leaves_nothing(
    new_fleet, listable: list[str], cluster: Cluster
):
    (previous,) = PREVIOUS_CHARTS
    waiting = ("--wait", "--timeout=180s")
    neighbour: Fleet = new_fleet()
    fleet: Fleet = new_fleet()
    release, values = fleet.release, dict(fleet.release.values)
    neighbour.release.install()
    neighbours = Traders.begin(neighbour, "LTCUSDT")
    assert objects(release, listable) == set()

    helm(release, "install", release.name, str(previous), *waiting, values=values)
    traders = Traders.begin(fleet, "ETHUSDT", "BTCUSDT")
    assert len(traders.pods) == 2
    helm(release, "upgrade", release.name, str(CHART), *waiting, values=values)
    traders.assert_going_on("the upgrade")
    assert_a_trial_leaves_nothing(fleet)
    traders.assert_going_on("the trial")
    helm(release, "rollback", release.name, "1", *waiting)
    traders.assert_going_on("the rollback")
    helm(release, "upgrade", release.name, str(CHART), *waiting, values=values)

    started = time.monotonic()
    helm(release, "uninstall", release.name, "--wait")
    print(f"uninstall with two bots: {time.monotonic() - started:.1f} s")
    wait_until(lambda: not objects(release, listable), 60, "nothing left", tell=lambda: str(objects(release, listable)))
    traders.assert_drained()
    neighbours.assert_untouched("the uninstallation of another release")
    assert cluster.get("crd", CRD)


def rows_of(fleet: Fleet) -> list[tuple[Any, ...]]:
    return fleet.sql("SELECT id FROM trading_bots ORDER BY id")


def assert_a_trial_leaves_nothing(fleet: Fleet) -> None:
    rows, ((newest,),) = rows_of(fleet), fleet.sql("SELECT max(id) FROM trading_bots")
    started = time.monotonic()
    said = helm(fleet.release, "test", fleet.release.name)
    print(f"helm test: {time.monotonic() - started:.1f} s")
    assert re.search(r"Phase:\s+Succeeded", said)
    assert rows_of(fleet) == rows
    assert fleet.sql("SELECT email FROM usr_users WHERE email LIKE 'trial%'") == []
    assert fleet.sql(f"SELECT count(*) FROM bot_events WHERE bot_id > {newest}") == [(0,)]
    wait_until(lambda: len(fleet.release.items("tradingbots")) == len(rows), 30, "the end of the trial's TradingBot")


def test_bots_that_are_to_stay_trade_on_without_a_release_until_one_of_its_name_finds_them(
    new_fleet, listable: list[str]
):
    fleet: Fleet = new_fleet({"uninstall": {"stopBots": False}})
    release = fleet.release
    release.install()
    traders = Traders.begin(fleet, "ETHUSDT")
    (bot,) = release.items("tradingbots")

    helm(release, "uninstall", release.name, "--wait")
    wait_until(
        lambda: not release.items("pods", "--selector", "app.kubernetes.io/name=tradingbot-operator"), 60, "its end"
    )
    left = objects(release, listable)
    assert {item.partition("/")[0] for item in left} == {
        "tradingbots", "deployments", "replicasets", "pods", "serviceaccounts",
    }  # fmt: skip
    assert f"serviceaccounts/{release.operator}-bot" in left
    traders.fleet.wait_traded(traders.ids[0], fleet.trade_count(traders.ids[0]) + 1)

    helm(release, "install", release.name, str(CHART), "--wait", "--timeout=180s", values=dict(release.values))
    traders.assert_going_on("the reinstallation")
    assert [item["metadata"]["uid"] for item in release.items("tradingbots")] == [bot["metadata"]["uid"]]


def test_a_trial_that_fails_says_why_and_leaves_nothing(new_fleet, listable: list[str]):
    fleet: Fleet = new_fleet({"trial": {"timeoutSeconds": 10}})
    fleet.release.install()
    fleet.stop_operator()
    said = fleet.release.cluster.run(
        "helm", "test", fleet.release.name, "--namespace", fleet.release.namespace, "--logs", check=False, timeout=240
    )
    assert "nobody has started it" in said
    assert rows_of(fleet) == []
    assert fleet.sql("SELECT id FROM usr_users") == []
    helm(fleet.release, "uninstall", fleet.release.name, "--wait")
    wait_until(lambda: objects(fleet.release, listable) == set(), 60, "nothing left, the trial's pod included")


@dataclass(frozen=True)
class PrivateCharts:
    """Both charts reduced to their definition, under a name that nothing else has: the cluster's own is everybody's."""

    crd: str
    old: Path
    new: Path


@pytest.fixture
def private_charts(tmp_path: Path, cluster: Cluster) -> Iterator[PrivateCharts]:
    kind = f"Probe{random_suffix()}"
    (previous,) = PREVIOUS_CHARTS
    with tarfile.open(previous) as archive:
        archive.extractall(tmp_path, filter="data")
    old = reduced(tmp_path / CHART.name, tmp_path / "old", kind)
    crd = f"{kind.lower()}s.tradingbot.example"
    yield PrivateCharts(crd, old, reduced(CHART, tmp_path / "new", kind))
    cluster.kubectl("delete", "crd", crd, "--ignore-not-found")


def reduced(chart: Path, place: Path, kind: str) -> Path:
    """The definition's template and what it includes; the words that make it the cluster's own replaced."""
    (place / "templates").mkdir(parents=True)
    for path in (chart / "Chart.yaml", chart / "values.yaml", *(chart / "templates").glob("_*.tpl")):
        (place / path.relative_to(chart)).write_text(path.read_text())
    text = (chart / "templates" / "crd.yaml").read_text()
    for word, private in (
        ("tradingbot.dev", "tradingbot.example"),
        ("TradingBot", kind),
        ("tradingbots", f"{kind.lower()}s"),
        ("singular: tradingbot", f"singular: {kind.lower()}"),
        ("shortNames: [tb]", "shortNames: []"),
    ):
        text = text.replace(word, private)
    (place / "templates" / "crd.yaml").write_text(text)
    return place


def test_the_definition_is_upgraded_and_rolled_back_with_the_release_and_outlives_it(
    new_release, private_charts: PrivateCharts, cluster: Cluster
):
    crd, old, new = private_charts.crd, private_charts.old, private_charts.new
    release: Release = new_release()

    def columns() -> set[str]:
        definition = cluster.get("crd", crd)["spec"]["versions"][0]
        return {column["name"] for column in definition["additionalPrinterColumns"]}

    helm(release, "install", release.name, str(old), values={})
    before = columns()
    helm(release, "upgrade", release.name, str(new), values={})
    assert columns() - before >= {"Update", "Image", "Node"}
    other = f"x{release.name}"
    refused = cluster.run("helm", "install", other, str(new), "--namespace", release.namespace, check=False)
    assert f"belongs to the release {release.namespace}/{release.name}" in refused
    helm(release, "rollback", release.name, "1")
    assert columns() == before
    helm(release, "uninstall", release.name)
    assert columns() == before, "uninstalling took the definition, and with it every TradingBot, away"


def rights(release: Release, account: str) -> list[str]:
    """`kubectl auth can-i --list` without what every account may, names of the release replaced."""

    def listed(name: str) -> set[str]:
        subject = f"--as=system:serviceaccount:{release.namespace}:{name}"
        lines = release.kubectl("auth", "can-i", "--list", "--no-headers", subject).splitlines()
        return {re.sub(r"\s+", " ", line).strip() for line in lines}  # the columns are as wide as their widest word

    return sorted(line.replace(release.name, "RELEASE") for line in listed(account) - listed("nobody"))


def test_each_account_has_the_rights_of_the_golden_list(new_release, golden):
    release: Release = new_release({"migration": {"enabled": False}})
    helm(release, "install", release.name, str(CHART), values=dict(release.values))
    accounts = {"operator": release.operator, "bot": f"{release.operator}-bot"}
    found = {name: rights(release, account) for name, account in accounts.items()}
    golden("rights", found)
    assert found["bot"] == []
