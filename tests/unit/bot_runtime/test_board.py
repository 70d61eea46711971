from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bot_runtime.engine.board import BotBoard, FleetBoard, Phase
from bot_runtime.engine.progress import Progress
from bot_runtime.metrics import exposition

HALT = "halted (all bots) by anna since 2026-03-02 12:00:00 UTC: news"
AWAY = "the database does not answer; no order is sent meanwhile"


def a_board(**values: Any) -> BotBoard:
    return BotBoard(7, "a bot", phase=Phase.RUNNING, **values)


def scraped(*boards: BotBoard) -> dict[str, list[tuple[dict[str, str], float]]]:
    fleet = FleetBoard()
    fleet.bots = {board.bot_id: board for board in boards}
    families = text_string_to_metric_families(exposition(fleet, Progress()).decode())
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in families:
        for sample in family.samples:
            found.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
    return found


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({}, ""),
        ({"message": "the data has ended"}, "the data has ended"),
        ({"feed_trouble": "no bar for 90 s"}, "no bar for 90 s"),
        ({"feed_trouble": "no bar for 90 s", "venue_trouble": "HTTP 503"}, "HTTP 503"),
        ({"message": "keeps its last good configuration", "feed_trouble": "late"}, "keeps its last good configuration"),
        ({"message": "x", "database_away": True}, AWAY),
        ({"message": "x", "database_away": True, "halted": HALT}, HALT),
    ],
)
def test_what_matters_most_is_the_message(values: dict[str, Any], shown: str) -> None:
    assert a_board(**values).shown_message == shown
    assert a_board(**values).to_json()["message"] == shown


def test_an_error_is_not_hidden_by_a_halt() -> None:
    board = a_board(halted=HALT, message="the broker refused")
    board.phase = Phase.ERROR
    assert board.shown_message == "the broker refused"


def test_the_status_shows_account_halt_stop_skew_and_refusal() -> None:
    board = a_board(
        halted=HALT,
        account="binance:bot-keys",
        feed_trouble="no bar for 90 s",
        venue_trouble="HTTP 503",
        clock_skew=-0.12345,
        protective_stop=Decimal("95.50"),
        refused="entry signal, but max_daily_trades is 2",
    )
    status = board.to_json()
    assert {
        name: status[name]
        for name in ("halted", "account", "feed_trouble", "venue_trouble", "clock_skew_seconds", "protective_stop")
    } == {
        "halted": HALT,
        "account": "binance:bot-keys",
        "feed_trouble": "no bar for 90 s",
        "venue_trouble": "HTTP 503",
        "clock_skew_seconds": -0.123,
        "protective_stop": "95.50",
    }
    assert status["last_refusal"] == "entry signal, but max_daily_trades is 2"
    quiet = a_board().to_json()
    assert [quiet[name] for name in ("halted", "account", "feed_trouble", "clock_skew_seconds", "protective_stop")] == [
        None
    ] * 5


def test_metrics_tell_who_is_halted_stale_or_skewed() -> None:
    troubled = a_board(halted=HALT, feed_trouble="late", venue_trouble="away", clock_skew=1.5)
    troubled.protective_stop = Decimal("95.5")
    other = BotBoard(8, "another", heartbeat=datetime.now(UTC))
    found = scraped(troubled, other)
    seven, eight = {"bot_id": "7"}, {"bot_id": "8"}
    assert found["tradingbot_halted"] == [(seven, 1.0), (eight, 0.0)]
    assert found["tradingbot_feed_stale"] == [(seven, 1.0), (eight, 0.0)]
    assert found["tradingbot_venue_unreachable"] == [(seven, 1.0), (eight, 0.0)]
    assert found["tradingbot_clock_skew_seconds"] == [(seven, 1.5)]
    assert found["tradingbot_protective_stop_price"] == [(seven, 95.5)]


def test_refusals_are_counted_apart_from_orders() -> None:
    board = a_board()
    for state in ("intended", "refused", "filled", "refused"):
        board.count_order(state)
    found = scraped(board)
    assert found["tradingbot_orders_refused_total"] == [({"bot_id": "7"}, 2.0)]
    assert {labels["state"] for labels, _ in found["tradingbot_orders_total"]} == {"intended", "filled"}
