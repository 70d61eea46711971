from datetime import UTC, datetime, timedelta

import pytest

from bot_runtime.feeds.venue_clock import VenueClock

SAID = datetime(2024, 3, 5, 12, tzinfo=UTC)


class Ticks:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def test_the_time_is_never_later_than_the_venues_own_clock():
    ticks = Ticks()
    clock = VenueClock(ticks)
    asked = clock.mark()
    ticks.now += 4  # the answer was under way for some time, nobody knows which way longer
    clock.read(SAID, asked)
    assert clock.now() == SAID
    ticks.now += 60
    assert clock.now() == SAID + timedelta(seconds=60)
    assert clock.age == 60


def test_the_skew_is_measured_halfway():
    ticks = Ticks()
    clock = VenueClock(ticks)
    assert clock.skew is None
    asked = clock.mark()
    ticks.now += 4
    clock.read(datetime.now(UTC) - timedelta(seconds=2) + timedelta(hours=1), asked)
    assert clock.skew == pytest.approx(3600, abs=0.5)


def test_what_the_venue_sends_moves_its_time_on_but_never_back():
    ticks = Ticks()
    clock = VenueClock(ticks)
    clock.read(SAID, clock.mark())
    clock.heard(SAID - timedelta(seconds=5))
    assert clock.now() == SAID
    clock.heard(SAID + timedelta(seconds=5))
    assert clock.now() == SAID + timedelta(seconds=5)


def test_a_clock_of_ours_that_runs_fast_is_put_right_by_what_the_venue_sends():
    ticks = Ticks()
    clock = VenueClock(ticks)
    clock.read(SAID, clock.mark())
    ticks.now += 3600
    clock.heard(SAID + timedelta(seconds=3590))
    assert clock.now() == SAID + timedelta(seconds=3590)
