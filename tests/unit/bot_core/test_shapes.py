import copy
import json
from decimal import Decimal
from typing import Any

import pytest

from bot_core.models.config import BotConfig, parse_config
from bot_core.models.shapes.normalise import DEEPEST, bot_documents
from support.shapes import CURRENT, SHAPES


def valid(document: Any) -> BotConfig:
    parsed = parse_config(document)
    assert parsed.config is not None, parsed.error
    return parsed.config


def changed(*path: str, to: Any) -> dict[str, Any]:
    """The document of the current shape with one value changed; `...` takes the key out."""
    document = copy.deepcopy(CURRENT)
    place = document
    for key in path[:-1]:
        place = place.setdefault(key, {})
    if to is ...:
        place.pop(path[-1], None)
    else:
        place[path[-1]] = to
    return document


def notices(document: Any) -> list[str]:
    return [str(notice) for notice in parse_config(document).notices]


def problems(document: Any) -> list[str]:
    parsed = parse_config(document)
    assert parsed.config is None
    assert parsed.config is None
    return [str(problem) for problem in parsed.problems]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_the_same_bot_gives_the_same_configuration(shape: str) -> None:
    config = valid(SHAPES[shape])
    assert config.model_copy(update={"bot_id": "0001"}) == valid(CURRENT)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_canonical_document_is_its_own_canonical_document_and_gives_the_same_configuration(shape: str) -> None:
    parsed = parse_config(SHAPES[shape])
    again = parse_config(json.loads(json.dumps(parsed.canonical)))
    assert again.canonical == parsed.canonical
    assert again.config == parsed.config
    assert [notice for notice in again.notices if "is read as" in str(notice)] == []


@pytest.mark.parametrize("shape", SHAPES)
def test_normalising_changes_nothing_in_the_document_that_was_given(shape: str) -> None:
    before = copy.deepcopy(SHAPES[shape])
    parse_config(SHAPES[shape])
    assert SHAPES[shape] == before


def test_each_conversion_is_told_with_where_it_was_and_what_it_became() -> None:
    assert set(notices(SHAPES["L"])) >= {
        "trading.symbol: is read as symbol",
        "trading.symbol: 'LTC/USDT' is read as LTCUSDT",
        "broker.type: 'binance_paper' is read as 'binance'",
        "broker.initial_balance: is read as broker.cash",
        "strategy.name: is read as strategy.type",
        "strategy.entry_logic: is read as strategy.parameters.entry_logic",
        "risk_management.trailing_stop.trailing_pct: is read as risk_management.trailing_stop_pct",
        "notifications.telegram.notify_on: is read as position_opened, error_notifications",
    }
    assert "modules.broker: is read as broker" in notices(SHAPES["M"])
    assert "overrides.initial_balance: is read as broker.cash" in notices(SHAPES["M"])
    assert "strategy_params.entry: is read as the parameters of RSIBBVolumeEntryMixin, which is what ran in 2025" in (
        notices(SHAPES["U"])
    )


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (SHAPES["F"] | {"timeframe": "hourly"}, "timeframe"),
        (SHAPES["F"] | {"stop_loss_pct": 101}, "stop_loss_pct"),
        (SHAPES["F"] | {"symbol": "BTC USDT"}, "symbol"),
        (SHAPES["M"] | {"overrides": {"symbol": 7}}, "overrides.symbol"),
        (SHAPES["M"] | {"modules": SHAPES["M"]["modules"] | {"broker": {"type": "mtgox"}}}, "modules.broker.type"),
        (SHAPES["U"] | {"initial_balance": "much"}, "initial_balance"),
        (SHAPES["U"] | {"strategy_params": {"exit": {"rsi_period": 0}}}, "strategy_params.exit.rsi_period"),
        (SHAPES["L"] | {"strategy": {"entry_logic": {"name": "Nope"}}}, "strategy.entry_logic.name"),
        (SHAPES["M"] | {"modules": [1]}, "modules"),
        (SHAPES["M"] | {"overrides": "x"}, "overrides"),
        (SHAPES["U"] | {"strategy_params": []}, "strategy_params"),
    ],
)
def test_a_problem_is_named_where_it_stands_in_the_original_document(document: Any, path: str) -> None:
    assert path in [problem.path for problem in parse_config(document).problems]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "config: is an empty document"),
        ({"_comment": "x"}, "symbol: is missing"),
        ({"broker": {"type": "binance"}}, "broker: is all there is: this is one part of a bot's document"),
        ({"strategy_limits": {}}, "strategy_limits: is all there is: this is one part"),
        ({"trading_settings": {"bot_type": "live"}}, "trading_settings: is all there is: this is a file of settings"),
        ({"bot_id": "1", "symbol": "BTCUSDT", "components": {}}, "components: makes this a manifest"),
        ({"mine": {"type": "binance", "trading_mode": "paper"}}, "mine: is a broker preset"),
        ({"strategies": [CURRENT, CURRENT]}, "strategies: is a list of 2 bots; `tradingbot bots import FILE`"),
        ([CURRENT], "config: [{"),
        ("{}", "is not a JSON object"),
    ],
)
def test_what_is_no_bot_is_refused_with_a_sentence_that_says_what_it_is(document: Any, words: str) -> None:
    assert words in problems(document)[0]
    assert not parse_config(document).is_bot or "symbol" in words


