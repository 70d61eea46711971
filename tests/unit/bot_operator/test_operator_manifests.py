import json
from collections.abc import Callable
from typing import Any

import pytest

from bot_operator.manifests import build_deployment, build_event, build_pod_template, build_tradingbot, template_hash
from bot_operator.naming import Workload
from bot_operator.settings import parse_settings
from support.operator_builders import NOW, a_bot, a_row, some_settings

Golden = Callable[[str, Any], None]


def _deployment(bot_id: int = 7, **changes: Any) -> dict[str, Any]:
    return build_deployment(Workload.of([bot_id]), some_settings(**changes), owner_uid="uid-1")


def _container(deployment: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = deployment["spec"]["template"]["spec"]["containers"][0]
    return container


def test_the_deployment_of_a_bot_is_the_golden_one(golden: Golden) -> None:
    golden("deployment", _deployment())


def test_the_tradingbot_of_a_row_is_the_golden_one(golden: Golden) -> None:
    golden("tradingbot", build_tradingbot(a_row(7).record(), some_settings()))


def test_the_tradingbot_of_an_invalid_row_shows_what_can_be_read(golden: Golden) -> None:
    golden("tradingbot_invalid", build_tradingbot(a_row(7).invalid().record(), some_settings()))


def test_an_event_on_a_tradingbot_is_the_golden_one(golden: Golden) -> None:
    event = build_event(7, "uid-1", some_settings(), kind="Warning", reason="Error", message="it is so", now=NOW)
    golden("event", event)


def test_a_chart_may_place_the_pod_and_give_it_volumes_and_environment(golden: Golden) -> None:
    bot = {
        "image": "bot-runtime:1",
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "trading", "operator": "Exists"}],
        "imagePullSecrets": [{"name": "registry"}],
        "volumes": [{"name": "market", "hostPath": {"path": "/market"}}],
        "volumeMounts": [{"name": "market", "mountPath": "/market", "readOnly": True}],
        "env": [{"name": "TZ", "value": "UTC"}, {"name": "DATABASE_URL", "value": "sqlite:///elsewhere.db"}],
        "resources": {"limits": {"memory": "1Gi"}},
    }
    golden("pod_template_placed", build_pod_template(Workload.of([7]), some_settings(bot=bot)))


@pytest.mark.parametrize("document", [None, [], "text", {}, {"strategy": [], "broker": None, "symbol": 3}])
def test_a_row_with_any_document_has_a_tradingbot(document: Any) -> None:
    spec = build_tradingbot(a_row(7).with_config(document).record(), some_settings())["spec"]
    assert spec["symbol"] == spec["entry"] == spec["mode"] == ""
    assert spec["configHash"]


def test_a_document_never_shapes_the_pod() -> None:
    template = build_pod_template(Workload.of([7]), some_settings())
    assert a_row(7).row.config["name"] not in json.dumps(template)


def test_the_template_hash_tells_any_change_of_what_shapes_the_pod() -> None:
    base = {"image": "bot-runtime:1"}
    shapes = [base, base | {"image": "bot-runtime:2"}, base | {"terminationGracePeriodSeconds": 31}]
    shapes += [base | {"env": [{"name": "TZ", "value": "UTC"}]}, base | {"resources": {"limits": {"memory": "1Gi"}}}]
    hashes = [template_hash(build_pod_template(Workload.of([7]), some_settings(bot=shape))) for shape in shapes]
    assert len(set(hashes)) == len(shapes)
    assert hashes[0] == template_hash(build_pod_template(Workload.of([7]), some_settings(bot=base)))


def test_a_frozen_process_is_restarted_within_thirty_seconds() -> None:
    probe = _container(_deployment())["livenessProbe"]
    worst = probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"]
    assert worst + probe["terminationGracePeriodSeconds"] <= 30
    assert probe["httpGet"] == {"path": "/healthz", "port": "http"}


def test_one_deployment_can_run_a_set_of_bots() -> None:
    deployment = build_deployment(Workload.of([9, 7, 8]), some_settings(), owner_uid="uid-1")
    assert deployment["metadata"]["name"] == "bot-7"
    assert _container(deployment)["args"] == ["run", "7", "8", "9"]


def test_no_manifest_holds_a_secret_wherever_the_row_may_have_put_one() -> None:
    document = a_row(7).row.config | {"api_key": "hunter2", "broker": {"type": "binance", "secret": "hunter2"}}
    row = a_row(7).with_config(document).says("enabled", token="hunter2")
    settings = parse_settings(some_settings().model_dump(by_alias=True))
    everything = [
        build_tradingbot(row.record(), settings),
        build_deployment(Workload.of([7]), settings, owner_uid="u"),
        dict(a_bot(7, row).up_to_date().observed.bot.status),  # type: ignore[union-attr]
    ]
    assert "hunter2" not in json.dumps(everything)
    references = [item for item in _container(everything[1])["env"] if item["name"] == "DATABASE_URL"]
    assert references == [
        {"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": {"name": "fleet-database", "key": "url"}}}
    ]
