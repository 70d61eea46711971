from dataclasses import dataclass, field

import pytest

from bot_core.models.brake import BrakeLimits, BrakeMemory, Level, Reading, TableState, Verdict, judge, set_digest

LIMITS = BrakeLimits()
HOUR = 3600.0


def ids(count: int, first: int = 1) -> frozenset[int]:
    return frozenset(range(first, first + count))


@dataclass
class Fleet:
    """What runs and what should, and a brake that reads both whenever the test says so."""

    running: frozenset[int]
    wanted: frozenset[int]
    now: float = 1000.0
    memory: BrakeMemory = field(default_factory=BrakeMemory)
    confirmed: frozenset[int] = frozenset()

    @classmethod
    def of(cls, count: int) -> "Fleet":
        return cls(ids(count), ids(count))

    def read(self, after: float = 0.0, table: TableState = TableState.FILLED, *, stop: bool = True) -> Verdict:
        """Read once, and end what may end."""
        self.now += after
        verdict = judge(self.memory, Reading(self.running, self.wanted, self.now, table, self.confirmed), LIMITS)
        self.memory = verdict.memory
        if stop:
            self.running -= verdict.free
        return verdict


@pytest.mark.parametrize(
    ("fleet", "gone", "level"),
    [
        (10, 0, Level.OFF),
        (10, 1, Level.OFF),
        (4, 4, Level.OFF),  # fewer than min_bots, and the table holds other rows
        (10, 4, Level.OFF),
        (20, 6, Level.OFF),  # 30 % is not more than 30 %
        (16, 5, Level.WAITS),
        (20, 7, Level.WAITS),
        (10, 6, Level.WAITS),  # 60 % is not more than 60 %
        (10, 7, Level.ASKS),
        (1000, 300, Level.OFF),
        (1000, 301, Level.WAITS),
        (1000, 601, Level.ASKS),
    ],
)
def test_how_many_of_how_many_trip_the_brake(fleet: int, gone: int, level: Level) -> None:
    verdict = judge(BrakeMemory(), Reading(ids(fleet), ids(fleet) - ids(gone), 0.0), LIMITS)
    assert verdict.level is level
    assert verdict.held == (frozenset() if level is Level.OFF else ids(gone))
    assert verdict.free == (ids(gone) if level is Level.OFF else frozenset())


@pytest.mark.parametrize("table", [TableState.EMPTY, TableState.MISSING])
@pytest.mark.parametrize("count", [1, 4, 100])
def test_an_empty_or_missing_table_always_asks_a_person(table: TableState, count: int) -> None:
    fleet = Fleet(ids(count), frozenset())
    assert fleet.read(table=table).level is Level.ASKS
    assert fleet.read(HOUR, table).held == ids(count)
    assert str(table) in fleet.read(HOUR, table).why


def test_nothing_that_runs_is_nothing_to_hold_even_where_the_table_is_empty() -> None:
    assert Fleet(frozenset(), frozenset()).read(table=TableState.EMPTY) == Verdict(table=TableState.EMPTY)


def test_a_second_reading_that_says_the_same_after_the_delay_lets_them_go() -> None:
    fleet = Fleet.of(10)
    fleet.wanted -= ids(5)
    assert fleet.read().held == ids(5)
    assert fleet.read(59).held == ids(5)
    assert fleet.read(1).free == ids(5)
    assert fleet.read(30) == Verdict(fleet=5)


def test_one_reading_alone_never_lets_go_however_late_it_is() -> None:
    fleet = Fleet.of(10)
    fleet.wanted -= ids(5)
    fleet.memory = BrakeMemory(since=0.0)
    assert fleet.read(HOUR).held == ids(5)


def test_a_set_that_changes_is_read_anew_before_anything_goes() -> None:
    fleet = Fleet.of(20)
    fleet.wanted -= ids(7)
    fleet.read()
    fleet.wanted -= ids(8)
    assert fleet.read(59).held == ids(8)
    assert fleet.read(59).held == ids(8)
    assert fleet.read(1).free == ids(8)


def test_rows_that_come_back_release_the_brake_at_once() -> None:
    fleet = Fleet.of(10)
    fleet.wanted = frozenset()
    assert fleet.read(table=TableState.EMPTY).level is Level.ASKS
    fleet.wanted = ids(10)
    verdict = fleet.read(1)
    assert (verdict.level, verdict.held, verdict.free) == (Level.OFF, frozenset(), frozenset())
    assert fleet.running == ids(10)


