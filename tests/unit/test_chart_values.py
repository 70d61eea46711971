"""Which values the chart takes: what the operator takes as well, and what Kubernetes does."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from bot_core.models.errors import FatalError
from bot_operator.settings import parse_settings
from support.chart import EVERYTHING, EXISTING, Rendering


def settings_with(*path: str, value: object) -> dict[str, Any]:
    """Values of a release in which this one is set."""
    for key in reversed(path):
        value = {key: value}
    assert isinstance(value, dict)
    return {**EXISTING, **value}


def taken(chart: Rendering, values: dict[str, Any]) -> bool:
    return chart.run("template", values).returncode == 0


def taken_by_the_operator(settings: dict[str, Any], section: str, changes: dict[str, object]) -> bool:
    bot = settings["bot"]
    changed = bot | {"policy": bot["policy"] | changes} if section == "policy" else bot
    leader = settings["leader"] | changes if section == "leader" else settings["leader"]
    try:
        parse_settings(settings | {"bot": changed, "leader": leader})
    except FatalError:
        return False
    return True


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        (
            "maxCpu",
            ["2", "0.25", "1m", "999999m", "1k", "1000"],
            ["0", "0.0005", "0.5m", "1001", "1G", "two", "-1", ""],
        ),
        (
            "maxMemory",
            ["16Mi", "16777216", "0.5Gi", "20000Ki", "17T", "16Ti"],
            ["1M", "16777215", "0", "18T", "17Ti", "1Pi", "1gb"],
        ),
    ],
)
def test_the_chart_takes_the_quantities_that_the_operator_takes(chart, key, good, bad):
    settings = chart.settings(EXISTING)
    for quantity in [*good, *bad]:
        values = settings_with("bot", "policy", key, value=quantity)
        assert taken_by_the_operator(settings, "policy", {key: quantity}) is (quantity in good)
        assert taken(chart, values) is (quantity in good), quantity
    assert key in chart.refusal(settings_with("bot", "policy", key, value=bad[0]))


@pytest.mark.parametrize(
    ("key", "number", "text"),
    [("maxCpu", 2, "2"), ("maxCpu", 0.25, "0.25"), ("maxMemory", 2147483648, "2147483648")],
)
def test_a_quantity_without_quotes_is_the_text_that_the_operator_reads(chart, key, number, text):
    settings = chart.settings(settings_with("bot", "policy", key, value=number))
    assert settings["bot"]["policy"][key] == text
    parse_settings(settings)


@pytest.mark.parametrize(
    ("lease", "renew", "good"),
    [(10, 3.5, True), (6, 2, True), (6, 2.1, True), (10, 3.6, False), (5, 2, False), (10, 5, False), (3, 2, False)],
)
def test_the_chart_takes_the_times_of_an_election_that_the_operator_takes(chart, lease, renew, good):
    times = {"leaseSeconds": lease, "renewSeconds": renew}
    assert taken_by_the_operator(chart.settings(EXISTING), "leader", times) is good
    values = settings_with("operator", "leader", value=times)
    if good:
        assert chart.settings(values)["leader"].items() >= times.items()
    else:
        assert f"renewSeconds {renew} is too long for leaseSeconds {lease}" in chart.refusal(values)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"nameOverride": "My_Bots"}, "/nameOverride"),
        ({"nameOverride": "bots-"}, "/nameOverride"),
        ({"commonLabels": {"a": "bad value!"}}, "/commonLabels/a"),
        ({"commonLabels": {"a": "x" * 64}}, "/commonLabels/a"),
        ({"commonLabels": {"not a key": "a"}}, "not a key"),
        ({"commonLabels": {"app.kubernetes.io/version": "1"}}, "app.kubernetes.io/version"),
        ({"commonLabels": {"helm.sh/chart": "x"}}, "helm.sh/chart"),
        ({"commonLabels": {"tradingbot.dev/bot-id": "1"}}, "tradingbot.dev/bot-id"),
        ({"operator": {"podLabels": {"app.kubernetes.io/component": "x"}}}, "app.kubernetes.io/component"),
    ],
)
def test_what_kubernetes_would_refuse_or_the_chart_needs_itself_is_refused(chart, values, named):
    assert f"{named}'" in chart.refusal({**EXISTING, **values})


def test_labels_that_the_chart_does_not_set_are_free(chart):
    labels = {"app.kubernetes.io/part-of": "desk", "Team": "A_b.c", "empty": ""}
    found = chart.one("Deployment", {**EXISTING, "commonLabels": labels})
    assert found["metadata"]["labels"].items() >= labels.items()
    assert found["spec"]["template"]["metadata"]["labels"].items() >= labels.items()


class Once(yaml.SafeLoader):
    """YAML whose mappings have each key once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT002
        keys = [self.construct_object(key) for key, _ in node.value]
        assert len(keys) == len(set(keys)), keys
        return super().construct_mapping(node, deep)


