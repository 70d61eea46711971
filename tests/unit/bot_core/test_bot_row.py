from decimal import Decimal
from typing import Any

import pytest

from bot_core.models.bot import BotRow, BotStatus, StoppedBy, desired_state, document_hash, may_write, stopped_by


def a_row(status: str = "enabled", *, stopped: str | None = None, **changes: Any) -> BotRow:
    metadata = {} if stopped is None else {"stopped_by": stopped}
    values = {"id": 7, "user_id": 1, "status": status, "extra_metadata": metadata, "config": {"symbol": "BTCUSDT"}}
    return BotRow.model_validate(values | changes)


@pytest.mark.parametrize(
    ("row", "runs"),
    [
        (a_row("enabled"), True),
        (a_row("starting"), True),
        (a_row("running"), True),
        (a_row("error"), True),
        (a_row("restarting"), True),
        (a_row("whatever an old program wrote"), True),
        (a_row("stopped"), True),
        (a_row("stopped", stopped="shutdown"), True),
        (a_row("stopped", stopped="config"), True),
        (a_row("stopped", stopped="request"), False),
        (a_row("disabled"), False),
        (a_row("stopping"), False),
        (a_row("running", config={"enabled": False}), False),
        (a_row("running", config={"enabled": True}), True),
        (a_row("enabled", config="not a document"), True),
        (a_row("enabled", stopped="request"), True),
    ],
)
def test_what_a_row_asks_for(row: BotRow, runs: bool) -> None:
    assert desired_state(row).run is runs
    assert desired_state(row).reason


def test_only_a_restart_request_asks_for_a_restart() -> None:
    assert [s for s in BotStatus if desired_state(a_row(s)).restart] == [BotStatus.RESTARTING]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (a_row("running"), StoppedBy.SHUTDOWN),
        (a_row("disabled"), StoppedBy.REQUEST),
        (a_row("stopping"), StoppedBy.REQUEST),
        (a_row("stopped", stopped="request"), StoppedBy.REQUEST),
        (a_row("running", config={"enabled": False}), StoppedBy.CONFIG),
    ],
)
def test_why_a_bot_stops_is_read_from_its_row(row: BotRow, why: StoppedBy) -> None:
    assert stopped_by(row) is why


@pytest.mark.parametrize("observation", [BotStatus.STARTING, BotStatus.RUNNING, BotStatus.ERROR])
def test_an_observation_never_replaces_a_request_to_stop(observation: BotStatus) -> None:
    assert not may_write("disabled", observation)
    assert not may_write("stopping", observation)
    assert may_write("enabled", observation)
    assert may_write("error", observation)
    assert may_write("something unknown", observation)


def test_a_restart_request_is_answered_by_starting_and_by_nothing_later() -> None:
    assert may_write("restarting", BotStatus.STARTING)
    assert may_write("restarting", BotStatus.STOPPED)
    assert not may_write("restarting", BotStatus.RUNNING)
    assert not may_write("restarting", BotStatus.ERROR)


@pytest.mark.parametrize("odd", [None, [1], "text", 3, '{"a": 1', True])
def test_odd_json_in_a_row_is_read_as_what_it_is_and_raises_nothing(odd: Any) -> None:
    row = a_row(config=odd, extra_metadata=odd)
    assert row.document is None
    assert row.extra_metadata == {}
    assert desired_state(row).run
    assert row.config_hash


def test_a_document_stored_as_text_is_a_document() -> None:
    row = a_row(config='{"symbol": "ETHUSDT", "name": "x"}', extra_metadata='{"stopped_by": "request"}')
    assert row.document == {"symbol": "ETHUSDT", "name": "x"}
    assert row.extra_metadata == {"stopped_by": "request"}


def test_the_name_comes_from_the_document_then_the_description_then_the_id() -> None:
    assert a_row(config={"name": "mine"}, description="other").name == "mine"
    assert a_row(description="other").name == "other"
    assert a_row().name == "Bot 7"


def test_equal_documents_have_equal_hashes_whatever_the_order_of_their_keys() -> None:
    assert document_hash({"a": 1, "b": [1, 2]}) == document_hash({"b": [1, 2], "a": 1})
    assert document_hash({"a": 1}) != document_hash({"a": 2})
    assert document_hash({"a": Decimal(1)})
