from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot_core.models.errors import InvalidBotError
from bot_runtime.feeds.intervals import bars_apart, canonical_interval, is_closed, next_open, open_of, shifted

TIMES = st.integers(365 * 86_400, 230 * 365 * 86_400).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
INTERVALS = ["1s", "1m", "5m", "90m", "1h", "4h", "1d", "3d", "1w", "2w", "1W", "1M"]


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("opened", "interval", "following"),
    [
        ("2024-01-31T23:59", "1m", "2024-02-01T00:00"),
        ("2024-02-01", "1M", "2024-03-01"),  # a leap year
        ("2023-02-01", "1M", "2023-03-01"),
        ("2024-12-01", "1M", "2025-01-01"),
        ("2024-02-28", "1d", "2024-02-29"),
        ("2024-02-29", "1d", "2024-03-01"),
        ("2024-12-30", "1w", "2025-01-06"),
        ("2024-12-30", "1W", "2025-01-06"),
    ],
)
def test_the_next_bar_opens_by_the_calendar(opened, interval, following):
    assert next_open(at(opened), interval) == at(following)
    assert not is_closed(at(opened), interval, at(following) - timedelta(microseconds=1))
    assert is_closed(at(opened), interval, at(following))


@pytest.mark.parametrize(
    ("time", "interval", "opened"),
    [
        ("2024-02-29T23:59:59", "1M", "2024-02-01"),
        ("2024-03-31T12:00", "1M", "2024-03-01"),
        ("2024-03-10T23:59", "1w", "2024-03-04"),  # a Sunday
        ("2024-03-11T00:00", "1w", "2024-03-11"),  # a Monday
        ("2024-03-11T13:47", "4h", "2024-03-11T12:00"),
        ("2024-03-11T13:47:31", "1d", "2024-03-11"),
    ],
)
def test_a_time_falls_into_the_bar_that_opened_last(time, interval, opened):
    assert open_of(at(time), interval) == at(opened)


def test_months_are_counted_by_the_calendar_both_ways():
    assert shifted(at("2024-01-01"), "1M", -13) == at("2022-12-01")
    assert shifted(at("2024-01-01"), "1M", 14) == at("2025-03-01")
    assert bars_apart(at("2022-12-01"), at("2024-01-01"), "1M") == 13


def test_weeks_have_two_spellings_and_months_and_minutes_are_told_apart():
    assert [canonical_interval(text) for text in ("1W", "1w", "1M", "1m")] == ["1w", "1w", "1M", "1m"]
    with pytest.raises(InvalidBotError, match="is no interval"):
        canonical_interval("2M")


@given(TIMES, st.sampled_from(INTERVALS), st.integers(-200, 200))
def test_opens_shifts_and_counts_agree(time, interval, bars):
    opened = open_of(time, interval)
    assert opened <= time < next_open(opened, interval)
    assert open_of(opened, interval) == opened
    if opened.year + bars > 1971 and opened.year + bars < 9000:
        moved = shifted(opened, interval, bars)
        assert bars_apart(opened, moved, interval) == bars
        assert open_of(moved, interval) == moved