def rendered(chart: Rendering, values: dict[str, Any], release: str = "fleet") -> Iterator[dict[str, Any]]:
    done = chart.run("template", values, release=release)
    assert done.returncode == 0, done.stderr
    return (item for item in yaml.load_all(done.stdout, Once) if item)


def test_a_key_that_is_given_twice_is_there_once_and_the_nearer_one_counts(chart):
    everything = {
        **EVERYTHING,
        "commonLabels": {"team": "trading", "release": "all"},
        "operator": {
            "podLabels": {"team": "control"},
            "podAnnotations": {"kubectl.kubernetes.io/default-container": "notify"},
        },
        "monitoring": {
            "podMonitor": {"enabled": True, "labels": {"release": "prom"}},
            "rules": {"enabled": True, "labels": {"app.kubernetes.io/instance": "prom"}},
            "dashboards": {"enabled": True, "labels": {"team": "grafana"}},
        },
    }
    found = {item["kind"]: item for item in rendered(chart, everything)}
    pod = found["Deployment"]["spec"]["template"]["metadata"]
    assert (pod["labels"]["team"], found["Deployment"]["metadata"]["labels"]["team"]) == ("control", "trading")
    assert pod["annotations"]["kubectl.kubernetes.io/default-container"] == "notify"
    assert pod["annotations"]["checksum/settings"]
    assert found["PodMonitor"]["metadata"]["labels"]["release"] == "prom"
    assert found["PrometheusRule"]["metadata"]["labels"]["app.kubernetes.io/instance"] == "prom"
    dashboards = [item for item in rendered(chart, everything) if item["metadata"]["labels"]["team"] == "grafana"]
    assert len(dashboards) == 3


def test_a_release_whose_name_looks_like_a_number_has_labels_of_text(chart):
    values = {**EVERYTHING, "monitoring": {"podMonitor": {"enabled": True}}}
    for item in rendered(chart, values, "7"):
        assert item["metadata"]["labels"]["app.kubernetes.io/instance"] == "7"
        selector = (item.get("spec") or {}).get("selector") or {}
        assert all(isinstance(value, str) for value in selector.get("matchLabels", {}).values())


def a_variable(secret: str) -> list[dict[str, Any]]:
    return [{"name": "X", "valueFrom": {"secretKeyRef": {"name": secret, "key": "x"}}}]


def a_projection(secret: str) -> list[dict[str, Any]]:
    sources = [{"configMap": {"name": "bot-map"}}, {"secret": {"name": secret}}]
    return [{"name": "v", "projected": {"sources": sources}}]


@pytest.mark.parametrize(
    ("values", "secret"),
    [
        ({"monitoring": {"serviceMonitor": {"tokenSecret": {"name": "bot-token"}}}}, "bot-token"),
        ({"operator": {"env": a_variable("bot-proxy")}}, "bot-proxy"),
        ({"notifications": {"env": a_variable("bot-mail")}}, "bot-mail"),
        ({"bot": {"volumes": a_projection("bot-volume")}}, "bot-volume"),
    ],
)
def test_a_prefix_covers_no_secret_of_the_release_however_it_is_named(chart, values, secret):
    said = chart.refusal({**EXISTING, **values})
    assert f"would let any row have the Secret {secret}, which is the release's own" in said


@pytest.mark.parametrize(
    "bot",
    [
        {"env": [{"name": "X", "value": "1", "valueFrom": None}]},
        {"env": [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}, "secretKeyRef": None}}]},
        {"volumes": [{"name": "v", "emptyDir": {}, "secret": None, "projected": None}]},
    ],
)
def test_what_names_no_secret_may_say_so(chart, bot):
    assert chart.settings({**EXISTING, "bot": bot})["bot"]["credentials"] == {"secretPrefixes": ["bot-"]}