def test_a_file_with_several_bots_is_several_documents() -> None:
    assert bot_documents({"system": {}, "strategies": [CURRENT, SHAPES["M"]]}) == [CURRENT, SHAPES["M"]]
    assert bot_documents(CURRENT) == [CURRENT]
    assert bot_documents({"strategies": []}) == [{"strategies": []}]


@pytest.mark.parametrize(
    ("written", "kind", "source"),
    [
        ({"type": "mock"}, "paper", "yahoo"),
        ({"type": "file_broker"}, "paper", "yahoo"),
        ({"type": "backtrader", "trading_mode": "paper"}, "paper", "yahoo"),
        ({"type": "PAPER"}, "paper", "yahoo"),
        ({"type": "binance_paper"}, "binance", "yahoo"),
        ({"type": "interactive_brokers", "trading_mode": "Paper"}, "ibkr", "yahoo"),
        ({"trading_mode": "paper"}, "paper", "yahoo"),
        ({"type": "binance_paper"}, "binance", None),
        ({"type": "ibkr", "trading_mode": "paper"}, "ibkr", None),
        ({"trading_mode": "paper"}, "binance", None),
    ],
)
def test_a_broker_alias_is_paper_on_the_documents_source_or_else_on_its_brokers_market(
    written: dict[str, Any], kind: str, source: str | None
) -> None:
    document = CURRENT | {"broker": written, "data": {} if source is None else {"data_source": source}}
    config = valid(document)
    assert (config.broker.type, config.broker.trading_mode) == (kind, "paper")
    assert config.data.data_source == (source or kind)


def test_a_paper_broker_without_any_market_asks_for_one_and_a_real_one_for_its_mode() -> None:
    assert problems(CURRENT | {"broker": {"type": "mock"}, "data": {}}) == ["data.data_source: is missing"]
    assert problems(changed("broker", "trading_mode", to=...)) == ["broker.trading_mode: is missing"]
    with_file = CURRENT | {"broker": {"type": "file_broker", "data_source": {"file_path": "a.csv"}}, "data": {}}
    assert valid(with_file).data.file_path == "a.csv"


def test_strategy_params_of_2025_without_rules_are_the_rules_that_ran_then() -> None:
    config = valid(SHAPES["F"] | {"strategy_params": {}})
    assert (config.strategy.entry.name, config.strategy.exit.name) == ("RSIBBVolumeEntryMixin", "RSIBBExitMixin")
    assert config.strategy.entry.whole("rsi_period") == 14
    half = SHAPES["F"] | {"strategy_params": {"entry_logic": {"name": "RSIOrBBEntryMixin"}}}
    assert [text.partition(":")[0] for text in problems(half)] == ["strategy.parameters.exit_logic"]


