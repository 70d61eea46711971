import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bot_runtime.domain.position import Direction, Position
from bot_runtime.engine.board import BotBoard, FleetBoard, Phase
from bot_runtime.engine.figures import Distribution
from bot_runtime.engine.progress import Progress
from bot_runtime.metrics import exposition
from bot_runtime.notifications.metrics import NotificationFigures

NOW = datetime(2026, 3, 2, tzinfo=UTC)
#: Names that dashboards and alert rules are written against.
PER_BOT = {
    "bar_lag_seconds", "feed_age_seconds", "exposure", "equity", "drawdown_ratio", "config_invalid", "quarantined",
    "bot_info", "fills_total", "lease_losses_total", "balance", "pnl_total", "position_quantity", "halted",
    "heartbeat_age_seconds", "bar_age_seconds", "protective_stop_price", "feed_stale", "venue_unreachable",
    "clock_skew_seconds", "bars_total", "trades_total", "errors_total", "restarts_total", "orders_total",
    "orders_refused_total",
}  # fmt: skip
OF_THE_PROCESS = {
    "bots", "order_latency_seconds_bucket", "database_seconds_bucket", "database_errors_total", "database_up",
    "notifications_pending", "notifications_oldest_seconds", "notifications_total", "notification_channel_up",
    "process_cpu_ratio", "process_resident_bytes", "process_open_fds", "process_max_fds", "event_loop_lag_seconds",
    "event_loop_blocked_seconds", "resource_pressure", "build_info", "loop_age_seconds",
}  # fmt: skip
#: Series that a bot may have at most: one a metric, and one an order state and a side.
MOST_PER_BOT = 40


def a_position() -> Position:
    return Position(Direction.LONG, Decimal(2), Decimal(100), NOW, NOW, Decimal(0), "test")


def a_busy_board(bot_id: int) -> BotBoard:
    board = BotBoard(bot_id, f"bot {bot_id}", symbol="BTCUSDT", interval="1h", strategy="a / b", mode="paper")
    board.phase, board.balance, board.total_pnl = Phase.RUNNING, Decimal(10_000), Decimal(-12)
    board.position, board.last_price, board.bar_time = a_position(), 90.0, datetime.now(UTC)
    board.heartbeat, board.clock_skew, board.protective_stop = datetime.now(UTC), 0.2, Decimal(80)
    board.bar_lag, board.fed_at = 0.1, time.monotonic()
    for state in ("intended", "submitted", "unknown", "open", "filled", "canceled", "rejected", "refused"):
        board.count_order(state)
    for side in ("buy", "sell"):
        board.count_fill(side)
    return board


@pytest.fixture(autouse=True)
def _one_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = NotificationFigures(pending={"email": 1}, oldest={"email": 3.0}, up={"email": True})
    figures.count("email", "delivered")
    monkeypatch.setattr("bot_runtime.notifications.metrics.FIGURES", figures)


def a_fleet(*boards: BotBoard) -> FleetBoard:
    fleet = FleetBoard()
    fleet.bots = {board.bot_id: board for board in boards}
    fleet.process.database.observe("read", 0.002, None)
    fleet.process.order_latency.add(0.3)
    used = fleet.process.resources
    used.cpu_ratio, used.resident_bytes, used.open_fds, used.max_fds, used.loop_lag = 0.1, 10**8, 30, 1024, 0.001
    return fleet


def samples(fleet: FleetBoard) -> list[tuple[str, dict[str, str], float]]:
    progress = Progress()
    progress.mark("strategy-manager")
    families = text_string_to_metric_families(exposition(fleet, progress).decode())
    return [(one.name.removeprefix("tradingbot_"), dict(one.labels), one.value) for f in families for one in f.samples]


def value(fleet: FleetBoard, name: str, **labels: str) -> float:
    (found,) = [seen for known, has, seen in samples(fleet) if known == name and labels.items() <= has.items()]
    return found


