"""The chart on a real cluster: what it installs is accepted, runs, and takes itself away again."""

import json

import yaml

from support.chart import ALL_WAYS
from support.cluster import CHART, Cluster
from support.release import Release
from support.waiting import wait_until


@ALL_WAYS
def test_the_api_server_accepts_every_object_of_the_chart(cluster: Cluster, values):
    command = ("helm", "template", "trial", CHART, "--namespace", "default", "--values=-")
    manifest = cluster.run(*command, stdin=json.dumps(values))
    answer = cluster.kubectl(
        "apply", "--dry-run=server", "--server-side", "--force-conflicts", "--filename=-", stdin=manifest
    )
    made = [document for document in yaml.safe_load_all(manifest) if document]
    assert answer.count("serverside-applied (server dry run)") == len(made)
    assert "deployment.apps/trial-tradingbot-operator serverside-applied" in answer


def test_the_definition_is_established_and_prints_the_fleet(cluster: Cluster):
    crd = cluster.get("crd", "tradingbots.tradingbot.dev")
    conditions = {item["type"]: item["status"] for item in crd["status"]["conditions"]}
    columns = [column["name"].upper() for column in crd["spec"]["versions"][0]["additionalPrinterColumns"]]
    assert conditions["Established"] == "True"
    assert "NonStructuralSchema" not in conditions
    assert columns == [
        "SYMBOL",
        "STRATEGY",
        "MODE",
        "PHASE",
        "HALTED",
        "BALANCE",
        "PNL",
        "HEARTBEAT",
        "UPDATE",
        "IMAGE",
        "NODE",
        "MESSAGE",
        "AGE",
    ]


def test_a_release_installs_becomes_ready_and_runs_bots(new_release):
    release: Release = new_release()
    release.install()

    def ready() -> int:
        return int(release.get("deployment", release.operator)["status"].get("readyReplicas", 0))

    wait_until(lambda: ready() == 2, 60, "both operators ready")  # Helm waits for one

    inserted = release.kubectl("exec", f"deploy/{release.operator}", "--", "tradingbot", "bots", "sample")
    ids = [int(line.split()[0]) for line in inserted.splitlines()]
    for bot_id in ids:
        wait_until(lambda bot_id=bot_id: release.status(bot_id).get("phase") == "Running", 60, f"bot {bot_id} running")

    assert len(ids) == 3
    assert release.items("jobs") == []  # the migration succeeded before anything started, and is gone


def test_the_operator_may_do_what_it_must_and_nothing_else(new_release):
    release: Release = new_release({"migration": {"enabled": False}})
    command = ("helm", "install", release.name, CHART, "--namespace", release.namespace, "--values=-")
    release.cluster.run(*command, stdin=json.dumps(release.values))
    account = f"--as=system:serviceaccount:{release.namespace}:{release.operator}"

    def may(verb: str, resource: str, *options: str) -> bool:
        return release.kubectl("auth", "can-i", verb, resource, account, *options, check=False).strip().endswith("yes")

    assert may("patch", "tradingbots.tradingbot.dev", "--subresource=status")
    assert may("delete", "deployments.apps")
    assert may("create", "events")
    assert not may("get", "secrets")
    assert not may("list", "secrets")
    assert not may("create", "pods")
    assert not may("list", "tradingbots.tradingbot.dev", "--all-namespaces")
    assert not may("list", "pods", "--namespace=kube-system")


def test_a_second_owner_of_the_definition_is_refused_in_words_that_lead_on(new_release):
    release: Release = new_release({"crds": {"install": True}})
    command = ("helm", "install", release.name, CHART, "--namespace", release.namespace, "--values=-")
    said = release.cluster.run(*command, stdin=json.dumps(release.values), check=False)
    assert "crds.install=false" in said
    assert f"meta.helm.sh/release-name={release.name}" in said
