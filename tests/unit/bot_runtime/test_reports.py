from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bot_core.models.notification import SummaryPeriod
from bot_runtime.notifications.periods import CATCH_UP, Period, due_periods
from bot_runtime.notifications.reports import Holding, build_report, read_trade

BERLIN = ZoneInfo("Europe/Berlin")
SUNDAY = Period(
    SummaryPeriod.DAILY,
    date(2026, 3, 29),
    date(2026, 3, 29),
    datetime(2026, 3, 28, 23, tzinfo=UTC),
    datetime(2026, 3, 29, 22, tzinfo=UTC),
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def due(now: str, since: str, zone: str = "UTC") -> list[str]:
    return [f"{period.kind} {period}" for period in due_periods(at(now), ZoneInfo(zone), at(since))]


@pytest.mark.parametrize(
    ("now", "since", "zone", "expected"),
    [
        pytest.param("2026-03-25T00:00", "2026-03-24T23:59", "UTC", ["daily 2026-03-24"], id="the very moment"),
        pytest.param("2026-03-25T00:01", "2026-03-25T00:00", "UTC", [], id="not twice"),
        pytest.param("2026-03-24T23:59:59", "2026-03-24T12:00", "UTC", [], id="not early"),
        pytest.param("2026-03-24T23:00", "2026-03-24T22:59", "Europe/Berlin", ["daily 2026-03-24"], id="winter time"),
        pytest.param("2026-03-30T22:00", "2026-03-30T21:59", "Europe/Berlin", ["daily 2026-03-30"], id="summer time"),
        pytest.param("2026-03-24T18:30", "2026-03-24T18:15", "Asia/Kolkata", ["daily 2026-03-24"], id="half an hour"),
        pytest.param("2026-03-24T18:15", "2026-03-24T18:00", "Asia/Kathmandu", ["daily 2026-03-24"], id="a quarter"),
        pytest.param(
            "2026-03-23T00:05",
            "2026-03-22T23:50",
            "UTC",
            ["daily 2026-03-22", "weekly 2026-03-16 to 2026-03-22"],
            id="Monday",
        ),
        pytest.param(
            "2026-03-01T00:05",
            "2026-02-28T23:50",
            "UTC",
            ["daily 2026-02-28", "monthly 2026-02-01 to 2026-02-28"],
            id="the first",
        ),
        pytest.param(
            "2026-06-01T00:05",
            "2026-05-31T23:50",
            "UTC",
            ["daily 2026-05-31", "weekly 2026-05-25 to 2026-05-31", "monthly 2026-05-01 to 2026-05-31"],
            id="a Monday that is the first",
        ),
        pytest.param(
            "2026-03-25T09:00",
            "2026-03-23T09:00",
            "UTC",
            ["daily 2026-03-23", "daily 2026-03-24"],
            id="two days away",
        ),
        pytest.param(
            "2026-03-25T09:00",
            "2026-01-01T09:00",
            "UTC",
            ["daily 2026-03-22", "weekly 2026-03-16 to 2026-03-22", "daily 2026-03-23", "daily 2026-03-24"],
            id="months away",
        ),
        pytest.param("2026-03-24T09:00", "2026-03-25T09:00", "UTC", [], id="a clock that went back"),
        # Summer time begins at midnight: the day begins at one. The island left out a day: none ends.
        pytest.param("2026-04-24T21:00", "2026-04-24T20:45", "Africa/Cairo", ["daily 2026-04-24"], id="Cairo"),
        pytest.param("2011-12-30T10:00", "2011-12-30T09:45", "Pacific/Apia", ["daily 2011-12-29"], id="a day left out"),
    ],
)
def test_periods_that_are_over(now: str, since: str, zone: str, expected: list[str]) -> None:
    assert due(now, since, zone) == expected


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("Africa/Cairo", date(2026, 4, 24), 23),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
    ],
)
def test_a_day_on_which_the_clocks_change_has_its_own_length(zone: str, day: date, hours: float) -> None:
    after = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(zone)) + timedelta(days=1)
    (period,) = [
        one
        for one in due_periods(after.astimezone(UTC), ZoneInfo(zone), after.astimezone(UTC) - CATCH_UP)
        if one.kind is SummaryPeriod.DAILY and one.first == day
    ]
    assert period.end - period.start == timedelta(hours=hours)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Africa/Cairo", "Pacific/Apia"])
