import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bot_core.models.errors import FatalError
from bot_core.models.figures import Figures
from bot_operator.actions import ApplyDeployment, EmitEvent, PatchStatus, WriteRowError, WriteRowRefusal
from bot_operator.manifests import build_pod_template, build_tradingbot, template_hash
from bot_operator.naming import Workload
from bot_operator.placement import NO_SHAPE, PodShape, place
from bot_operator.plan import plan_bot
from bot_operator.settings import OperatorSettings, parse_settings
from bot_operator.trouble import Trouble, pod_trouble
from support.operator_builders import RowBuilder, a_bot, a_document, a_row, around, some_settings

Golden = Callable[[str, Any], None]
LIVE = {"type": "binance", "trading_mode": "live", "live_trading_confirmed": True, "cash": 1000}
MARKET = {"data_source": "binance", "interval": "1h"}
EVERYTHING = {
    "resources": {"requests": {"cpu": "100m", "memory": "200Mi"}, "limits": {"cpu": "500m", "memory": "512Mi"}},
    "node_selector": {"pool": "bots"},
    "tolerations": [
        {"key": "bots", "operator": "exists", "effect": "noexecute", "toleration_seconds": 60},
        {"key": "bots", "value": "yes"},
    ],
    "priority_class": "trading",
    "labels": {"bots.tradingbot.dev/team": "a"},
}
OPEN = {"nodeSelectorKeys": ["pool"], "tolerationKeys": ["bots"], "priorityClasses": ["trading"]}


def _live(secret: str = "bot-keys", **broker: Any) -> RowBuilder:
    return a_row(7).with_config(a_document(broker=LIVE | broker, data=MARKET, credentials_secret=secret))


def _asking(**kubernetes: Any) -> RowBuilder:
    return a_row(7).with_config(a_document(kubernetes=kubernetes))


def _settings(policy: dict[str, Any] | None = None, prefixes: list[str] | None = None, **bot: Any) -> OperatorSettings:
    more: dict[str, Any] = {} if policy is None else {"policy": policy}
    if prefixes is not None:
        more["credentials"] = {"secretPrefixes": prefixes}
    return some_settings(bot={"image": "bot-runtime:1", **bot, **more})


def _template(row: RowBuilder, settings: OperatorSettings | None = None) -> dict[str, Any]:
    settings = settings or some_settings()
    shape = place(row.record(), None, settings).shape
    assert shape is not None
    return build_pod_template(Workload.of([7]), settings, shape)