def test_parameters_that_a_conversion_parked_do_not_make_a_bot_trade() -> None:
    document = changed("strategy", "parameters", to={"legacy_strategy_params": {"entry": {"rsi_period": 14}}})
    assert [text.partition(":")[0] for text in problems(document)] == [
        "strategy.parameters.entry_logic",
        "strategy.parameters.exit_logic",
    ]
    assert any("legacy_strategy_params: is not read" in text for text in notices(document))


NO_REFERENCE = (
    "is missing; live trading needs a name for its keys: add one such as bot-keys, which stands for the environment "
    "variables BOT_KEYS_API_KEY and BOT_KEYS_API_SECRET, on Kubernetes for the Secret of that name"
)


def test_live_trading_needs_a_word_and_a_reference() -> None:
    live = changed("broker", "trading_mode", to="live")
    assert problems(live) == [
        "broker.live_trading_confirmed: does not confirm live trading; allowed with trading_mode live: true",
        f"credentials_secret: {NO_REFERENCE}",
    ]
    live["broker"]["live_trading_confirmed"] = True
    parsed = parse_config(live | {"credentials_secret": "binance-keys"})
    assert parsed.config is not None
    assert parsed.config.credentials_secret == "binance-keys"


@pytest.mark.parametrize("broker", ["kraken", "binanceus", "okx"])
def test_every_exchange_of_ccxt_can_be_named_and_needs_a_key_for_live_orders_alone(broker: str) -> None:
    assert parse_config(changed("broker", "type", to=broker)).problems == ()
    live = {"type": broker, "trading_mode": "live", "live_trading_confirmed": True}
    assert [text.partition(":")[0] for text in problems(changed("broker", to=live))] == ["credentials_secret"]


def test_live_trading_at_interactive_brokers_needs_no_key() -> None:
    live = {"type": "ibkr", "trading_mode": "live", "live_trading_confirmed": True}
    assert parse_config(changed("broker", to=live)).problems == ()


@pytest.mark.parametrize("broker", ["paper", "mock", "binance_paper"])
def test_brokers_that_trade_on_paper_alone_are_never_live(broker: str) -> None:
    live = {"type": broker, "trading_mode": "live", "live_trading_confirmed": True}
    assert any(text.startswith("broker.trading_mode: 'live' can't be") for text in problems(changed("broker", to=live)))


def test_what_the_paper_venue_simulates_is_read_and_checked() -> None:
    simulation = {"slippage_bps": 5, "latency_ms": 250, "reject_probability": 0.01, "seed": 7}
    parsed = parse_config(changed("broker", "simulation", to=simulation))
    assert parsed.config is not None
    read = parsed.config.broker.simulation
    assert (read.slippage_bps, read.latency_ms, read.seed) == (5, 250, 7)
    assert (read.reject_probability, read.partial_fill_probability) == (Decimal("0.01"), 0)
    wrong = {"slippage_bps": 1001, "latency_ms": 0.5, "partial_fill_probability": 2, "seed": "x"}
    paths = {text.partition(":")[0] for text in problems(changed("broker", "simulation", to=wrong))}
    assert paths == {f"broker.simulation.{key}" for key in wrong}
    assert problems(changed("broker", "simulation", to=3))[0].startswith("broker.simulation: 3 is not a JSON object")


