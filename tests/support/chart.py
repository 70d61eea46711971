"""The chart as helm renders it, without a cluster; and values that are worth a look."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from support.cluster import CHART

EXISTING = {"database": {"existingSecret": "trading-database"}}
TRIAL = {"postgresql": {"enabled": True}}
EVERYTHING = {
    "database": {"existingSecret": "trading-database", "listenSecretKey": "direct"},
    "commonLabels": {"team": "trading"},
    "operator": {
        "podLabels": {"tier": "control"},
        "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": {"pool": "control"},
        "tolerations": [{"operator": "Exists"}],
    },
    "bot": {"podDisruptionBudget": {"enabled": True}},
    "networkPolicy": {
        "enabled": True,
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        "extraEgress": {"bots": [{"ports": [{"port": 4001}]}], "operator": [{"ports": [{"port": 3128}]}]},
    },
    "notifications": {"enabled": True},
}
BOTH_WAYS = pytest.mark.parametrize("values", [EXISTING, TRIAL], ids=["existing-secret", "own-postgresql"])
ALL_WAYS = pytest.mark.parametrize(
    "values",
    [EXISTING, TRIAL, EVERYTHING, {**EVERYTHING, "database": {}, **TRIAL}],
    ids=["existing-secret", "own-postgresql", "everything", "everything-with-own-postgresql"],
)


class Rendering:
    def __init__(self, helm: str) -> None:
        self._helm = helm

    def run(
        self, command: str, values: dict[str, Any], *options: str, release: str = "fleet"
    ) -> subprocess.CompletedProcess[str]:
        words = [self._helm, command, *([release] if command == "template" else []), str(CHART), *options]
        words += ["--values=-", "--namespace=trading"]
        return subprocess.run(words, input=json.dumps(values), capture_output=True, text=True, check=False)

    def objects(self, values: dict[str, Any], release: str = "fleet") -> list[dict[str, Any]]:
        done = self.run("template", values, release=release)
        assert done.returncode == 0, done.stderr
        return [document for document in yaml.safe_load_all(done.stdout) if document]

    def one(self, kind: str, values: dict[str, Any], name: str = "fleet-tradingbot-operator") -> dict[str, Any]:
        found = [item for item in self.objects(values) if item["kind"] == kind and item["metadata"]["name"] == name]
        assert len(found) == 1, f"{kind} {name}: {len(found)}"
        return found[0]

    def settings(self, values: dict[str, Any]) -> dict[str, Any]:
        settings: dict[str, Any] = json.loads(self.one("ConfigMap", values)["data"]["settings.json"])
        return settings

    def refusal(self, values: dict[str, Any]) -> str:
        done = self.run("template", values)
        assert done.returncode != 0, "it was accepted"
        return done.stderr


def pod_specs(objects: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for item in objects:
        if item["kind"] in {"Deployment", "StatefulSet", "Job"}:
            yield item["spec"]["template"]["spec"]
        if item["kind"] == "Pod":
            yield item["spec"]


def selected(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    exact = all(labels.get(key) == value for key, value in selector["matchLabels"].items())
    among = all(labels.get(term["key"]) in term["values"] for term in selector.get("matchExpressions", []))
    return exact and among
