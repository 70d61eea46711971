"""The chart, rendered by helm without a cluster."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot_operator.manifests import bot_labels
from support.cluster import CHART, find_program
from support.prometheus import DASHBOARDS, RULES

EXISTING = {"database": {"existingSecret": "trading-database"}}
TRIAL = {"postgresql": {"enabled": True}}
BOTH_WAYS = pytest.mark.parametrize("values", [EXISTING, TRIAL], ids=["existing-secret", "own-postgresql"])


@pytest.fixture(scope="session")
def helm() -> str:
    program = find_program("helm")
    if program is None:
        reason = "helm is neither on PATH nor compiled by tests/e2e/cluster/onenode"
        if os.environ.get("REQUIRE_CLUSTER") == "1":
            pytest.fail(f"REQUIRE_CLUSTER=1, but {reason}", pytrace=False)
        pytest.skip(f"CHART TESTS NOT RUN: {reason}")
    return program


class Rendering:
    def __init__(self, helm: str) -> None:
        self._helm = helm

    def run(self, command: str, values: dict[str, Any], release: str = "fleet") -> subprocess.CompletedProcess[str]:
        words = [self._helm, command, *([release] if command == "template" else []), str(CHART)]
        words += ["--values=-", "--namespace=trading"]
        return subprocess.run(words, input=json.dumps(values), capture_output=True, text=True, check=False)

    def objects(self, values: dict[str, Any], release: str = "fleet") -> list[dict[str, Any]]:
        done = self.run("template", values, release)
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


@pytest.fixture
def chart(helm: str) -> Rendering:
    return Rendering(helm)


def pod_specs(objects: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for item in objects:
        if item["kind"] in {"Deployment", "StatefulSet", "Job"}:
            yield item["spec"]["template"]["spec"]


@BOTH_WAYS
def test_lint_finds_nothing(chart, values):
    done = chart.run("lint", values)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


def test_without_a_database_it_fails_with_a_sentence(chart):
    said = chart.refusal({})
    assert "set database.existingSecret to the name of a Secret that holds the database URL" in said
    assert "postgresql.enabled=true" in said


def test_two_databases_are_refused(chart):
    assert "choose one database" in chart.refusal({**EXISTING, **TRIAL})


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"databse": {"existingSecret": "x"}}, "databse"),
        ({"operator": {"pollSeconds": 0}}, "pollSeconds"),
        ({"operator": {"logLevel": "LOUD"}}, "logLevel"),
        ({"bot": {"image": {"repository": ""}}}, "repository"),
        ({"bot": {"image": {"pullPolicy": "Sometimes"}}}, "pullPolicy"),
        ({"bot": {"terminationGracePeriodSeconds": 0}}, "terminationGracePeriodSeconds"),
        ({"bot": {"env": [{"value": "no name"}]}}, "env"),
        ({"bot": {"replicas": 2}}, "replicas"),
        ({"bot": {"plugins": {"names": {"rules": ["X"]}}}}, "rules"),
        ({"bot": {"plugins": {"names": {"entries": "X"}}}}, "entries"),
        ({"postgresql": {"runAsUser": 0}}, "runAsUser"),
        ({"notifications": {"token": "x"}}, "token"),
        ({"imagePullSecrets": ["plain-name"]}, "imagePullSecrets"),
        ({"monitoring": {"rules": {"enabled": "yes"}}}, "enabled"),
        ({"monitoring": {"podMonitor": {"interval": "soon"}}}, "interval"),
    ],
)
def test_a_wrong_value_is_refused_by_name(chart, values, named):
    assert named in chart.refusal({**EXISTING, **values} if "database" not in values else values)


@BOTH_WAYS
def test_every_pod_fits_restricted_pod_security(chart, values):
    specs = list(pod_specs(chart.objects(values)))
    assert len(specs) == (3 if values is TRIAL else 2)
    for spec in specs:
        pod = spec["securityContext"]
        assert pod["runAsNonRoot"] is True
        assert pod["runAsUser"] > 0
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]


@BOTH_WAYS
def test_only_the_operator_gets_a_token(chart, values):
    notifying = values | {"notifications": {"enabled": True, "existingSecret": "channels"}}
    holders = []
    for spec in pod_specs(chart.objects(notifying)):
        assert spec["automountServiceAccountToken"] is False
        tokens = {volume["name"] for volume in spec["volumes"] if "projected" in volume}
        holders += [c["name"] for c in spec["containers"] if tokens & {mount["name"] for mount in c["volumeMounts"]}]
    assert holders == ["operator"]
    assert chart.one("ServiceAccount", values, "fleet-tradingbot-operator-bot")["automountServiceAccountToken"] is False


def test_rights_end_at_the_namespace_and_name_every_verb(chart):
    objects = chart.objects(EXISTING)
    assert not [item for item in objects if item["kind"].startswith("ClusterRole")]
    rules = chart.one("Role", EXISTING)["rules"]
    words = {word for rule in rules for key in ("apiGroups", "resources", "verbs") for word in rule[key]}
    assert "*" not in words
    assert "secrets" not in words


def test_the_password_is_in_the_secret_and_nowhere_else(chart):
    objects = chart.objects(TRIAL)
    secret = next(item for item in objects if item["kind"] == "Secret")
    password = secret["stringData"]["password"]
    assert re.fullmatch("[A-Za-z0-9]{32}", password)
    assert secret["stringData"]["url"].startswith(f"postgresql+psycopg://tradingbot:{password}@")
    assert password not in json.dumps([item for item in objects if item["kind"] != "Secret"])


def test_with_a_secret_of_yours_the_chart_makes_none(chart):
    assert not [item for item in chart.objects(EXISTING) if item["kind"] in {"Secret", "StatefulSet", "Service"}]


def test_the_settings_are_what_the_operator_reads(chart):
    bot = {
        "nodeSelector": {"pool": "bots"},
        "env": [{"name": "A", "value": "b"}],
        "image": {"repository": "i", "tag": "1"},
    }
    settings = chart.settings({"database": {"existingSecret": "s", "secretKey": "dsn"}, "bot": bot})
    assert settings["namespace"] == "trading"
    assert settings["release"] == "fleet"
    assert settings["database"] == {"secretName": "s", "secretKey": "dsn"}
    assert (settings["pollSeconds"], settings["statusSeconds"], settings["logLevel"]) == (30, 15, "INFO")
    assert settings["bot"] == {
        "image": "i:1",
        "imagePullPolicy": "IfNotPresent",
        "imagePullSecrets": [],
        "serviceAccountName": "fleet-tradingbot-operator-bot",
        "resources": {},
        "nodeSelector": {"pool": "bots"},
        "tolerations": [],
        "volumes": [],
        "volumeMounts": [],
        "env": [{"name": "A", "value": "b"}],
        "terminationGracePeriodSeconds": 30,
        "credentials": {"secretPrefixes": ["bot-"]},
        "policy": {
            "maxCpu": "1",
            "maxMemory": "1Gi",
            "nodeSelectorKeys": [],
            "tolerationKeys": [],
            "priorityClasses": [],
            "labelPrefixes": ["bots.tradingbot.dev/"],
        },
    }


def test_the_operator_itself_accepts_the_rendered_settings(chart):
    settings_of_operator = pytest.importorskip("bot_operator.settings")
    document = chart.settings(TRIAL)
    assert settings_of_operator.parse_settings(document).database.secret_name == "fleet-tradingbot-operator-postgresql"


def test_a_configmap_of_plugins_is_mounted_in_every_bot_and_the_operator_knows_their_names(chart):
    bot = {
        "plugins": {"configMap": "our-rules", "names": {"entries": ["OurEntry"]}},
        "env": [{"name": "A", "value": "b"}],
    }
    settings = chart.settings({**EXISTING, "bot": bot})
    assert settings["bot"]["volumes"] == [{"name": "plugins", "configMap": {"name": "our-rules"}}]
    assert settings["bot"]["volumeMounts"] == [{"name": "plugins", "mountPath": "/plugins", "readOnly": True}]
    assert settings["bot"]["env"][1:] == [{"name": "TRADINGBOT_PLUGINS", "value": "/plugins"}]
    assert settings["plugins"]["entries"] == ["OurEntry"]
    assert settings["plugins"]["exits"] == []
    operator = chart.one("Deployment", {**EXISTING, "bot": bot})["spec"]["template"]["spec"]
    assert "our-rules" not in json.dumps(operator)


def test_changed_settings_make_a_new_operator_pod(chart):
    def checksum(values: dict[str, Any]) -> str:
        annotations = chart.one("Deployment", values)["spec"]["template"]["metadata"]["annotations"]
        return str(annotations["checksum/settings"])

    assert checksum(EXISTING) == checksum(EXISTING)
    assert checksum(EXISTING) != checksum({**EXISTING, "operator": {"pollSeconds": 7}})


def test_two_operators_run_of_which_one_leads_and_each_is_probed(chart):
    spec = chart.one("Deployment", EXISTING)["spec"]
    container = spec["template"]["spec"]["containers"][0]
    environment = {item["name"]: item for item in container["env"]}
    assert spec["replicas"] == 2
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
    assert environment["POD_NAME"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert environment["DATABASE_URL"]["valueFrom"]["secretKeyRef"] == {"name": "trading-database", "key": "url"}
    assert environment["OPERATOR_SETTINGS"]["value"] == "/etc/tradingbot-operator/settings.json"


NOTIFYING = {
    **EXISTING,
    "notifications": {"enabled": True, "existingSecret": "channels", "env": [{"name": "SMTP_SERVER", "value": "mail"}]},
}


def test_messages_are_delivered_by_a_container_of_its_own_which_alone_has_the_tokens(chart):
    operator, notify = chart.one("Deployment", NOTIFYING)["spec"]["template"]["spec"]["containers"]
    environment = {item["name"]: item for item in notify["env"]}
    assert (operator["name"], notify["name"]) == ("operator", "notify")
    assert notify["command"] == ["tradingbot", "notify", "--port", "8081"]
    assert notify["image"] == operator["image"]
    assert notify["envFrom"] == [{"secretRef": {"name": "channels"}}]
    assert environment["SMTP_SERVER"]["value"] == "mail"
    assert environment["DATABASE_URL"]["valueFrom"]["secretKeyRef"] == {"name": "trading-database", "key": "url"}
    assert environment["POD_UID"]["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.uid"}}
    assert notify["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "notify"}
    assert "readinessProbe" not in notify, "a channel that is down must not make the operator unready"
    assert {mount["name"] for mount in notify["volumeMounts"]} & {m["name"] for m in operator["volumeMounts"]} == set()
    assert "envFrom" not in operator
    assert "channels" not in json.dumps([operator, chart.settings(NOTIFYING)])


def test_the_container_that_delivers_fits_restricted_pod_security_and_is_there_only_when_asked_for(chart):
    notify = chart.one("Deployment", NOTIFYING)["spec"]["template"]["spec"]["containers"][1]
    assert notify["securityContext"]["readOnlyRootFilesystem"] is True
    assert notify["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert notify["resources"]["limits"]["memory"]
    assert len(chart.one("Deployment", EXISTING)["spec"]["template"]["spec"]["containers"]) == 1


def test_a_database_that_is_there_is_migrated_before_anything_starts(chart):
    job = chart.one("Job", EXISTING, "fleet-tradingbot-operator-migrate")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["tradingbot"]  # the image's own entry point is the operator
    assert container["args"] == ["db", "upgrade", "--wait", "120"]


@BOTH_WAYS
def test_the_migration_runs_from_the_image_that_has_the_command_line(chart, values):
    image = {"repository": "registry.example/operator", "tag": "7", "pullPolicy": "Never"}
    jobs = [item for item in chart.objects({**values, "operator": {"image": image}}) if item["kind"] == "Job"]
    (container,) = [container for spec in pod_specs(jobs) for container in spec["containers"]]
    assert (container["image"], container["imagePullPolicy"]) == ("registry.example/operator:7", "Never")


def test_a_database_of_the_release_is_migrated_beside_it(chart):
    job = chart.one("Job", TRIAL, "fleet-tradingbot-operator-migrate-1")
    assert "annotations" not in job["metadata"]  # as a hook it would deadlock `helm install --wait`


def test_the_definition_survives_uninstall_and_can_be_left_out(chart):
    crd = chart.one("CustomResourceDefinition", EXISTING, "tradingbots.tradingbot.dev")
    without = chart.objects({**EXISTING, "crds": {"install": False}})
    assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert not [item for item in without if item["kind"] == "CustomResourceDefinition"]


def test_two_releases_share_no_name_but_the_definition(chart):
    def names(release: str) -> set[tuple[str, str]]:
        return {(item["kind"], item["metadata"]["name"]) for item in chart.objects(TRIAL, release)}

    assert names("one") & names("two") == {("CustomResourceDefinition", "tradingbots.tradingbot.dev")}


@BOTH_WAYS
def test_no_object_of_the_chart_looks_like_one_of_the_operator(chart, values):
    for item in chart.objects(values):
        labels = item["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "fleet"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"


def test_a_new_chart_version_leaves_the_trial_database_running(chart):
    template = chart.one("StatefulSet", TRIAL, "fleet-tradingbot-operator-postgresql")["spec"]["template"]
    assert "helm.sh/chart" not in template["metadata"]["labels"]


def test_a_long_release_name_makes_valid_names(chart):
    for item in chart.objects(TRIAL, "r" + 51 * "x" + "e"):
        assert len(item["metadata"]["name"]) <= 63


ALL_MONITORING = {
    "monitoring": {
        "podMonitor": {"enabled": True, "labels": {"release": "prom"}, "tokenSecret": {"name": "scrape"}},
        "rules": {"enabled": True, "labels": {"release": "prom"}},
        "dashboards": {"enabled": True, "annotations": {"grafana_folder": "Trading"}},
    }
}


def test_without_being_asked_the_chart_needs_no_prometheus_operator(chart):
    kinds = {item["kind"] for item in chart.objects(EXISTING)}
    assert not kinds & {"PodMonitor", "PrometheusRule"}
    assert not [item for item in chart.objects(EXISTING) if "grafana_dashboard" in item["metadata"]["labels"]]


def test_the_rule_object_holds_the_rules_that_promtool_tests(chart):
    rule = chart.one("PrometheusRule", {**EXISTING, **ALL_MONITORING})
    assert rule["spec"] == yaml.safe_load(RULES.read_text(encoding="utf-8"))
    assert rule["metadata"]["labels"]["release"] == "prom"


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_shipped_as_it_is_where_the_sidecar_looks(chart, path):
    shipped = chart.one("ConfigMap", {**EXISTING, **ALL_MONITORING}, f"fleet-tradingbot-operator-{path.stem}")
    assert json.loads(shipped["data"][f"tradingbot-{path.stem}.json"]) == json.loads(path.read_text(encoding="utf-8"))
    assert shipped["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert shipped["metadata"]["annotations"] == {"grafana_folder": "Trading"}


def test_the_pod_monitor_selects_the_operator_and_the_bots_of_this_release_only(chart):
    values = {**TRIAL, **ALL_MONITORING}
    spec = chart.one("PodMonitor", values)["spec"]
    operator = chart.one("Deployment", values)["spec"]["template"]["metadata"]["labels"]
    database = chart.one("StatefulSet", values, "fleet-tradingbot-operator-postgresql")
    assert selected(spec["selector"], operator)
    assert selected(spec["selector"], bot_labels("fleet", 7))
    assert not selected(spec["selector"], bot_labels("another", 7))
    endpoint = spec["podMetricsEndpoints"][0]
    assert endpoint["port"] == "http"
    assert endpoint["authorization"] == {"credentials": {"name": "scrape", "key": "token"}}
    ports = [port["name"] for port in database["spec"]["template"]["spec"]["containers"][0]["ports"]]
    assert endpoint["port"] not in ports
    for labels in (operator, bot_labels("fleet", 7)):
        assert labels[spec["jobLabel"]].startswith("tradingbot")  # the alert rules know jobs by this


def selected(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    exact = all(labels.get(key) == value for key, value in selector["matchLabels"].items())
    among = all(labels.get(term["key"]) in term["values"] for term in selector["matchExpressions"])
    return exact and among


def test_the_readme_explains_every_value():
    def paths(document: dict[str, Any], stem: str = "") -> Iterator[str]:
        for key, value in document.items():
            path = f"{stem}{key}"
            if f"| `{path}` |" in readme:
                continue
            if isinstance(value, dict) and value:
                yield from paths(value, f"{path}.")
            else:
                yield path

    readme = (CHART / "README.md").read_text(encoding="utf-8")
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert list(paths(values)) == []


def test_shell_scripts_pass_shellcheck():
    program = shutil.which("shellcheck")
    if program is None:
        pytest.skip("SHELL SCRIPTS NOT CHECKED: shellcheck is not installed")
    project = Path(CHART).parents[1]
    patterns = ("scripts/*", "tests/e2e/cluster/onenode", "tests/e2e/cluster/*-entrypoint")
    scripts = [path for pattern in patterns for path in project.glob(pattern) if path.is_file()]
    scripts = [path for path in scripts if "bash" in path.read_text()[:30]]
    done = subprocess.run([program, *scripts], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("values", "secret"),
    [
        ({"database": {"existingSecret": "bot-database"}}, "bot-database"),
        ({"notifications": {"existingSecret": "bot-channels"}}, "bot-channels"),
        ({"imagePullSecrets": [{"name": "bot-registry"}]}, "bot-registry"),
        ({"monitoring": {"podMonitor": {"tokenSecret": {"name": "bot-token"}}}}, "bot-token"),
        (
            {"bot": {"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "bot-x", "key": "x"}}}]}},
            "bot-x",
        ),
        ({"bot": {"volumes": [{"name": "v", "secret": {"secretName": "bot-volume"}}]}}, "bot-volume"),
        ({"bot": {"credentials": {"secretPrefixes": ["trading-"]}}}, "trading-database"),
        ({"bot": {"credentials": {"secretPrefixes": ["sh"]}}}, "sh.helm.release.v1."),
        ({"bot": {"credentials": {"secretPrefixes": ["sh.helm.release.v1.fleet"]}}}, "sh.helm.release.v1."),
    ],
)
def test_a_prefix_that_covers_a_secret_of_the_release_is_refused(chart, values, secret):
    said = chart.refusal({**EXISTING, **values})
    assert "bot.credentials.secretPrefixes: " in said
    assert secret in said


def test_a_trial_database_of_a_release_called_like_the_keys_is_refused(chart):
    done = chart.run("template", TRIAL, release="bot-fleet")
    assert "bot-fleet-tradingbot-operator-postgresql, which is the release's own" in done.stderr


@pytest.mark.parametrize("values", [{"secretPrefixes": [""]}, {"secretPrefixes": ["Bot"]}])
def test_a_prefix_that_begins_no_name_is_refused(chart, values):
    assert "secretPrefixes" in chart.refusal({**EXISTING, "bot": {"credentials": values}})


def test_what_rows_may_ask_for_reaches_the_operator(chart):
    policy = {"maxMemory": "2Gi", "nodeSelectorKeys": ["pool"], "labelPrefixes": []}
    bot = {"credentials": {"secretPrefixes": []}, "policy": policy}
    told = chart.settings({**EXISTING, "bot": bot})["bot"]
    assert told["credentials"] == {"secretPrefixes": []}
    assert (told["policy"]["maxMemory"], told["policy"]["maxCpu"]) == ("2Gi", "1")
    assert (told["policy"]["nodeSelectorKeys"], told["policy"]["labelPrefixes"]) == (["pool"], [])