@pytest.mark.parametrize("source", ["binance", "yahoo", "ibkr", "coingecko", "alpaca", "websocket", "kraken", "OKX"])
def test_every_source_of_bars_can_be_named(source: str) -> None:
    parsed = parse_config(changed("data", "data_source", to=source))
    assert parsed.error == ""
    assert parsed.config is not None
    assert parsed.config.data.data_source == source.lower()


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("broker", "cash"), 0, "0 is out of range; allowed: a number above 0"),
        (("broker", "cash"), True, "True is no number"),
        (("broker", "commission"), 1.5, "1.5 is out of range; allowed: a number from 0 to 1"),
        (("broker", "testnet"), "yes", "'yes' is neither true nor false"),
        (
            ("broker", "type"),
            ["binance"],
            "['binance'] is no known broker (mock, file_broker and",
        ),
        (("broker", "trading_mode"), "demo", "'demo' is no trading mode; allowed: paper, live"),
        (("broker", "name"), 3, "3 is no text"),
        (("data", "interval"), "60", "'60' is no interval"),
        (("data", "data_source"), "ftp", "'ftp' is no known source; allowed: file, generated, binance"),
        (("data", "lookback_bars"), 2.5, "2.5 is no whole number; allowed: a whole number from 1 to 100000"),
        (("trading", "position_size"), 1.01, "1.01 is out of range"),
        (("trading", "max_positions"), 0, "0 is out of range; allowed: a whole number from 1 to 100"),
        (("trading", "order_type"), "stop", "'stop' is no order type; allowed: market, limit"),
        (("risk_management", "stop_loss_pct"), -1, "-1 is out of range; allowed: a number from 0 to 100"),
        (("risk_management", "take_profit_pct"), 1001, "1001 is out of range"),
        (("risk_management", "max_daily_trades"), 1001, "1001 is out of range"),
        (("risk_management", "trailing_stop"), "on", "'on' is neither true nor false"),
        (("notifications", "position_opened"), None, "is neither true nor false; allowed: true, false"),
        (("notifications", "notify_telegram_chat_id"), [1], "[1] is no chat id"),
        (
            ("notifications", "notify_email"),
            "me, you@x.de",
            "is not allowed; allowed: an address such as me@example.com",
        ),
        (("notifications", "performance_summaries"), ["hourly"], "allowed: daily, weekly, monthly, none, off"),
        (("notifications", "performance_summaries"), True, "True is no period of summaries; allowed: daily, weekly"),
        (("notifications", "channels"), "apprise", "is no list of channels; allowed: at most 10 names"),
        (("notifications", "slack_channel"), "two words", "allowed: a channel such as #alerts, or its id"),
        (("notifications", "risk_alerts"), 1, "1 is neither true nor false"),
        (("logging", "level"), "loud", "'loud' is no log level; allowed: debug, info"),
        (("scheduling", "start_time"), "9:00", "'9:00' is not allowed; allowed: a time of day such as 09:30"),
        (("scheduling", "trading_days"), ["someday"], "is no list of days; allowed: monday"),
        (("resources", "requests"), {"cpu": "much"}, "'much' is not allowed; allowed: a quantity such as 100m"),
        (("resources", "limits"), 3, "3 is not a JSON object"),
        (("kubernetes", "resources"), {"limits": {"memory": "128"}}, "allowed: a quantity from 16Mi to 16Ti"),
        (("kubernetes", "resources"), {"limits": {"cpu": 1}}, "1 is no quantity; allowed: a quantity from 1m to 1000"),
        (("kubernetes", "resources"), {"requests": 3}, '3 is not a JSON object; allowed: such as {"cpu": "100m"'),
        (
            ("kubernetes", "resources"),
            {"requests": {"memory": "1Gi"}, "limits": {"memory": "512Mi"}},
            "asks for 1Gi of memory; allowed: at most its limit, 512Mi",
        ),
        (("kubernetes", "node_selector"), ["a"], "allowed: a JSON object of at most 20 labels"),
        (("kubernetes", "node_selector"), {"pool": True}, "True is not allowed; allowed: text of at most 63 letters"),
        (("kubernetes", "tolerations"), {"key": "a"}, "allowed: a list of at most 20 tolerations"),
        (("kubernetes", "tolerations"), [{"operator": "Exists"}], "tolerations.0.key: is missing"),
        (
            ("kubernetes", "tolerations"),
            [{"key": "a", "operator": "Exists", "value": "b"}],
            "operator Equal, or no value",
        ),
        (("kubernetes", "tolerations"), [{"key": "a", "effect": "Never"}], "allowed: NoSchedule, PreferNoSchedule"),
        (("kubernetes", "tolerations"), [{"key": "a", "toleration_seconds": 3}], "allowed: only with effect NoExecute"),
        (("kubernetes", "priority_class"), "High Priority", "allowed: the name of a PriorityClass"),
        (("kubernetes", "labels"), {"a b": "c"}, "'a b' is not allowed; allowed: a label's key"),
        (("kubernetes", "labels"), {"tradingbot.dev/bot-id": "8"}, "belongs to Kubernetes, Helm or the operator"),
        (("kubernetes", "labels"), {"x.kubernetes.io/y": "8"}, "belongs to Kubernetes, Helm or the operator"),
        (("kubernetes",), "large", "'large' is not a JSON object"),
        (("credentials_secret",), "My Keys", "the name of a Kubernetes Secret"),
        (("on_stop",), "sell", "'sell' is no way to stop; allowed: keep, cancel, flatten"),
        (("update_policy",), "never", "'never' is no update policy; allowed: now, when_flat, manual"),
        (("enabled",), "yes", "'yes' is neither true nor false"),
        (("user_id",), "me", "'me' is no whole number"),
        (("bot_id",), "", "'' is not allowed"),
        (("symbol",), "BTC USDT", "'BTC USDT' is not allowed; allowed: 1 to 20 letters and digits"),
        (("broker",), "instances/brokers/x.json", "is not a JSON object; it names a part file"),
    ],
)
def test_a_value_out_of_bounds_is_named_with_what_is_allowed(path: tuple[str, ...], value: Any, words: str) -> None:
    found = problems(changed(*path, to=value))
    assert len(found) == 1
    assert found[0].startswith(".".join(path))
    assert words in found[0]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("enabled",), ...),
        (("bot_id",), 7),
        (("user_id",), "12"),
        (("symbol",), "brk.b"),
        (("symbol",), "F"),
        (("broker", "commission"), 0),
        (("broker", "cash"), 1),
        (("risk_management", "max_daily_loss"), 0),
        (("risk_management", "stop_loss_pct"), None),
        (("trading", "max_positions"), 3.0),
        (("notifications", "notify_telegram_chat_id"), -100123),
        (("notifications", "performance_summaries"), "hourly"),
        (("notifications", "performance_summaries"), ["weekly", "Monthly"]),
        (("notifications", "performance_summaries"), None),
        (("notifications", "notify_telegram_chat_id"), ""),
        (("notifications", "notify_email"), " me@example.com "),
        (("notifications", "webhook"), "ops"),
        (("scheduling",), {"enabled": True, "start_time": "09:00", "trading_days": ["Monday"], "timezone": "UTC"}),
        (("resources",), {"requests": {"cpu": "100m", "memory": "128Mi"}}),
        (("kubernetes",), {"resources": {"limits": {"cpu": "0.5", "memory": "512Mi"}}, "labels": {"team": "a"}}),
        (("kubernetes",), {"node_selector": None, "tolerations": None, "priority_class": None, "labels": None}),
        (("kubernetes",), {"tolerations": [{"key": "a.example/b", "operator": "exists", "effect": "NoSchedule"}]}),
        (("on_stop",), "flatten"),
        (("name",), 5),
    ],
)
def test_what_is_allowed_is_read(path: tuple[str, ...], value: Any) -> None:
    valid(changed(*path, to=value))


