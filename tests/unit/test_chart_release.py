"""The chart as it is handed out, and what of a release outlives it."""

import json
import re
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from support.chart import EXISTING, TRIAL, pod_specs
from support.cluster import CHART, PROJECT

PERSISTENT = {"postgresql": {"enabled": True, "persistence": {"enabled": True}}}
#: A pod of a StatefulSet carries NAME-REVISION as a label, with a revision of ten characters at most.
LONGEST_OF_A_STATEFUL_SET = 63 - len("-") - 10


def release_chart(*words: object, helm: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(helm).parent}:/usr/bin:/bin"
    script = PROJECT / "scripts" / "release-chart"
    return subprocess.run([script, *words], env={"PATH": path}, capture_output=True, text=True, check=False)


def test_a_released_chart_names_its_images_in_the_registry_and_changes_nothing_else(chart, helm, tmp_path):
    done = release_chart("registry.example:5000/desk", tmp_path, helm=helm)
    assert done.returncode == 0, done.stderr
    (package,) = tmp_path.glob("tradingbot-operator-*.tgz")
    with tarfile.open(package) as archive:
        archive.extractall(tmp_path, filter="data")
    options = ["--namespace=trading", "--set=database.existingSecret=trading-database"]
    words = [helm, "template", "fleet", tmp_path / "tradingbot-operator", *options]
    released = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    version = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["appVersion"]
    objects = [item for item in yaml.safe_load_all(released) if item]
    where = "registry.example:5000/desk"
    images = {container["image"] for spec in pod_specs(objects) for container in spec["containers"]}
    (configuration,) = [item for item in objects if item["kind"] == "ConfigMap"]
    assert images == {f"{where}/tradingbot-operator:{version}"}
    assert json.loads(configuration["data"]["settings.json"])["bot"]["image"] == f"{where}/bot-runtime:{version}"
    named = {
        "operator": {"image": {"repository": f"{where}/tradingbot-operator"}},
        "bot": {"image": {"repository": f"{where}/bot-runtime"}},
    }
    assert objects == chart.objects({**EXISTING, **named})


@pytest.mark.parametrize("where", ["", "a b", "x|y", "&"])
def test_a_place_that_is_no_registry_is_refused(helm, tmp_path, where):
    done = release_chart(where, tmp_path, helm=helm)
    assert done.returncode == 1
    assert "is no registry's HOST/PATH" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_workflow_of_a_release_packages_the_chart_with_its_images():
    workflow = yaml.safe_load((PROJECT / ".github/workflows/release.yml").read_text(encoding="utf-8"))
    (step,) = [step for step in workflow["jobs"]["images"]["steps"] if step.get("name") == "Chart"]
    assert 'scripts/release-chart "$REGISTRY" dist' in step["run"]
    assert "helm package" not in step["run"]


PAGES = ["README.md", "docs/images.md", "charts/tradingbot-operator/README.md"]
EXAMPLES = ["charts/tradingbot-operator/examples/cloudnativepg.yaml"]


@pytest.mark.parametrize("page", [*PAGES, *EXAMPLES])
def test_each_installation_that_a_page_shows_says_where_both_images_are(page):
    text = (PROJECT / page).read_text(encoding="utf-8").replace("\n#", "\n")
    installations = re.findall(r"helm install (?:.*\\\n)*.*", text)
    assert installations
    for command in installations:
        assert "--set operator.image.repository=HOST/PATH/tradingbot-operator" in command
        assert "--set bot.image.repository=HOST/PATH/bot-runtime" in command


def test_no_page_shows_an_upgrade_that_would_miss_what_the_new_chart_has_added():
    pages = [*PROJECT.glob("docs/**/*.md"), PROJECT / "README.md", CHART / "README.md", *CHART.glob("examples/*")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in pages).replace("\n#", "\n")
    upgrades = [command for command in re.findall(r"helm upgrade bots (?:.*\\\n)*.*", text) if "--set" in command]
    assert len(upgrades) >= 3
    for command in upgrades:
        assert "--reset-then-reuse-values" in command
        assert "…" in command or "--namespace trading" in command


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
