"""The chart as it is handed out, and what of a release outlives it."""

import pytest

from support.chart import EXISTING, TRIAL

PERSISTENT = {"postgresql": {"enabled": True, "persistence": {"enabled": True}}}
#: A pod of a StatefulSet carries NAME-REVISION as a label, with a revision of ten characters at most.
LONGEST_OF_A_STATEFUL_SET = 63 - len("-") - 10


def test_the_password_outlives_the_release_with_the_data_that_know_it(chart):
    name = "fleet-tradingbot-operator-postgresql"
    kept = chart.one("Secret", PERSISTENT, name)["metadata"]
    assert kept["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert chart.one("StatefulSet", PERSISTENT, name)["spec"]["volumeClaimTemplates"]
    assert "annotations" not in chart.one("Secret", TRIAL, name)["metadata"]


@pytest.mark.parametrize("length", [1, 21, 22, 40, 53])
def test_the_trial_databases_name_leaves_room_for_the_revision(chart, length):
    release = "r" * length
    objects = chart.objects({**TRIAL, "networkPolicy": {"enabled": True}}, release)
    (name,) = {item["metadata"]["name"] for item in objects if item["kind"] == "StatefulSet"}
    assert len(name) <= LONGEST_OF_A_STATEFUL_SET
    assert name.endswith("-postgresql")
    assert {item["metadata"]["name"] for item in objects if item["kind"] == "Secret"} == {name}
    (secret,) = [item for item in objects if item["kind"] == "Secret"]
    assert f"@{name}:5432/" in secret["stringData"]["url"]
    (operator,) = [item for item in objects if item["kind"] == "Deployment"]
    environment = operator["spec"]["template"]["spec"]["containers"][0]["env"]
    assert environment[0]["valueFrom"]["secretKeyRef"] == {"name": name, "key": "url"}
    if length <= 21:
        assert name == f"{release}-tradingbot-operator-postgresql"


def test_the_operator_may_change_its_own_lease_only(chart):
    rules = chart.one("Role", EXISTING)["rules"]
    rights = {(*rule["resources"], *rule.get("resourceNames", [])): rule["verbs"] for rule in rules}
    lease = chart.settings(EXISTING)["leader"]["leaseName"]
    assert rights["leases",] == ["create"]
    assert rights["leases", lease] == ["get", "patch"]


def test_the_operator_has_no_right_that_it_never_uses(chart):
    rules = chart.one("Role", EXISTING)["rules"]
    assert {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]} in rules
    assert {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch", "delete"]} in rules
    assert "events.k8s.io" not in {group for rule in rules for group in rule["apiGroups"]}
