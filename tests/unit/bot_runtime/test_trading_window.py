from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bot_core.models.operation import SchedulingConfig
from bot_runtime.risk.window import TradingWindow

OFFICE = {"start_time": "09:00", "end_time": "17:00"}
WEEK = ["monday", "tuesday", "wednesday", "thursday", "friday"]


def allows(scheduling: dict[str, Any], moment: str) -> bool:
    window = TradingWindow(SchedulingConfig.model_validate({"enabled": True} | scheduling))
    return window.allows(datetime.fromisoformat(moment))


@pytest.mark.parametrize(
    ("scheduling", "moment", "allowed"),
    [
        ({}, "2026-03-07T03:00Z", True),
        (OFFICE, "2026-03-02T08:59:59Z", False),
        (OFFICE, "2026-03-02T09:00Z", True),
        (OFFICE, "2026-03-02T16:59:59Z", True),
        (OFFICE, "2026-03-02T17:00Z", False),
        (OFFICE | {"trading_days": WEEK}, "2026-03-06T12:00Z", True),
        (OFFICE | {"trading_days": WEEK}, "2026-03-07T12:00Z", False),
        ({"start_time": "09:00"}, "2026-03-02T23:59Z", True),
        ({"start_time": "09:00"}, "2026-03-02T00:00Z", False),
        ({"end_time": "09:00"}, "2026-03-02T00:00Z", True),
        ({"end_time": "09:00"}, "2026-03-02T09:00Z", False),
        # Another zone: the day and the clock are those of the zone.
        (OFFICE | {"timezone": "America/New_York"}, "2026-01-05T14:00Z", True),
        (OFFICE | {"timezone": "America/New_York"}, "2026-01-05T13:59Z", False),
        ({"timezone": "Asia/Tokyo", "trading_days": ["monday"]}, "2026-03-01T15:00Z", True),
        ({"timezone": "Asia/Tokyo", "trading_days": ["monday"]}, "2026-03-01T14:59Z", False),
        # Across midnight: the hours after it belong to the day before.
        ({"start_time": "22:00", "end_time": "02:00", "trading_days": ["friday"]}, "2026-03-06T22:00Z", True),
        ({"start_time": "22:00", "end_time": "02:00", "trading_days": ["friday"]}, "2026-03-07T01:59Z", True),
        ({"start_time": "22:00", "end_time": "02:00", "trading_days": ["friday"]}, "2026-03-07T02:00Z", False),
        ({"start_time": "22:00", "end_time": "02:00", "trading_days": ["friday"]}, "2026-03-06T01:00Z", False),
        ({"start_time": "22:00", "end_time": "02:00", "trading_days": ["friday"]}, "2026-03-07T22:00Z", False),
        # Equal times: a whole day from then on.
        ({"start_time": "09:00", "end_time": "09:00", "trading_days": ["friday"]}, "2026-03-06T08:59Z", False),
        ({"start_time": "09:00", "end_time": "09:00", "trading_days": ["friday"]}, "2026-03-07T08:59Z", True),
    ],
)
def test_entries_are_allowed_inside_the_window(scheduling: dict[str, Any], moment: str, allowed: bool) -> None:
    assert allows(scheduling, moment) is allowed


NIGHT = {"start_time": "02:30", "end_time": "04:00", "timezone": "Europe/Berlin"}


@pytest.mark.parametrize(
    ("moment", "allowed"),
    [
        ("2026-03-29T00:59Z", False),  # 01:59, and the next minute is 03:00
        ("2026-03-29T01:00Z", True),  # 03:00
        ("2026-03-29T01:59Z", True),  # 03:59
        ("2026-03-29T02:00Z", False),  # 04:00
        ("2026-10-25T00:29Z", False),  # 02:29, summer time
        ("2026-10-25T00:30Z", True),  # 02:30, the first time
        ("2026-10-25T01:00Z", False),  # 02:00 once more
        ("2026-10-25T01:30Z", True),  # 02:30, the second time
        ("2026-10-25T03:00Z", False),  # 04:00
    ],
)
def test_the_window_is_on_the_wall_clock_when_the_clocks_change(moment: str, allowed: bool) -> None:
    assert allows(NIGHT, moment) is allowed


def test_a_window_inside_the_hour_that_is_skipped_has_no_entries_on_that_day() -> None:
    skipped = {"start_time": "02:00", "end_time": "03:00", "timezone": "Europe/Berlin"}
    hours = [f"2026-03-29T{hour:02}:30Z" for hour in range(24)]
    assert not any(allows(skipped, hour) for hour in hours)
    assert allows(skipped, "2026-03-30T00:30Z")


def test_a_bar_without_the_zone_of_the_window_is_judged_by_its_instant() -> None:
    window = TradingWindow(SchedulingConfig.model_validate({"enabled": True} | OFFICE))
    assert window.allows(datetime(2026, 3, 2, 18, 30, tzinfo=ZoneInfo("Asia/Tokyo")))
