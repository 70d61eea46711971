"""The chart's NetworkPolicies: what is denied, and what is opened to whom."""

from typing import Any

import pytest

from bot_operator.manifests import bot_labels
from support.chart import BOTH_WAYS, EVERYTHING, EXISTING, TRIAL, Rendering, selected


def policies(chart: Rendering, values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    stem = "fleet-tradingbot-operator"
    found = [item for item in chart.objects(values) if item["kind"] == "NetworkPolicy"]
    return {item["metadata"]["name"].removeprefix(stem).removeprefix("-") or "operator": item["spec"] for item in found}


def ports_of(spec: dict[str, Any]) -> set[int | str]:
    return {port["port"] for rule in spec.get("egress", []) for port in rule["ports"]}


def test_without_being_asked_the_chart_denies_nothing(chart):
    assert policies(chart, EXISTING) == {}


@pytest.mark.parametrize("own", [False, True], ids=["existing-secret", "own-postgresql"])
def test_every_pod_of_the_release_is_denied_everything_and_opened_what_it_needs(chart, own):
    values = {**EVERYTHING, "database": {}, **TRIAL} if own else EVERYTHING
    found = policies(chart, values)
    database = {"postgresql"} if own else {5432, 6432}
    assert set(found) == {"deny", "operator", "bots", "trial", "migrate", "farewell"} | (
        {"postgresql"} if own else set()
    )
    assert "ingress" not in found["deny"]
    assert "egress" not in found["deny"]
    assert ports_of(found["operator"]) == {53, 443, 6443, 465, 587, 3128} | database
    assert ports_of(found["bots"]) == {53, 443, 9443, 4001} | database
    assert ports_of(found["trial"]) == ports_of(found["migrate"]) == {53} | database
    assert ports_of(found["farewell"]) == {53, 443, 6443}
    for name, spec in found.items():
        assert spec["policyTypes"] == ["Ingress", "Egress"]
        assert bool(spec.get("ingress")) == (name in {"operator", "bots", "postgresql"})
    for name in ("operator", "bots"):
        (rule,) = found[name]["ingress"]
        assert rule["from"] == EVERYTHING["networkPolicy"]["metricsFrom"]


@BOTH_WAYS
def test_each_policy_selects_the_pods_that_it_is_for_and_no_other_releases(chart, values):
    on = {**values, "networkPolicy": {"enabled": True}}
    found = policies(chart, on)
    objects = chart.objects(on)
    pods = {
        item["metadata"].get("labels", {}).get("app.kubernetes.io/component"): item
        for item in [
            item["spec"]["template"] for item in objects if item["kind"] in {"Deployment", "StatefulSet", "Job"}
        ]
        + [item for item in objects if item["kind"] == "Pod"]
    }
    labels = {name: pod["metadata"]["labels"] for name, pod in pods.items()} | {"bots": bot_labels("fleet", 7)}
    policy_of = {"migration": "migrate"}
    for name, pod_labels in labels.items():
        meant = {"deny", policy_of.get(name, name)}
        assert {policy for policy, spec in found.items() if selected(spec["podSelector"], pod_labels)} == meant
    for foreign in (
        bot_labels("another", 7),
        {"app.kubernetes.io/instance": "fleet", "app.kubernetes.io/name": "nginx"},
    ):
        assert not [policy for policy, spec in found.items() if selected(spec["podSelector"], foreign)]


@pytest.mark.parametrize("opened", [{"to": [], "ports": []}, {"ports": []}, {"ports": None}])
def test_an_empty_list_of_ports_opens_nothing(chart, opened):
    closed = {"enabled": True, "venues": opened, "notifications": opened}
    found = policies(chart, {**EXISTING, "notifications": {"enabled": True}, "networkPolicy": closed})
    assert ports_of(found["bots"]) == {53, 5432, 6432}
    assert ports_of(found["operator"]) == {53, 5432, 6432, 443, 6443}
    rules = [rule for spec in found.values() for rule in spec.get("egress", [])]
    assert all(rule["ports"] for rule in rules), "to Kubernetes a rule without ports opens them all"


@pytest.mark.parametrize("name", ["dns", "apiServer", "database"])
@pytest.mark.parametrize("ports", [[], None])
def test_what_nothing_works_without_needs_a_port(chart, name, ports):
    said = chart.refusal({**EXISTING, "networkPolicy": {"enabled": True, name: {"ports": ports}}})
    assert f"/networkPolicy/{name}" in said


def test_bots_reach_no_private_network_unless_it_is_opened(chart):
    bots = policies(chart, {**EXISTING, "networkPolicy": {"enabled": True}})["bots"]
    (venues,) = [rule for rule in bots["egress"] if {port["port"] for port in rule["ports"]} == {443, 9443}]
    (four, _six) = [peer["ipBlock"] for peer in venues["to"]]
    assert four["cidr"] == "0.0.0.0/0"
    assert {"10.0.0.0/8", "169.254.0.0/16"} <= set(four["except"])
    assert bots["ingress"] == []