def test_a_year_seen_quarter_by_quarter_has_every_period_once_and_no_gap_between(zone: str) -> None:
    now, end, found = at("2026-01-01T00:00"), at("2027-01-03T00:00"), []
    while now < end:
        later = now + timedelta(minutes=15)
        found += due_periods(later, ZoneInfo(zone), now)
        now = later
    for kind, least in ((SummaryPeriod.DAILY, 365), (SummaryPeriod.WEEKLY, 52), (SummaryPeriod.MONTHLY, 12)):
        mine = [period for period in found if period.kind is kind]
        assert len(mine) >= least
        assert all(one.end == other.start for one, other in pairwise(mine))


def a_row(net: str | None, **changes: Any) -> dict[str, Any]:
    row = {
        "size": Decimal("0.5"),
        "entry_price": Decimal(2000),
        "exit_price": Decimal(2100),
        "entry_time": at("2026-03-29T10:00"),
        "exit_time": at("2026-03-29T12:00"),
        "net_pnl": None if net is None else Decimal(net),
        "commission": Decimal(2),
        "exit_reason": "take_profit",
    }
    return row | changes


def test_a_report_says_what_was_earned_and_what_is_held() -> None:
    rows = [a_row("48"), a_row("-10.5", exit_reason="stop_loss"), a_row("0"), a_row("30")]
    trades = [trade for trade in map(read_trade, rows) if trade is not None]
    held = [Holding("ETHUSDT", Decimal("0.5"), Decimal("2100.10"))]
    letter = build_report("dips", SUNDAY, BERLIN, trades, Decimal("10067.5"), held)
    assert letter.title == "Daily Report: dips"
    assert letter.text.splitlines() == [
        "Daily report of 2026-03-29 (Europe/Berlin)",
        "Trades closed: 4 (2 won, 1 lost, 1 even; win rate 50.0%)",
        "Net P&L: +67.50, fees 8.00",
        "Profit factor: 7.43",
        "Best: +48.00 / +4.80%, held 2h 0m, take_profit",
        "Worst: -10.50 / -1.05%, held 2h 0m, stop_loss",
        "Balance: 10,067.50",
        "Open position: 0.5 ETHUSDT @ 2100.1",
    ]
    figures = (
        "trades",
        "wins",
        "losses",
        "win_rate",
        "net_pnl",
        "fees",
        "best",
        "worst",
        "balance",
        "period",
        "timezone",
    )
    assert [letter.data[name] for name in figures] == [
        4, 2, 1, 50.0, "67.50000000", "8.00000000", "48.00000000", "-10.50000000", "10067.5", "daily", "Europe/Berlin"
    ]  # fmt: skip
    assert (letter.data["period_start"], letter.data["period_end"]) == (
        "2026-03-28T23:00:00+00:00",
        "2026-03-29T22:00:00+00:00",
    )


def test_a_day_without_a_trade_says_so() -> None:
    letter = build_report("dips", SUNDAY, BERLIN, [], None, [])
    assert letter.text.splitlines() == [
        "Daily report of 2026-03-29 (Europe/Berlin)",
        "No trade was closed",
        "No open position",
    ]
    assert (letter.data["win_rate"], letter.data["profit_factor"], letter.data["net_pnl"]) == (None, None, "0.00000000")


def test_what_was_earned_is_what_the_row_says_however_an_older_program_worked_it_out() -> None:
    odd = read_trade(a_row("12.34", commission=None, exit_price=Decimal(1)))
    assert odd is not None
    assert round(odd.net_pnl, 8) == Decimal("12.34")
    assert [read_trade(a_row(None)), read_trade(a_row("1", entry_price=Decimal(0)))] == [None, None]
