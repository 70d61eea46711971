"""Who is scraped where the chart makes the monitors: every process, and each once."""

from typing import Any

import pytest

from bot_operator.manifests import build_pod_template
from bot_operator.naming import Workload
from bot_operator.settings import parse_settings
from support.chart import EXISTING, Rendering

NOTIFYING = {"notifications": {"enabled": True, "existingSecret": "channels"}}
BOTH_MONITORS = pytest.mark.parametrize("kind", ["podMonitor", "serviceMonitor"])


def with_monitor(kind: str, **values: Any) -> dict[str, Any]:
    token = {"name": "scrape", "key": "bearer"}
    return {**EXISTING, **values, "monitoring": {kind: {"enabled": True, "tokenSecret": token}}}


def endpoints(chart: Rendering, kind: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    """Of the operator's pods."""
    if kind == "podMonitor":
        spec = chart.one("PodMonitor", values)["spec"]
    else:
        spec = chart.one("ServiceMonitor", values, "fleet-tradingbot-operator-metrics")["spec"]
    return list(spec["podMetricsEndpoints" if kind == "podMonitor" else "endpoints"])


@BOTH_MONITORS
def test_the_container_that_delivers_messages_is_scraped_where_it_runs(chart, kind):
    values = with_monitor(kind, **NOTIFYING)
    containers = chart.one("Deployment", values)["spec"]["template"]["spec"]["containers"]
    ports = [port["name"] for container in containers for port in container["ports"]]
    found = endpoints(chart, kind, values)
    assert [endpoint["port"] for endpoint in found] == ports == ["http", "notify"]
    for endpoint in found:
        assert endpoint["path"] == "/metrics"
        assert endpoint["authorization"] == {"credentials": {"name": "scrape", "key": "bearer"}}
    assert [endpoint["port"] for endpoint in endpoints(chart, kind, with_monitor(kind))] == ["http"]


def test_the_service_of_the_operator_leads_to_each_container_and_that_of_the_bots_to_their_one(chart):
    values = with_monitor("serviceMonitor", **NOTIFYING)
    operator = chart.one("Deployment", values)["spec"]["template"]["spec"]["containers"]
    bot = build_pod_template(Workload.of([7]), parse_settings(chart.settings(values)))["spec"]["containers"]
    for name, containers in (("metrics", operator), ("bots", bot)):
        service = chart.one("Service", values, f"fleet-tradingbot-operator-{name}")["spec"]["ports"]
        listening = {port["name"]: port["containerPort"] for container in containers for port in container["ports"]}
        assert {port["targetPort"]: port["port"] for port in service} == listening
    bots = chart.one("ServiceMonitor", values, "fleet-tradingbot-operator-bots")["spec"]["endpoints"]
    assert [endpoint["port"] for endpoint in bots] == ["http"]


@pytest.mark.parametrize("labels", [None, {"grafana_dashboard": None}, {"grafana_dashboard": None, "board": "yes"}])
def test_a_dashboard_may_have_other_labels_than_the_sidecars_or_none(chart, labels):
    dashboards = {"enabled": True, "labels": labels}
    fleet = chart.one(
        "ConfigMap", {**EXISTING, "monitoring": {"dashboards": dashboards}}, "fleet-tradingbot-operator-fleet"
    )
    assert "grafana_dashboard" not in fleet["metadata"]["labels"]
    assert fleet["metadata"]["labels"].get("board") == (labels or {}).get("board")
    assert fleet["metadata"]["labels"]["app.kubernetes.io/instance"] == "fleet"
