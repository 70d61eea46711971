from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot_core.models.config import UpdatePolicy, parse_config
from support.bots import a_document


def problems_of(**changes: Any) -> dict[str, str]:
    parsed = parse_config(a_document(**changes))
    assert parsed.config is None
    return {problem.path: str(problem) for problem in parsed.problems}


def test_a_valid_document_is_read_exactly() -> None:
    parsed = parse_config(a_document(update_policy="when_flat", symbol="btc/usdt"))
    assert parsed.problems == ()
    assert parsed.error == ""
    assert parsed.config is not None
    assert parsed.config.symbol == "BTCUSDT"
    assert parsed.config.update_policy is UpdatePolicy.WHEN_FLAT
    assert str(parsed.config.broker.commission) == "0.001"


def test_every_problem_is_named_at_once_with_its_path_its_value_and_what_is_allowed() -> None:
    found = problems_of(
        symbol="BTC USDT!",
        broker={"type": "mtgox", "trading_mode": "live", "cash": -1},
        data={"data_source": "binance", "interval": "1 hour", "lookback_bars": 0},
        strategy={"type": "CustomStrategy", "parameters": {}},
        update_policy="never",
    )
    assert set(found) >= {
        "symbol",
        "broker.type",
        "broker.live_trading_confirmed",
        "broker.cash",
        "data.interval",
        "data.lookback_bars",
        "update_policy",
        "strategy.parameters.entry_logic",
        "strategy.parameters.exit_logic",
    }
    assert "'mtgox'" in found["broker.type"]
    assert "allowed: " in found["broker.type"]


@pytest.mark.parametrize(
    ("data", "path", "words"),
    [
        ({"data_source": "file"}, "data", "has no file_path"),
        ({"data_source": "file", "file_path": " "}, "data.file_path", "is empty"),
        (
            {"data_source": "generated", "speed": "fast"},
            "data.speed",
            "is no number; allowed: a number from 0 to 1e+06",
        ),
        ({"data_source": "generated", "start": "yesterday"}, "data.start", "is no time; allowed: ISO 8601"),
        ({"data_source": "ftp"}, "data.data_source", "is no known source; allowed: file, generated, binance"),
    ],
)
def test_what_a_feed_needs_is_checked_before_it_is_built(data: dict[str, Any], path: str, words: str) -> None:
    assert words in problems_of(data=data)[path]


@pytest.mark.parametrize("part", ["symbol", "broker", "data", "strategy"])
def test_a_missing_part_is_named(part: str) -> None:
    document = a_document()
    del document[part]
    parsed = parse_config(document)
    assert parsed.config is None
    assert any(p.path == part and "is missing" in str(p) for p in parsed.problems)


@pytest.mark.parametrize("odd", [None, 3, "text", [], True])
def test_what_is_no_object_is_refused_in_words(odd: Any) -> None:
    assert "is not a JSON object" in parse_config(odd).error


@pytest.mark.parametrize("odd", [["binance"], {"a": 1}, 3, None])
def test_an_odd_type_of_a_live_broker_is_refused_in_words(odd: Any) -> None:
    parsed = parse_config(a_document(broker={"type": odd, "trading_mode": "live"}))
    assert parsed.config is None
    assert "broker" in parsed.error


def test_unknown_keys_are_kept_and_reported_and_stop_nothing() -> None:
    parsed = parse_config(a_document(frobnicate=1, logging={"level": "INFO"}))
    assert parsed.config is not None
    assert [notice.path for notice in parsed.notices if notice.path == "frobnicate"] == ["frobnicate"]
    assert not [notice for notice in parsed.notices if notice.path == "logging"]


def test_no_value_of_a_secret_gets_into_a_message() -> None:
    text = parse_config(a_document(broker={"api_key": "AKIA-1234", "type": {"password": "hunter2"}})).error
    assert "AKIA-1234" not in text
    assert "hunter2" not in text


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(path=st.lists(st.integers(0, 8), min_size=1, max_size=6), value=_JSON)
def test_a_document_with_anything_anywhere_raises_nothing_and_every_refusal_names_a_path(
    path: list[int], value: Any
) -> None:
    document: Any = a_document()
    place = document
    *way, last = path
    for step in way:
        keys = list(place)
        child = place[keys[step % len(keys)]] if keys else None
        if not isinstance(child, dict) or not child:
            break
        place = child
    keys = list(place)
    place[keys[last % len(keys)]] = value
    parsed = parse_config(document)
    assert (parsed.config is None) == bool(parsed.problems)
    assert (parsed.config is None) == bool(parsed.error)
    assert all(problem.path for problem in parsed.problems)
