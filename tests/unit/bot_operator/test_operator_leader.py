import pytest

from bot_operator.leader import LeaseRecord, Sighting, Step, lapses_at, next_step, sighted

US, ANOTHER = "pod-a_1", "pod-b_2"


def _lease(holder: str = ANOTHER, version: str = "1", seconds: float = 10) -> LeaseRecord:
    return LeaseRecord(holder, version, seconds)


@pytest.mark.parametrize(
    ("lease", "unchanged_for", "step"),
    [
        (None, 0, Step.CREATE),
        (_lease(US), 0, Step.RENEW),
        (_lease(US), 3600, Step.RENEW),
        (_lease(""), 0, Step.TAKE),
        (_lease(), 0, Step.WAIT),
        (_lease(), 9.9, Step.WAIT),
        (_lease(), 10, Step.TAKE),
        (_lease(seconds=60), 59, Step.WAIT),  # the holder counts by what it wrote
        (_lease(seconds=0), 9.9, Step.WAIT),
        (_lease(seconds=0), 10, Step.TAKE),
    ],
)
def test_what_is_done_about_a_lease_depends_on_its_holder_and_how_long_it_stood_still(
    lease: LeaseRecord | None, unchanged_for: float, step: Step
) -> None:
    assert next_step(Sighting(lease, 100), US, 10, 100 + unchanged_for) is step


def test_a_lease_that_moves_never_lapses_and_one_that_stands_is_counted_from_when_it_was_first_seen() -> None:
    sighting = None
    for now, version in ((0, "1"), (8, "1"), (9, "2"), (17, "2"), (18, "2")):
        sighting = sighted(sighting, _lease(version=version), now)
        assert next_step(sighting, US, 10, now) is Step.WAIT
    assert sighting is not None
    assert lapses_at(sighting, 10) == 19


def test_a_reader_that_slept_counts_from_what_it_reads_now() -> None:
    before = sighted(None, _lease(version="1"), 0)
    assert next_step(sighted(before, _lease(version="2"), 3600), US, 10, 3600) is Step.WAIT


def test_a_lease_that_was_deleted_and_made_anew_is_a_new_one() -> None:
    gone = sighted(sighted(None, _lease(version="1"), 0), None, 5)
    assert sighted(gone, _lease(version="1"), 6) == Sighting(_lease(version="1"), 6)


@pytest.mark.parametrize(
    ("lease", "first", "later"),
    [
        (_lease(), Step.WAIT, Step.CREATE),
        (_lease(seconds=60), Step.WAIT, Step.WAIT),
        (_lease(""), Step.CREATE, Step.CREATE),
        (_lease(US), Step.CREATE, Step.CREATE),
    ],
)
def test_a_lease_that_was_deleted_is_made_anew_once_its_holder_would_have_lost_it(
    lease: LeaseRecord, first: Step, later: Step
) -> None:
    gone = sighted(sighted(None, lease, 0), None, 100)  # it may have been renewed until then
    assert next_step(gone, US, 10, 109.9) is first
    assert next_step(sighted(gone, None, 110), US, 10, 110) is later