def test_rows_that_come_back_one_by_one_cost_no_bot_on_the_way() -> None:
    fleet = Fleet(ids(10), frozenset())
    fleet.read(table=TableState.EMPTY)
    for back in range(1, 11):
        fleet.wanted = ids(back)
        fleet.read(50)
    assert fleet.running == ids(10)


def test_half_the_rows_back_after_a_long_time_is_new_and_not_a_second_reading() -> None:
    fleet = Fleet(ids(10), frozenset())
    fleet.read(table=TableState.EMPTY)
    fleet.wanted = ids(5)
    assert fleet.read(HOUR).held == ids(5, first=6)
    assert fleet.read(60).free == ids(5, first=6)


def test_four_hundred_single_deletes_do_not_slip_through_one_by_one() -> None:
    fleet = Fleet.of(1000)
    for bot_id in range(1, 401):
        fleet.wanted -= {bot_id}
        fleet.read(0.5)
    assert len(fleet.running) == 700
    assert len(fleet.memory.held) == 100


def test_what_trickles_without_an_end_ends_in_a_question() -> None:
    fleet = Fleet.of(100)
    for bot_id in range(1, 101):
        fleet.wanted -= {bot_id}
        verdict = fleet.read(5)
    assert verdict.level is Level.ASKS
    assert fleet.running >= ids(70, first=31)


def test_halving_again_and_again_ends_in_a_question() -> None:
    fleet = Fleet.of(100)
    fleet.wanted -= ids(50)
    fleet.read()
    assert fleet.read(60).free == ids(50)
    fleet.wanted -= ids(75)
    assert fleet.read(60).level is Level.ASKS


def test_one_bot_an_hour_never_trips_it() -> None:
    fleet = Fleet.of(12)
    for bot_id in range(1, 12):
        fleet.wanted -= {bot_id}
        assert fleet.read(HOUR).free == {bot_id}
    assert fleet.running == {12}


def test_a_single_stop_after_a_confirmed_shrinking_goes_at_once() -> None:
    fleet = Fleet.of(20)
    fleet.wanted -= ids(8)
    fleet.read()
    fleet.read(60)
    fleet.wanted -= {9}
    assert fleet.read(1).free == {9}


def test_bots_stopped_and_started_again_do_not_count() -> None:
    fleet = Fleet.of(10)
    for bot_id in range(1, 11):
        fleet.wanted = ids(10) - {bot_id}
        assert fleet.read(10).level is Level.OFF
        fleet.wanted = fleet.running = ids(10)
        fleet.read(1)


def test_a_person_lets_exactly_the_named_bots_go_and_the_next_set_is_judged_anew() -> None:
    fleet = Fleet.of(20)
    fleet.wanted -= ids(15)
    assert fleet.read().level is Level.ASKS
    fleet.confirmed = ids(15)
    fleet.wanted -= ids(20)
    verdict = fleet.read(10)
    assert verdict.free == ids(15)
    assert verdict.held == ids(5, first=16)
    assert fleet.running == ids(5, first=16)


def test_new_bots_do_not_make_up_for_those_that_would_stop() -> None:
    fleet = Fleet.of(10)
    fleet.wanted = ids(10, first=101)
    fleet.read()
    fleet.running |= ids(10, first=101)
    assert fleet.read(1).held == ids(10)


def test_a_held_bot_stays_held_although_its_pod_is_gone() -> None:
    fleet = Fleet.of(10)
    fleet.wanted -= ids(7)
    fleet.read()
    fleet.running -= ids(7)
    assert fleet.read(HOUR).held == ids(7)


def test_while_the_brake_holds_nothing_else_goes_that_it_did_not_let_go() -> None:
    fleet = Fleet.of(10)
    fleet.wanted -= ids(7)
    verdict = fleet.read()
    assert verdict.holds(1)
    assert verdict.holds(99)
    assert not Verdict().holds(99)


def test_a_brake_without_memory_holds_what_runs_as_it_did_before() -> None:
    fleet = Fleet.of(10)
    fleet.wanted -= ids(7)
    held = fleet.read().held
    fleet.memory = BrakeMemory()
    assert fleet.read(HOUR).held == held


def test_what_others_stopped_lately_counts() -> None:
    reading = Reading(ids(6, first=5), ids(5, first=6), 0.0, stopped_before=ids(4))
    assert judge(BrakeMemory(), reading, LIMITS).level is Level.WAITS


def test_a_digest_is_of_the_set_and_not_of_its_order() -> None:
    assert set_digest([3, 1, 2]) == set_digest([1, 2, 3])
    assert set_digest([1, 2]) != set_digest([12])
