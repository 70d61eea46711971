"""A real Prometheus that scrapes a running service: its series, the alerts it raises, the dashboards' expressions."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot_core.schema import bots
from bot_core.store.database import Database
from bot_core.store.upgrade import upgrade
from bot_operator.metrics import Metrics
from bot_operator.workqueue import LookEnd, Outcome
from bot_runtime.engine.board import FleetBoard
from bot_runtime.engine.progress import Progress
from bot_runtime.metrics import exposition
from bot_runtime.notifications.metrics import NotificationFigures
from support.bots import a_document, insert_bot
from support.prometheus import (
    DASHBOARDS,
    Prometheus,
    exposed,
    expressions,
    filled,
    grouping_labels,
    impatient_rules,
    metric_names,
    promtool,
    rules,
    scrape,
    selectors,
)
from support.service import Service
from support.waiting import wait_until

TOKEN = "a-token-of-forty-characters-for-this-test"
PACED = {"data_source": "generated", "interval": "1h", "seed": 3, "speed": 20}
#: Labels that Prometheus adds to what a process exposes.
ADDED = {"job", "instance"}


def new_fleet(url: str) -> tuple[int, int]:
    """A bot that trades, and one whose document can't run."""

    async def insert() -> tuple[int, int]:
        database = Database(url)
        try:
            good = await insert_bot(database, a_document(data=PACED))
            bad = await insert_bot(database, a_document(data=PACED))
            broken = bots.update().where(bots.c.id == bad).values(config=a_document(symbol=7, data={}))
            async with database.write() as connection:
                await connection.execute(broken)
        finally:
            await database.aclose()
        return good, bad

    return asyncio.run(insert())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Prometheus, int, int]]:
    folder = tmp_path_factory.mktemp("prometheus")
    url = f"sqlite:///{folder / 'bots.db'}"
    upgrade(url)
    good, bad = new_fleet(url)
    with Service(folder, url, "serve", TRADINGBOT_HTTP_TOKEN=TOKEN) as service:
        wait_until(lambda: service.get("/healthz")[0] == 200, 30, "the service", tell=service.log.read_text)
        targets = {"tradingbot": [f"127.0.0.1:{service.port}"]}
        with Prometheus(folder, targets, impatient_rules(folder), token=TOKEN) as prometheus:
            yield service, prometheus, good, bad


def test_the_target_is_up_and_its_series_arrive(world):
    service, prometheus, good, _ = world
    wait_until(
        lambda: any(sample["value"][1] == "1" for sample in prometheus.series("up")),
        30,
        "the target",
        tell=service.log.read_text,
    )
    wait_until(
        lambda: any(float(s["value"][1]) > 0 for s in prometheus.series(f'tradingbot_trades_total{{bot_id="{good}"}}')),
        30,
        "a closed trade",
        tell=service.log.read_text,
    )
    asked = promtool("query", "instant", prometheus.url, 'sum(tradingbot_bots{phase="running"})')
    assert asked.returncode == 0, asked.stderr
    assert "=> 1 @" in asked.stdout


def test_an_invalid_document_raises_the_alerts_that_are_meant_for_it_and_no_other(world):
    _, prometheus, good, bad = world
    meant = {"TradingBotConfigInvalid", "TradingBotInError"}
    firing = wait_until(
        lambda: set(found := prometheus.firing()) == meant and found, 30, f"{meant}, and no other alert,"
    )
    alert = firing["TradingBotConfigInvalid"][0]
    assert alert["labels"]["bot_id"] == str(bad)
    assert f"tradingbot bots validate {bad}" in alert["annotations"]["description"]
    assert not [a for found in firing.values() for a in found if a["labels"].get("bot_id") == str(good)]


def test_every_annotation_of_an_alert_that_fires_is_filled_in(world):
    _, prometheus, _, _ = world
    wait_until(prometheus.firing, 30, "any alert")
    for found in prometheus.firing().values():
        for alert in found:
            for text in alert["annotations"].values():
                assert "{{" not in text
                assert "<no value>" not in text
                assert "<error" not in text


def test_prometheus_has_loaded_every_rule_and_none_fails(world):
    _, prometheus, _, _ = world
    loaded = wait_until(
        lambda: (
            (found := [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]])
            and all(rule["health"] == "ok" for rule in found)
            and found
        ),
        30,
        "an evaluation of all rules",
    )
    assert {rule["name"] for rule in loaded} == {rule["alert"] for rule in rules()}


def test_no_rule_and_no_dashboard_names_a_metric_or_a_label_that_no_process_has(world):
    service, _, _, _ = world
    text = wait_until(
        lambda: "process_max_fds" in (text := scrape(service.port, TOKEN)) and text, 30, "a look at usage"
    )
    known = exposed(text, operator_exposition(), dispatcher_exposition())
    named = [("alerts.yaml", rule["alert"], rule["expr"]) for rule in rules()]
    named += [(path.name, title, expression) for path in DASHBOARDS for title, expression in expressions(path)]
    unknown = [(*place, name) for *place, text in named for name in metric_names(text) if name not in known]
    assert unknown == []
    strange = [
        (*place, name, labels - known[name] - ADDED)
        for *place, text in named
        for name, labels in selectors(text)
        if known[name] and labels - known[name] - ADDED
    ]
    assert strange == []
    labels = ADDED | {label for found in known.values() for label in found}
    assert [(*place, grouping_labels(text) - labels) for *place, text in named if grouping_labels(text) - labels] == []


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_prometheus_can_evaluate_every_expression_of_a_dashboard(world, path):
    _, prometheus, good, _ = world
    for title, expression in expressions(path):
        asked = prometheus.ask("query", query=filled(expression, bot=str(good)))
        assert asked["resultType"] in {"vector", "scalar"}, title


def test_the_fleets_panels_hold_data_of_the_running_service(world):
    _, prometheus, _, _ = world
    only_elsewhere = {"Notifications that wait", "Notifications per minute"}
    wait_until(
        lambda: empty_titles(prometheus, DASHBOARDS[0]) <= only_elsewhere,
        20,
        "data in every panel",
        tell=lambda: f"without any: {empty_titles(prometheus, DASHBOARDS[0])}",
    )


def empty_titles(prometheus: Prometheus, path: Path) -> set[str]:
    filled_titles = {title for title, expression in expressions(path) if prometheus.series(expression)}
    return {title for title, _ in expressions(path)} - filled_titles


def operator_exposition() -> str:
    metrics = Metrics()
    metrics.watch(queue_depth=lambda: 0.0, oldest_wait=lambda: 0.0, sweep_age=lambda: 0.0, leads=lambda: True)
    metrics.reconciled(LookEnd(Outcome.RETRY, "conflict"))
    metrics.requested("PATCH", "409")
    return metrics.text().decode()


def dispatcher_exposition() -> str:
    """What a process adds that delivers messages."""
    figures = NotificationFigures(pending={"email": 1}, oldest={"email": 3.0}, up={"email": True})
    figures.count("email", "delivered")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bot_runtime.notifications.metrics.FIGURES", figures)
        return exposition(FleetBoard(), Progress()).decode()
