"""The alert rules that the chart ships: each fires, each is silent on healthy data, each says what to do."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.cluster import PROJECT
from support.prometheus import MONITORING, RULES, metric_names, promtool, rules

PROOF = MONITORING / "alerts_test.yaml"
ALL = pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])


def proofs() -> dict[str, dict[str, Any]]:
    document = yaml.safe_load(PROOF.read_text(encoding="utf-8"))
    return {test["name"]: test for test in document["tests"]}


def said(test: dict[str, Any]) -> list[list[str]]:
    """What each look of a test expects to be there, in order."""
    return [[sample["labels"] for sample in look["exp_samples"]] for look in test["promql_expr_test"]]


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_promtool_accepts_the_rules_and_sees_every_one():
    done = promtool("check", "rules", RULES)
    assert done.returncode == 0, done.stderr
    assert f"{len(rules())} rules found" in done.stdout


def test_every_alert_fires_and_none_does_on_healthy_data():
    done = promtool("test", "rules", PROOF)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_promtool_notices_an_alert_that_no_longer_fires(tmp_path):
    broken = RULES.read_text(encoding="utf-8").replace("tradingbot_quarantined == 1\n", "tradingbot_quarantined == 2\n")
    (tmp_path / "alerts.yaml").write_text(broken, encoding="utf-8")
    document = yaml.safe_load(PROOF.read_text(encoding="utf-8"))
    document["tests"] = [test for test in document["tests"] if test["name"] == "TradingBotQuarantined"]
    (tmp_path / "alerts_test.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    assert promtool("test", "rules", tmp_path / "alerts_test.yaml").returncode != 0


def test_no_alert_comes_twice_and_no_proof_is_of_an_alert_that_is_gone():
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    assert set(proofs()) == {"a healthy fleet", *names}


@ALL
def test_an_alert_is_shown_firing_after_it_was_shown_silent(rule):
    test = proofs()[rule["alert"]]
    silent, fires = said(test)
    assert silent == []
    assert fires == [f'{{alertname="{rule["alert"]}", severity="{rule["labels"]["severity"]}"}}']
    assert len({look["expr"] for look in test["promql_expr_test"]}) == 1


@ALL
def test_the_healthy_fleet_has_every_series_that_an_alert_reads(rule):
    healthy = proofs()["a healthy fleet"]
    shown = {item["series"].partition("{")[0] for item in healthy["input_series"]}
    read = metric_names(rule["expr"]) or {"up"}
    assert read <= shown
    assert all(not expected for expected in said(healthy))


@ALL
def test_an_alert_says_how_bad_it_is_what_it_means_and_what_to_do(rule):
    notes = rule["annotations"]
    page, _, anchor = notes["runbook_url"].partition("#")
    assert rule["alert"].startswith("TradingBot")
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert 10 < len(notes["summary"]) < 100
    assert len(notes["description"]) > 80
    assert anchor in anchors(PROJECT / page)


@ALL
def test_an_alert_is_in_the_table_of_the_manual(rule):
    manual = (PROJECT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    assert f"| `{rule['alert']}` |" in manual


def test_each_threshold_is_explained_beside_it():
    text = RULES.read_text(encoding="utf-8")
    assert len(re.findall(r"- alert: \w+\n +# \S", text)) == len(rules())
