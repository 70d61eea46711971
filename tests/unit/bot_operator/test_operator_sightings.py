"""Of which bots the cluster is known to hold nothing."""

from bot_operator.sightings import Sightings


def test_nothing_is_known_before_a_sweep_of_this_process_has_ended() -> None:
    seen = Sightings()
    assert not seen.nothing_of(7)
    seen.mark()
    assert not seen.nothing_of(7)
    seen.swept([1, 2])
    assert seen.nothing_of(7)
    assert not seen.nothing_of(1)


def test_who_has_been_looked_at_or_told_of_may_be_there() -> None:
    seen = Sightings()
    seen.mark()
    seen.swept([])
    seen.noted(7)
    assert not seen.nothing_of(7)
    assert seen.nothing_of(8)


def test_a_sweep_that_began_after_it_was_noted_knows_better_one_that_began_before_does_not() -> None:
    seen = Sightings()
    seen.noted(6)
    seen.mark()
    seen.noted(7)
    seen.swept([])
    assert seen.nothing_of(6)
    assert not seen.nothing_of(7)
    seen.mark()
    assert not seen.nothing_of(7)
    seen.swept([])
    assert seen.nothing_of(7)


def test_a_sweep_that_fails_forgets_nothing() -> None:
    seen = Sightings()
    seen.mark()
    seen.swept([])
    seen.mark()
    seen.noted(7)
    seen.mark()  # the next, after the last one failed
    assert not seen.nothing_of(7)
    seen.swept([])
    assert seen.nothing_of(7)
