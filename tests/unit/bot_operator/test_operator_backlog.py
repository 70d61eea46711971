from bot_operator.backlog import SHORTEST_RETRY, Backlog


def _take(backlog: Backlog, now: float) -> int | None:
    """From either line."""
    found = backlog.take(now)
    return backlog.take(now, failing=True) if found is None else found


def test_a_bot_named_often_is_given_out_once() -> None:
    backlog = Backlog()
    for _ in range(5):
        backlog.add(7, now=0)
    assert [backlog.take(0), backlog.take(0)] == [7, None]


def test_the_bot_that_has_been_due_for_longest_comes_first() -> None:
    backlog = Backlog()
    backlog.add(9, now=0)
    backlog.add(7, now=1)
    backlog.add(8, now=2)
    assert [backlog.take(5) for _ in range(3)] == [9, 7, 8]


def test_news_during_the_work_comes_due_right_after_it_and_not_beside_it() -> None:
    backlog = Backlog()
    backlog.add(7, now=0)
    assert backlog.take(0) == 7
    backlog.add(7, now=1)
    assert backlog.take(1) is None
    backlog.succeeded(7, now=0)
    assert backlog.take(1) == 7
    backlog.succeeded(7, now=0)
    assert len(backlog) == 0


def test_each_failure_doubles_the_back_off_up_to_the_longest() -> None:
    backlog = Backlog(first_retry=1, longest_retry=10)
    now, delays = 0.0, []
    backlog.add(7, now=now)
    for _ in range(6):
        assert _take(backlog, now) == 7
        delays.append(backlog.failed(7, now))
        assert _take(backlog, now + delays[-1] - 0.01) is None
        now += delays[-1]
    assert delays == [1, 2, 4, 8, 10, 10]


def test_success_lets_the_back_off_start_anew() -> None:
    backlog = Backlog()
    backlog.add(7, now=0)
    backlog.take(0)
    assert backlog.failed(7, now=0) == 1
    _take(backlog, 1)
    assert backlog.failed(7, now=1) == 2
    _take(backlog, 3)
    backlog.succeeded(7, now=0)
    backlog.add(7, now=4)
    backlog.take(4)
    assert backlog.failed(7, now=4) == 1


def test_news_wakes_a_failing_bot_early_but_not_at_once_and_a_poll_does_not() -> None:
    backlog = Backlog(first_retry=30)
    backlog.add(7, now=0)
    backlog.take(0)
    backlog.failed(7, now=0)
    backlog.add(7, now=0.1, news=False)
    assert backlog.next_due(failing=True) == 30
    backlog.add(7, now=0.1)
    assert backlog.next_due(failing=True) == SHORTEST_RETRY
    assert backlog.take(SHORTEST_RETRY, failing=True) == 7


def test_news_during_work_that_then_fails_shortens_the_back_off_and_a_poll_does_not() -> None:
    for news, delay in ((True, SHORTEST_RETRY), (False, 30)):
        backlog = Backlog(first_retry=30)
        backlog.add(7, now=0)
        backlog.take(0)
        backlog.add(7, now=0.5, news=news)
        assert backlog.failed(7, now=1) == delay


def test_a_failing_bot_does_not_hold_another_up() -> None:
    backlog = Backlog()
    backlog.add(7, now=0)
    backlog.take(0)
    backlog.failed(7, now=0)
    backlog.add(8, now=0)
    assert backlog.take(0) == 8
    assert backlog.next_due() is None
    assert backlog.next_due(failing=True) == 1


def test_failing_bots_stand_in_a_line_of_their_own_until_one_look_succeeds() -> None:
    backlog = Backlog()
    backlog.add(7, now=0)
    backlog.take(0)
    backlog.failed(7, now=0)
    assert (backlog.take(9), backlog.take(9, failing=True)) == (None, 7)
    backlog.succeeded(7, now=9)
    backlog.add(7, now=9)
    assert (backlog.take(9, failing=True), backlog.take(9)) == (None, 7)


def test_the_other_sides_wish_for_time_counts_where_it_is_longer() -> None:
    backlog = Backlog()
    backlog.add(7, now=0)
    for wish, delay in ((7, 7), (1, 2), (0, 4)):
        _take(backlog, 100)
        assert backlog.failed(7, now=0, at_least=wish) == delay
        backlog.add(7, now=0.5)  # news does not cut it short
        assert backlog.next_due(failing=True) == max(1, wish)


def test_a_bot_has_been_wanted_since_it_was_first_named_and_through_its_failures() -> None:
    backlog = Backlog()
    backlog.add(7, now=1)
    backlog.take(1)
    backlog.failed(7, now=2)
    backlog.add(8, now=3)
    assert backlog.oldest_wait(now=5) == 4
    _take(backlog, 5)
    backlog.add(7, now=5.5)  # news during the look: wanted again
    assert backlog.succeeded(7, now=6) == 5
    assert backlog.oldest_wait(now=6) == 3


def test_what_may_wait_waits_for_more_of_the_same_and_not_for_a_wish() -> None:
    backlog = Backlog()
    backlog.add(7, now=0, within=1)
    backlog.add(7, now=0.9, within=1)
    assert backlog.take(now=0.9) is None
    assert backlog.take(now=1) == 7
    backlog.succeeded(7, now=1)
    backlog.add(7, now=2, within=1)
    backlog.add(7, now=2.1)
    assert backlog.take(now=2.1) == 7