def test_every_name_that_dashboards_and_alerts_use_is_there() -> None:
    found = samples(a_fleet(a_busy_board(7)))
    assert {name for name, labels, _ in found if "bot_id" in labels} == PER_BOT
    assert {name for name, labels, _ in found if "bot_id" not in labels} >= OF_THE_PROCESS


@pytest.mark.parametrize("bots", [1, 40])
def test_a_bot_adds_a_bounded_number_of_series_whatever_happened_to_it(bots: int) -> None:
    found = samples(a_fleet(*(a_busy_board(number) for number in range(bots))))
    of_bots = [labels for _, labels, _ in found if "bot_id" in labels]
    assert len(of_bots) == bots * len([labels for labels in of_bots if labels["bot_id"] == "0"])
    assert len(of_bots) <= bots * MOST_PER_BOT
    assert len(found) - len(of_bots) < 100
    assert {name for _, labels, _ in found for name in labels} <= {
        "bot_id", "phase", "state", "side", "symbol", "interval", "strategy", "mode", "loop", "le", "kind", "channel",
        "outcome", "resource", "version",
    }  # fmt: skip


def test_equity_and_exposure_follow_the_last_price_and_drawdown_the_highest_equity() -> None:
    board = a_busy_board(7)
    fleet = a_fleet(board)
    assert value(fleet, "exposure") == 180
    assert value(fleet, "equity") == 9_980
    assert value(fleet, "drawdown_ratio") == 0
    board.note_peak(12_475)
    assert value(fleet, "drawdown_ratio") == pytest.approx(0.2)
    board.last_price = 2_000.0
    board.note_peak()
    board.position, board.balance = None, Decimal(12_000)
    assert board.peak == 13_800
    assert value(fleet, "exposure") == 0
    assert value(fleet, "drawdown_ratio") == pytest.approx(1_800 / 13_800)


def test_what_is_not_known_has_no_series() -> None:
    found = {name for name, _, _ in samples(a_fleet(BotBoard(7, "new")))}
    assert not found & {"equity", "exposure", "drawdown_ratio", "bar_lag_seconds", "feed_age_seconds", "balance"}


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"config_invalid": True}, "config_invalid"),
        ({"keeps_last_good": True}, "config_invalid"),
        ({"quarantined": True}, "quarantined"),
    ],
)
def test_a_document_that_can_not_run_and_a_quarantine_are_told(values: dict[str, bool], name: str) -> None:
    board = a_busy_board(7)
    assert value(a_fleet(board), name) == 0
    for key, given in values.items():
        setattr(board, key, given)
    assert value(a_fleet(board), name) == 1


def test_a_distribution_counts_into_cumulative_buckets_with_the_bound_included() -> None:
    taken = Distribution([0.1, 1.0])
    for seconds in (0.05, 0.1, 0.5, 7.0):
        taken.add(seconds)
    assert taken.buckets() == [("0.1", 2.0), ("1.0", 3.0), ("+Inf", 4.0)]
    assert taken.total == pytest.approx(7.65)


def test_the_age_of_the_feed_grows_until_it_delivers_and_ends_with_its_data() -> None:
    board = a_busy_board(7)
    board.fed_at = time.monotonic() - 90
    assert 90 <= value(a_fleet(board), "feed_age_seconds") < 95
    board.fed_at = None
    assert "feed_age_seconds" not in {name for name, _, _ in samples(a_fleet(board))}


def test_the_bar_age_is_on_the_wall_clock() -> None:
    board = a_busy_board(7)
    board.bar_time = datetime.now(UTC) - timedelta(hours=2)
    assert value(a_fleet(board), "bar_age_seconds") == pytest.approx(7_200, abs=5)


def test_five_hundred_bots_are_exposed_in_a_fraction_of_a_second(record_property: Any) -> None:
    fleet = a_fleet(*(a_busy_board(number) for number in range(500)))
    started = time.perf_counter()
    text = exposition(fleet, Progress())
    taken = time.perf_counter() - started
    record_property("seconds", taken)
    print(f"\n500 bots: {len(text.splitlines())} lines, {len(text) / 1e6:.2f} MB, {taken * 1e3:.0f} ms")
    assert taken < 5
