"""A real Prometheus on a random port with the chart's alert rules, and what those rules and the dashboards name."""

import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.cluster import CHART
from support.postgres import free_port
from support.waiting import wait_until

MONITORING = CHART / "monitoring"
RULES = MONITORING / "alerts.yaml"
DASHBOARDS = tuple(MONITORING / f"{name}.json" for name in ("fleet", "bot", "operator"))


def program(name: str) -> str:
    """`prometheus` or `promtool`; without it the test is skipped, and fails in CI."""
    found = shutil.which(name)
    if found is None:
        message = f"MONITORING NOT TESTED: no {name} on this machine (Debian: apt-get install prometheus)"
        if os.environ.get("REQUIRE_CLUSTER") or os.environ.get("CI"):
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
    return found


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program("promtool"), *arguments], capture_output=True, text=True, check=False)


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def impatient_rules(folder: Path) -> Path:
    """A copy of the rules without `for`, looked at each second: what is wrong fires at once."""
    document = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    for group in document["groups"]:
        group["interval"] = "1s"
        for rule in group["rules"]:
            rule.pop("for", None)
    copy = folder / "alerts.yaml"
    copy.write_text(yaml.safe_dump(document), encoding="utf-8")
    return copy


class Prometheus:
    """One server that scrapes each second, with its data in `folder`. Use it as a context."""

    def __init__(self, folder: Path, targets: dict[str, list[str]], rule_file: Path, token: str | None = None) -> None:
        """`targets`: addresses by the name of their job. `token` is sent as a bearer token, from a file."""
        self.url = f"http://127.0.0.1:{free_port()}"
        self._folder = folder
        self._config = folder / "prometheus.yaml"
        self._config.write_text(json.dumps(self._settings(targets, rule_file, token)), encoding="utf-8")
        self.log = folder / "prometheus.log"

    def _settings(self, targets: dict[str, list[str]], rule_file: Path, token: str | None) -> dict[str, Any]:
        more: dict[str, Any] = {}
        if token is not None:
            file = self._folder / "token"
            file.write_text(token, encoding="utf-8")
            more = {"authorization": {"credentials_file": str(file)}}
        jobs = [{"job_name": job, "static_configs": [{"targets": at}]} | more for job, at in targets.items()]
        return {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(rule_file)],
            "scrape_configs": jobs,
        }

    def __enter__(self) -> "Prometheus":
        words = [program("prometheus"), f"--config.file={self._config}", f"--storage.tsdb.path={self._folder / 'data'}"]
        words.append(f"--web.listen-address={self.url.removeprefix('http://')}")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=log, cwd=self._folder)
        try:
            wait_until(self._ready, 30, "Prometheus", tell=self.log.read_text)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def ask(self, path: str, **parameters: str) -> Any:
        """The `data` of an answer; what Prometheus said where it refused."""
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error

    def series(self, expression: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return found

    def firing(self) -> dict[str, list[dict[str, Any]]]:
        """The alerts that fire, by name."""
        found: dict[str, list[dict[str, Any]]] = {}
        for alert in self.ask("alerts")["alerts"]:
            if alert["state"] == "firing":
                found.setdefault(alert["labels"]["alertname"], []).append(alert)
        return found


def scrape(port: int, token: str) -> str:
    """What a process on this machine exposes to whoever has the token."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.read().decode())


def panels(dashboard: Path) -> list[dict[str, Any]]:
    """The panels that show something, rows aside."""
    document = json.loads(dashboard.read_text(encoding="utf-8"))
    return [panel for panel in document["panels"] if panel["type"] != "row"]


def expressions(dashboard: Path) -> Iterator[tuple[str, str]]:
    """The title of each panel with each of its expressions as Prometheus takes it: Grafana's variables filled in."""
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield panel["title"], filled(target["expr"])


def filled(expression: str, *, job: str = "tradingbot.*", bot: str = "1") -> str:
    for name, value in (("$__rate_interval", "1m"), ("$job", job), ("$bot", bot)):
        expression = expression.replace(name, value)
    return expression


def metric_names(expression: str) -> set[str]:
    """The names of our metrics in an expression, label values aside."""
    return set(re.findall(r"\btradingbot_\w+", re.sub(r'"[^"]*"', '""', expression)))


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Each of our metrics in an expression with the labels that its braces name."""
    for name, matchers in re.findall(r"\b(tradingbot_\w+)(?:\{([^}]*)\})?", expression):
        yield name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", re.sub(r'"[^"]*"', '""', matchers)))


def grouping_labels(expression: str) -> set[str]:
    """The labels that an expression groups or joins by."""
    lists = re.findall(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)", expression)
    return {label.strip() for words in lists for label in words.split(",")}


def exposed(*texts: str) -> dict[str, set[str]]:
    """The series that expositions promise, by name, with the labels seen; a family without samples has none."""
    text = "\n".join(texts)
    found: dict[str, set[str]] = {}
    for name, kind in re.findall(r"^# TYPE (\S+) (\w+)$", text, re.MULTILINE):
        endings = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        found |= {name + ending: set() for ending in endings}
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", text, re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found