def test_unknown_keys_inside_the_kubernetes_section_are_told_where_they_are() -> None:
    section = {"lables": {}, "resources": {"limit": {}}, "tolerations": [{"key": "a", "tolerationSeconds": 3}]}
    told = "\n".join(notices(changed("kubernetes", to=section)))
    assert "kubernetes.lables: is not known here; kept, not read; did you mean labels?" in told
    assert "kubernetes.resources.limit: is not known here; kept, not read; did you mean limits?" in told
    assert "kubernetes.tolerations.0.tolerationSeconds: is not known here" in told


def test_unknown_keys_are_kept_with_the_nearest_name_that_is_known() -> None:
    document = changed("broker", "comission", to=0.1)
    parsed = parse_config(document)
    assert parsed.config is not None
    assert parsed.canonical is not None
    assert parsed.canonical["broker"]["comission"] == 0.1
    assert "broker.comission: is not known here; kept, not read; did you mean commission?" in notices(document)


def test_secrets_are_neither_shown_nor_kept() -> None:
    document = changed("broker", "api_key", to="hunter2")
    document["data"] = {**document["data"], "api_secret": "hunter2"}
    document["broker"]["auth"] = {"password": "hunter2"}
    parsed = parse_config(document | {"symbol": None, "credentials_secret": "binance-keys"})
    assert "hunter2" not in str(parsed.problems) + str(parsed.notices) + json.dumps(parsed.canonical)
    assert parsed.canonical is not None
    assert parsed.canonical["credentials_secret"] == "binance-keys"
    assert "hunter2" not in parse_config({"broker": {"type": "hunter2"} | document["broker"]}).error