def _container(template: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = template["spec"]["containers"][0]
    return container


def test_a_pod_shaped_by_its_row_is_the_golden_one(golden: Golden) -> None:
    row = a_row(7).with_config(
        a_document(broker=LIVE, data=MARKET, credentials_secret="bot-keys", kubernetes=EVERYTHING)
    )
    golden("pod_template_shaped", _template(row, _settings(OPEN, nodeSelector={"disk": "fast", "pool": "any"})))


@pytest.mark.parametrize(
    ("sentence", "row", "given"),
    [
        ("real money needs the keys", _live(), True),
        ("so does the testnet", _live(testnet=True), True),
        ("paper gets none", _live(trading_mode="paper"), False),
        ("whatever the broker", _live(type="paper", trading_mode="paper"), False),
        ("the gateway of ibkr asks for none", _live(type="ibkr"), False),
    ],
)
def test_a_pod_gets_the_secret_that_its_broker_needs(sentence: str, row: RowBuilder, *, given: bool) -> None:
    assert row.record().parsed.config is not None, row.record().config_error
    sources = _container(_template(row)).get("envFrom", [])
    assert sources == ([{"prefix": "BOT_KEYS_", "secretRef": {"name": "bot-keys"}}] if given else []), sentence


@pytest.mark.parametrize(
    ("secret", "prefixes", "words"),
    [
        (
            "fleet-database",
            None,
            "'fleet-database' is no Secret that a row may name; allowed: a name that begins with bot-",
        ),
        ("sh.helm.release.v1.fleet.v1", None, "is no Secret that a row may name"),
        ("bot-keys", [], "allowed: none (bot.credentials.secretPrefixes of the chart is empty)"),
        ("bot-keys", ["keys-", "own."], "allowed: a name that begins with keys- or own."),
        ("fleet-database", ["fleet-"], "is no Secret that a row may name"),
        ("bot-..keys", None, "is no name of a Secret"),
        ("bot-a.-b", None, "is no name of a Secret"),
        ("tradingbot-exchange", ["tradingbot-"], "would set variables such as TRADINGBOT_EXCHANGE_"),
        ("ld", ["ld"], "would set variables such as LD_"),
        ("1password", ["1"], "begins with no letter"),
    ],
)
def test_a_secret_that_a_row_may_not_name_is_refused_in_words(
    secret: str, prefixes: list[str] | None, words: str
) -> None:
    placement = place(
        _live(secret).record(), None, some_settings() if prefixes is None else _settings(prefixes=prefixes)
    )
    assert placement.shape is None
    assert placement.refusal.startswith("not allowed on this cluster: credentials_secret: ")
    assert words in placement.refusal


@pytest.mark.parametrize("prefixes", [[""], ["Bot"], ["-x"], ["bot_"]])
def test_a_prefix_that_would_open_every_secret_stops_the_operator(prefixes: list[str]) -> None:
    document = some_settings().model_dump(by_alias=True)
    document["bot"]["credentials"]["secretPrefixes"] = prefixes
    with pytest.raises(FatalError, match=r"bot\.credentials\.secretPrefixes"):
        parse_settings(document)


@pytest.mark.parametrize(
    ("asked", "refused"),
    [
        ({"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}, ""),
        (
            {"resources": {"limits": {"memory": "2Gi"}}},
            "kubernetes.resources.limits.memory: '2Gi' is more than allowed; allowed: at most 1Gi (bot.policy.max",
        ),
        ({"resources": {"requests": {"cpu": "1001m"}}}, "kubernetes.resources.requests.cpu: '1001m' is more than"),
        (
            {"node_selector": {"pool": "a"}},
            "kubernetes.node_selector.pool: 'a' is not allowed; allowed: none (bot.policy.nodeSelectorKeys",
        ),
        ({"tolerations": [{"key": "gpu", "operator": "Exists"}]}, "kubernetes.tolerations.0.key: 'gpu' is not allowed"),
        ({"priority_class": "system-node-critical"}, "kubernetes.priority_class: 'system-node-critical' is not"),
        ({"labels": {"bots.tradingbot.dev/team": "a"}}, ""),
        ({"labels": {"team": "a"}}, "kubernetes.labels.team: 'a' is not allowed; allowed: keys that begin with bots."),
    ],
)
def test_what_a_row_asks_for_is_limited_by_the_policy(asked: dict[str, Any], refused: str) -> None:
    placement = place(_asking(**asked).record(), None, some_settings())
    assert (placement.shape is None) == bool(refused)
    assert refused in placement.refusal


def test_what_the_policy_opens_is_allowed() -> None:
    assert place(_asking(**EVERYTHING).record(), None, _settings(OPEN)).refusal == ""


@pytest.mark.parametrize(
    ("asked", "chart", "result"),
    [
        (
            {"limits": {"memory": "64Mi"}},
            {},
            {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}},
        ),
        (
            {"requests": {"memory": "512Mi"}},
            {},
            {"requests": {"cpu": "10m", "memory": "512Mi"}, "limits": {"memory": "512Mi"}},
        ),
        ({"limits": {"cpu": "500m"}}, {"limits": {"memory": "1Gi"}}, {"limits": {"cpu": "500m", "memory": "1Gi"}}),
        (
            {"limits": {"cpu": "1"}},
            {"requests": {"cpu": "1e3m"}},
            {"requests": {"cpu": "1e3m"}, "limits": {"cpu": "1"}},
        ),
        ({"limits": {"cpu": "1"}}, {"requests": {"cpu": 2}}, {"requests": {"cpu": "1"}, "limits": {"cpu": "1"}}),
        ({}, {"limits": {"memory": "1Gi"}}, {"limits": {"memory": "1Gi"}}),
    ],
)
def test_what_a_document_names_stands_in_the_place_of_the_charts(
    asked: dict[str, Any], chart: dict[str, Any], result: dict[str, Any]
) -> None:
    template = _template(_asking(resources=asked), _settings(resources=chart))
    assert _container(template)["resources"] == result


def test_labels_of_a_row_never_replace_the_operators() -> None:
    shape = PodShape.model_construct(
        credentials=(), kubernetes=NO_SHAPE.kubernetes.model_copy(update={"labels": {"tradingbot.dev/bot-id": "8"}})
    )
    assert (
        build_pod_template(Workload.of([7]), some_settings(), shape)["metadata"]["labels"]["tradingbot.dev/bot-id"]
        == "7"
    )


def test_the_template_hash_tells_each_part_of_a_shape() -> None:
    parts = [{key: value} for key, value in EVERYTHING.items()]
    rows = [a_row(7), _live(), *(_asking(**part) for part in parts)]
    hashes = {template_hash(_template(row, _settings(OPEN))) for row in rows}
    assert len(hashes) == len(rows)


def test_a_shape_is_read_back_as_it_was_written() -> None:
    settings = _settings(OPEN)
    row = a_row(7).with_config(
        a_document(broker=LIVE, data=MARKET, credentials_secret="bot-keys", kubernetes=EVERYTHING | {"note": "hunter2"})
    )
    shape = place(row.record(), None, settings).shape
    assert shape is not None
    assert "hunter2" not in shape.dump()
    assert place(row.invalid().record(), shape.dump(), settings).shape == shape


@pytest.mark.parametrize(
    ("sentence", "annotation", "shape"),
    [
        ("there is no pod, and none is made", None, None),
        ("made before pods had shapes", "", NO_SHAPE),
        ("made with a shape", '{"credentials":["bot-old"]}', PodShape(credentials=("bot-old",))),
        ("no longer allowed, so left alone", '{"credentials":["fleet-database"]}', None),
        ("edited by hand into nonsense", "{]", None),
        ("edited by hand into more than there is", '{"hostNetwork":true}', None),
    ],
)
def test_a_row_that_is_refused_keeps_the_last_good_pod(
    sentence: str, annotation: str | None, shape: PodShape | None
) -> None:
    for row in (_live("fleet-database"), a_row(7).invalid()):
        assert place(row.record(), annotation, some_settings()).shape == shape, sentence


def test_a_refused_row_without_a_pod_gets_none_and_says_why_once() -> None:
    row = _live("fleet-database")
    actions = plan_bot(row.record(), a_bot(row=row).observed, around())
    (said,) = [action for action in actions if isinstance(action, WriteRowError)]
    assert "fleet-database" in said.message
    assert not said.keep_status
    assert not any(isinstance(action, ApplyDeployment) for action in actions)
    told = row.says("error", last_error=said.message)
    assert plan_bot(told.record(), a_bot(row=told).up_to_date().observed, around()) == []


def test_a_running_bot_keeps_its_pod_and_the_row_says_what_is_not_allowed_until_it_is() -> None:
    running = a_bot(row=_live().says("running")).running()
    bad = _live("fleet-database").says("running")
    changed = running.seen_by(bad)
    actions = plan_bot(bad.record(), changed.observed, around())
    (said,) = [action for action in actions if isinstance(action, WriteRowRefusal)]
    assert "fleet-database" in said.message
    (patch,) = [action for action in actions if isinstance(action, PatchStatus)]
    status = patch.manifest["status"]
    assert status["phase"] == "Running"
    assert status["message"] == f"its pod stays as it was; {said.message}"
    conditions = {item["type"]: (item["status"], item["reason"]) for item in status["conditions"]}
    assert conditions["ConfigValid"] == conditions["CredentialsReady"] == ("False", "NotAllowed")
    assert not any(isinstance(action, ApplyDeployment) for action in actions)

    told = bad.says("running", not_allowed=said.message)
    assert plan_bot(told.record(), changed.seen_by(told).up_to_date().observed, around()) == []
    mended = _live().says("running", not_allowed=said.message)
    assert WriteRowRefusal("") in plan_bot(mended.record(), running.seen_by(mended).observed, around())
    stopped = mended.disabled()
    assert WriteRowRefusal("") in plan_bot(stopped.record(), a_bot(row=stopped).observed, around())


def test_a_new_image_reaches_a_refused_bot_in_its_last_good_shape() -> None:
    bad = _live("fleet-database").says("running")
    running = a_bot(row=_live().says("running")).running().seen_by(bad)
    newer = some_settings(bot={"image": "bot-runtime:2", "serviceAccountName": "fleet-bot"})
    (apply,) = [
        action
        for action in plan_bot(bad.record(), running.observed, around(settings=newer))
        if isinstance(action, ApplyDeployment)
    ]
    container = _container(apply.manifest["spec"]["template"])
    assert container["image"] == "bot-runtime:2"
    assert container["envFrom"] == [{"prefix": "BOT_KEYS_", "secretRef": {"name": "bot-keys"}}]


def test_other_keys_wait_until_the_bot_is_flat() -> None:
    running = a_bot(row=_live().says("running")).running()
    other = _live("bot-other").says("running")
    for holding in (other.holding("0.5", "2000"), replace(other, figures=Figures(open_orders=True))):
        actions = plan_bot(holding.record(), running.seen_by(holding).observed, around())
        assert not any(isinstance(action, ApplyDeployment) for action in actions)
        (patch,) = [action for action in actions if isinstance(action, PatchStatus)]
        assert "once it has neither a position nor an order" in patch.manifest["status"]["message"]

    flat = _live("bot-other").says("running")
    actions = plan_bot(flat.record(), running.seen_by(flat).observed, around())
    (apply,) = [action for action in actions if isinstance(action, ApplyDeployment)]
    (source,) = _container(apply.manifest["spec"]["template"])["envFrom"]
    assert source == {"prefix": "BOT_OTHER_", "secretRef": {"name": "bot-other"}}
    assert any(isinstance(action, EmitEvent) and action.reason == "Updating" for action in actions)


def _waiting_for(secret: str) -> Trouble | None:
    """As it is read from what the kubelet writes."""
    waiting = {"reason": "CreateContainerConfigError", "message": f'secret "{secret}" not found'}
    return pod_trouble({"status": {"containerStatuses": [{"name": "bot", "state": {"waiting": waiting}}]}})


@pytest.mark.parametrize(
    ("sentence", "pod", "row", "expected"),
    [
        ("no pod yet", None, _live(), ("Unknown", "NotStarted")),
        ("it runs", {"ready": True}, _live().says("running"), ("True", "Given")),
        (
            "the Secret is missing",
            {"started": False, "failing": True, "trouble": _waiting_for("bot-keys")},
            _live(),
            ("False", "SecretMissing"),
        ),
        (
            "another one is missing, which is not the row's matter",
            {"started": False, "failing": True, "trouble": _waiting_for("fleet-database")},
            _live(),
            ("Unknown", "NotStarted"),
        ),
        (
            "the Secret has other keys",
            {"ready": True},
            _live().says("error", last_error="credentials_secret: 'bot-keys' gives no keys for live trading"),
            ("False", "KeysMissing"),
        ),
        ("a paper bot has no such condition", {"ready": True}, a_row(7).says("running"), None),
    ],
)
def test_the_condition_tells_whether_the_pod_has_its_keys(
    sentence: str, pod: dict[str, Any] | None, row: RowBuilder, expected: tuple[str, str] | None
) -> None:
    cluster = a_bot(row=row).with_deployment()
    cluster = cluster if pod is None else cluster.with_pod(**pod)
    status = cluster.up_to_date().observed.bot.status  # type: ignore[union-attr]
    found = {item["type"]: (item["status"], item["reason"]) for item in status["conditions"]}
    assert found.get("CredentialsReady") == expected, sentence


def test_a_missing_secret_comes_with_the_command_that_makes_it() -> None:
    waiting = {"started": False, "failing": True, "trouble": _waiting_for("bot-keys")}
    cluster = a_bot(row=_live()).with_deployment().with_pod(**waiting).up_to_date()
    said = cluster.observed.bot.status["message"]  # type: ignore[union-attr]
    assert "kubectl --namespace trading create secret generic bot-keys --from-env-file=FILE" in said


def test_the_tradingbot_names_the_secret_and_the_policy_of_updates() -> None:
    spec = build_tradingbot(_live().record(), some_settings())["spec"]
    assert (spec["credentialsSecret"], spec["updatePolicy"]) == ("bot-keys", "now")
    pasted = a_row(7).with_config(a_document(broker=LIVE, data=MARKET, credentials_secret="AKIA-Hunter2"))
    assert pasted.record().parsed.config is None
    assert "Hunter2" not in json.dumps(build_tradingbot(pasted.record(), some_settings()))
    key = "9f8e7d6c5b4a39281706f5e4d3c2b1a0"  # would do as a name
    pasted = a_row(7).with_config(a_document(broker=LIVE, data=MARKET, credentials_secret=key))
    assert key not in json.dumps(build_tradingbot(pasted.record(), some_settings()))
