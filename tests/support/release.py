"""A release of the chart in a namespace of its own, for tests. Values are plain mappings, merged over each other."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.cluster import CHART, PROJECT, Cluster, random_suffix

CRD = "tradingbots.tradingbot.dev"
#: As `scripts/package-chart` has packed them at their commits.
PREVIOUS_CHARTS = sorted((PROJECT / "tests" / "e2e" / "charts").glob("*.tgz"))


def merge(*documents: Mapping[str, Any]) -> dict[str, Any]:
    """Values over values, as Helm does it: mappings are merged, all else is replaced."""
    merged: dict[str, Any] = {}
    for document in documents:
        for key, value in document.items():
            old = merged.get(key)
            merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def install_crd(cluster: Cluster) -> None:
    """Put this tree's CRD there, beside Helm: releases of tests come and go, and share it."""
    values = ("--set", "database.existingSecret=none")
    manifest = cluster.run("helm", "template", "crd", CHART, *values, "--show-only", "templates/crd.yaml")
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=manifest)
    cluster.kubectl("wait", "--for=condition=Established", f"crd/{CRD}", "--timeout=30s")


@dataclass
class Release:
    """Name and namespace are random: nothing of it meets another test's."""

    cluster: Cluster
    values: Mapping[str, Any]
    database: str = ""
    name: str = field(default_factory=lambda: f"r{random_suffix()}")
    namespace: str = field(default_factory=lambda: f"tb-e2e-{random_suffix()}")

    @property
    def operator(self) -> str:
        return f"{self.name}-tradingbot-operator"

    def kubectl(self, *arguments: str, **options: Any) -> str:
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, **options)

    def get(self, *arguments: str, **options: Any) -> dict[str, Any]:
        return self.cluster.get(*arguments, "--namespace", self.namespace, **options)

    def items(self, *arguments: str) -> list[dict[str, Any]]:
        """The objects of a kind, as a list."""
        found: list[dict[str, Any]] = self.get(*arguments).get("items", [])
        return found

    def pods(self, bot_id: int) -> list[dict[str, Any]]:
        return self.items("pods", "--selector", f"tradingbot.dev/bot-id={bot_id}")

    def status(self, bot_id: int) -> dict[str, Any]:
        """What a TradingBot says of its bot; empty while there is none."""
        found: dict[str, Any] = self.get("tradingbot", f"bot-{bot_id}").get("status", {})
        return found

    def create_namespace(self) -> None:
        labels = {"pod-security.kubernetes.io/enforce": "restricted", "tradingbot.dev/e2e": "true"}
        metadata = {"name": self.namespace, "labels": labels}
        self.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def create_secret(self, name: str, **data: str) -> None:
        metadata = {"name": name, "namespace": self.namespace}
        self.cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data})

    def install(self, *options: str, timeout: int = 180) -> None:
        """Install or upgrade, and wait until all of it is ready."""
        command = ("helm", "upgrade", "--install", self.name, str(CHART), "--namespace", self.namespace, "--values=-")
        waiting = ("--wait", f"--timeout={timeout}s")
        self.cluster.run(*command, *waiting, *options, stdin=json.dumps(self.values), timeout=timeout + 60)

    def remove(self) -> None:
        """Release and namespace, with whatever is in it: no bot is waited for, since its namespace goes."""
        options = ("--namespace", self.namespace, "--ignore-not-found", "--no-hooks")
        self.cluster.run("helm", "uninstall", self.name, *options)
        self.cluster.kubectl("delete", "namespace", self.namespace, "--ignore-not-found", "--wait=false")

    def collect_logs(self, folder: Path) -> str:
        """Write what is known of the namespace to files; the part that is worth a look at once is returned."""
        folder.mkdir(parents=True, exist_ok=True)
        summary = self.kubectl("get", "tradingbots,deployments,jobs,pods,events", "--output=wide", check=False)
        (folder / "objects.txt").write_text(summary)
        (folder / "describe.txt").write_text(self.kubectl("describe", "tradingbots,deployments,pods", check=False))
        for pod in self.items("pods"):
            name = pod["metadata"]["name"]
            for suffix, previous in (("", "false"), (".previous", "true")):
                text = self.kubectl("logs", name, "--all-containers", f"--previous={previous}", check=False)
                (folder / f"{name}{suffix}.log").write_text(text)
        return f"{summary}\nlogs of every pod: {folder}"