def test_what_would_exhaust_a_walker_is_refused_by_its_path() -> None:
    deep: Any = 1
    for _ in range(DEEPEST + 1):
        deep = {"a": deep}
    assert "nested more than" in problems(changed("data", to=deep))[0]
    assert problems(changed("data", "seed", to=10**400)) == [
        "data.seed: is too large a number; allowed: what a double can hold"
    ]


def test_notifications_of_a_channel_that_is_off_are_not_read_and_a_flag_wins_over_a_list() -> None:
    nested = {
        "telegram": {"enabled": True, "notify_on": ["trade_entry", "status", "lunch"]},
        "email": {"enabled": False, "notify_on": ["trade_exit"]},
        "position_opened": False,
    }
    config = valid(CURRENT | {"notifications": nested}).notifications
    assert (config.position_opened, config.position_closed, config.bot_events) == (False, False, True)
    assert (config.telegram_enabled, config.email_enabled) == (True, False)
    assert any("['lunch'] are no events" in text for text in notices(CURRENT | {"notifications": nested}))
    assert valid(CURRENT | {"notifications": nested | {"enabled": False}}).notifications.enabled is False
    assert "is not a list of events" in problems(CURRENT | {"notifications": {"notify_on": "all"}})[0]


def test_a_flag_that_stands_in_the_list_of_channels_is_read_as_the_flag_unless_that_says_otherwise() -> None:
    listed = {"channels": ["telegram", "apprise", "slack"], "slack_enabled": False}
    config = valid(CURRENT | {"notifications": listed}).notifications
    assert (config.telegram_enabled, config.slack_enabled, config.channels) == (True, False, ("apprise",))
    assert any("is read as telegram_enabled" in text for text in notices(CURRENT | {"notifications": listed}))


@pytest.mark.parametrize("webhook", ["https://hooks.example.com/T000/hunter2", {"url": "https://x"}, ["ops"]])
def test_a_webhook_that_is_no_name_is_neither_read_nor_shown(webhook: Any) -> None:
    document = CURRENT | {"notifications": {"webhook": webhook, "webhook_enabled": True}}
    assert valid(document).notifications.webhook is None
    assert [text for text in notices(document) if "webhook" in text] == [
        "notifications.webhook: is not read: a webhook is named, such as ops, and its URL stands in WEBHOOK_OPS_URL"
    ]
