"""The chart, rendered by helm without a cluster."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot_core.store.database import parse_url
from bot_operator.manifests import bot_labels, build_pod_template
from bot_operator.naming import Workload
from bot_operator.settings import parse_settings
from bot_runtime.cli.bots_trial import CLEANING_SECONDS
from support.chart import ALL_WAYS, BOTH_WAYS, EVERYTHING, EXISTING, TRIAL, pod_specs, selected
from support.cluster import CHART
from support.prometheus import DASHBOARDS, RULES


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
    # The operator, the migration, the trial, the farewell; and PostgreSQL.
    assert len(specs) == (5 if values is TRIAL else 4)
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
def test_only_the_operator_and_the_farewell_get_a_token(chart, values):
    notifying = values | {"notifications": {"enabled": True, "existingSecret": "channels"}}
    holders = []
    for spec in pod_specs(chart.objects(notifying)):
        assert spec["automountServiceAccountToken"] is False
        tokens = {volume["name"] for volume in spec["volumes"] if "projected" in volume}
        holders += [c["name"] for c in spec["containers"] if tokens & {mount["name"] for mount in c["volumeMounts"]}]
    assert sorted(holders) == ["farewell", "operator"]
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
def test_the_jobs_run_from_the_image_that_has_the_command_line(chart, values):
    image = {"repository": "registry.example/operator", "tag": "7", "pullPolicy": "Never"}
    others = [
        item for item in chart.objects({**values, "operator": {"image": image}}) if item["kind"] in {"Job", "Pod"}
    ]
    containers = [container for spec in pod_specs(others) for container in spec["containers"]]
    assert {container["name"] for container in containers} == {"migrate", "trial", "farewell"}
    for container in containers:
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


@ALL_WAYS
def test_strict_lint_finds_nothing(chart, values):
    done = chart.run("lint", values, "--strict")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_drain_takes_one_operator_at_a_time_and_never_waits_for_what_is_broken(chart):
    budget = chart.one("PodDisruptionBudget", EXISTING)["spec"]
    operator = chart.one("Deployment", EXISTING)["spec"]["template"]["metadata"]["labels"]
    assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
    assert selected(budget["selector"], operator)
    bots = chart.one("PodDisruptionBudget", EVERYTHING, "fleet-tradingbot-operator-bots")["spec"]
    assert (bots["maxUnavailable"], bots["unhealthyPodEvictionPolicy"]) == ("10%", "AlwaysAllow")
    assert selected(bots["selector"], bot_labels("fleet", 7))
    assert not selected(bots["selector"], operator)
    assert not [item for item in chart.objects(EXISTING) if item["metadata"]["name"].endswith("-bots")]


def test_replicas_are_spread_over_nodes_as_a_wish_and_otherwise_as_asked(chart):
    def constraints(values: dict[str, Any]) -> Any:
        return chart.one("Deployment", values)["spec"]["template"]["spec"]["topologySpreadConstraints"]

    (wish,) = constraints(EXISTING)
    assert (wish["topologyKey"], wish["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "ScheduleAnyway")
    asked = [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]
    assert constraints({**EXISTING, "operator": {"topologySpreadConstraints": asked}}) == asked


def test_labels_and_placement_reach_every_pod_of_the_chart_and_no_selector(chart):
    objects = chart.objects(EVERYTHING)
    for item in objects:
        assert item["metadata"]["labels"]["team"] == "trading"
        assert "team" not in json.dumps(item["spec"].get("selector", {}) if "spec" in item else {})
    for spec in pod_specs(objects):
        assert spec["priorityClassName"] == "system-cluster-critical"
        assert spec["nodeSelector"] == {"pool": "control"}
    operator = chart.one("Deployment", EVERYTHING)["spec"]["template"]
    assert operator["metadata"]["labels"]["tier"] == "control"
    assert {"name": "HTTPS_PROXY", "value": "http://proxy:3128"} in operator["spec"]["containers"][0]["env"]


def test_labels_by_which_things_are_found_can_not_be_replaced(chart):
    taken = {"app.kubernetes.io/instance": "x"}
    assert "'app.kubernetes.io/instance'" in chart.refusal({**EXISTING, "commonLabels": taken})
    assert "'app.kubernetes.io/instance'" in chart.refusal({**EXISTING, "operator": {"podLabels": taken}})


def test_a_second_url_leads_operator_and_bots_past_pgbouncer(chart):
    direct = {"name": "trading-database", "key": "direct"}
    operator = chart.one("Deployment", EVERYTHING)["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "DATABASE_LISTEN_URL", "valueFrom": {"secretKeyRef": direct}} in operator
    settings = parse_settings(chart.settings(EVERYTHING))
    template = build_pod_template(Workload.of([7]), settings)
    assert {"name": "DATABASE_LISTEN_URL", "valueFrom": {"secretKeyRef": direct}} in template["spec"]["containers"][0][
        "env"
    ]
    plain = json.dumps(
        [chart.objects(EXISTING), build_pod_template(Workload.of([7]), parse_settings(chart.settings(EXISTING)))]
    )
    assert "LISTEN" not in plain


def test_pods_that_are_to_hold_no_connection_do_not_listen_and_the_operator_does(chart):
    values = {"database": {"existingSecret": "trading-database", "listenSecretKey": "direct", "idleSeconds": 2.5}}
    operator = chart.one("Deployment", values)["spec"]["template"]["spec"]["containers"][0]["env"]
    assert "DATABASE_LISTEN_URL" in {item["name"] for item in operator}
    pod = build_pod_template(Workload.of([7]), parse_settings(chart.settings(values)))["spec"]["containers"][0]["env"]
    assert {"name": "DATABASE_IDLE_SECONDS", "value": "2.5"} in pod
    assert "DATABASE_LISTEN_URL" not in {item["name"] for item in pod}


def test_the_secret_of_cloudnativepg_is_taken_as_it_is(chart):
    example = CHART / "examples" / "cloudnativepg.yaml"
    cluster = yaml.safe_load(example.read_text(encoding="utf-8"))
    pooler = yaml.safe_load(example.with_name("cloudnativepg-pooler.yaml").read_text(encoding="utf-8"))
    assert (cluster["kind"], cluster["apiVersion"], pooler["kind"]) == ("Cluster", "postgresql.cnpg.io/v1", "Pooler")
    assert pooler["spec"]["cluster"]["name"] == cluster["metadata"]["name"]
    # The operator of CloudNativePG documents the Secret <cluster>-app and its keys.
    database = {"existingSecret": f"{cluster['metadata']['name']}-app", "secretKey": "uri"}
    assert f"--set database.existingSecret={database['existingSecret']}" in example.read_text(encoding="utf-8")
    environment = chart.one("Deployment", {"database": database})["spec"]["template"]["spec"]["containers"][0]["env"]
    assert environment[0]["valueFrom"]["secretKeyRef"] == {"name": "tradingbot-db-app", "key": "uri"}
    url = parse_url("postgresql://tradingbot:p%2Fw@tradingbot-db-rw.trading:5432/tradingbot")
    assert (url.drivername, url.host, url.database) == ("postgresql+psycopg", "tradingbot-db-rw.trading", "tradingbot")


def test_service_monitors_scrape_operator_and_bots_under_the_jobs_that_the_rules_know(chart):
    values = {**EXISTING, "monitoring": {"serviceMonitor": {"enabled": True, "labels": {"release": "prom"}}}}
    operator = chart.one("Deployment", values)["spec"]["template"]["metadata"]["labels"]
    for name, job, pod in (
        ("bots", "tradingbot", bot_labels("fleet", 7)),
        ("metrics", "tradingbot-operator", operator),
    ):
        service = chart.one("Service", values, f"fleet-tradingbot-operator-{name}")
        monitor = chart.one("ServiceMonitor", values, f"fleet-tradingbot-operator-{name}")
        assert service["spec"]["selector"].items() <= pod.items()
        assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        assert service["metadata"]["labels"][monitor["spec"]["jobLabel"]] == job
        assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
        assert monitor["metadata"]["labels"]["release"] == "prom"
    both = {"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}}
    assert "scraped twice" in chart.refusal({**EXISTING, "monitoring": both})


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


def test_the_farewell_may_do_only_what_it_does_and_goes_before_anything_is_removed(chart):
    name = "fleet-tradingbot-operator-farewell"
    for kind in ("ServiceAccount", "Role", "RoleBinding", "Job"):
        annotations = chart.one(kind, EXISTING, name)["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "pre-delete"
        assert "hook-succeeded" in annotations["helm.sh/hook-delete-policy"]
    rules = chart.one("Role", EXISTING, name)["rules"]
    rights = {(*rule["resources"], *rule.get("resourceNames", [])): set(rule["verbs"]) for rule in rules}
    assert rights == {
        ("tradingbots",): {"list", "delete"},
        ("deployments",): {"list", "delete"},
        ("deployments/scale", "fleet-tradingbot-operator"): {"patch"},
        ("pods",): {"list"},
        ("pods", "fleet-tradingbot-operator-trial"): {"delete"},
    }
    (container,) = chart.one("Job", EXISTING, name)["spec"]["template"]["spec"]["containers"]
    assert "env" not in container
    assert container["args"][:2] == ["--namespace=trading", "--release=fleet"]


def test_bots_that_outlive_the_release_keep_their_account_and_need_a_database_of_their_own(chart):
    staying = {"uninstall": {"stopBots": False}}
    assert not [item for item in chart.objects({**EXISTING, **staying}) if "farewell" in item["metadata"]["name"]]
    account = chart.one("ServiceAccount", {**EXISTING, **staying}, "fleet-tradingbot-operator-bot")
    assert account["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert "annotations" not in chart.one("ServiceAccount", EXISTING, "fleet-tradingbot-operator-bot")["metadata"]
    assert "use database.existingSecret" in chart.refusal({**TRIAL, **staying})


def test_the_trial_ends_in_time_and_has_time_to_clean_up(chart):
    pod = chart.one("Pod", {**EXISTING, "trial": {"timeoutSeconds": 60}}, "fleet-tradingbot-operator-trial")
    (container,) = pod["spec"]["containers"]
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert container["args"] == ["bots", "trial", "--timeout", "60"]
    assert [item["name"] for item in container["env"]] == ["DATABASE_URL"]
    assert pod["spec"]["activeDeadlineSeconds"] >= 60 + CLEANING_SECONDS
    assert pod["spec"]["terminationGracePeriodSeconds"] >= CLEANING_SECONDS
