from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from bot_runtime.feeds.bar_buffer import BarBuffer
from support.bars import START, made_up_bars

BARS = made_up_bars(60)
STEP = timedelta(minutes=5)


def test_only_later_bars_are_taken():
    buffer = BarBuffer(100)
    assert buffer.append([BARS[3], BARS[5], BARS[5], BARS[4], BARS[6]]) == 3
    assert buffer.until(BARS[-1].time, None) == [BARS[3], BARS[5], BARS[6]]
    assert (buffer.known_from, buffer.newest) == (BARS[3].time, BARS[6].time)


def test_older_bars_are_put_before_only_where_they_adjoin():
    buffer = BarBuffer(100)
    buffer.append(BARS[10:12])
    buffer.prepend(BARS[5:10], BARS[2].time, BARS[10].time)
    assert buffer.known_from == BARS[2].time
    buffer.prepend(BARS[0:2], BARS[0].time, BARS[5].time)
    assert buffer.until(BARS[-1].time, None) == BARS[5:12]


def test_bars_after_and_until_a_time():
    buffer = BarBuffer(100)
    buffer.append(BARS[:20])
    assert buffer.after(BARS[4].time, 3) == BARS[5:8]
    assert buffer.after(BARS[4].time + timedelta(seconds=1), 3) == BARS[5:8]
    assert buffer.after(BARS[19].time, 3) == []
    assert buffer.until(BARS[4].time, 2) == BARS[3:5]
    assert buffer.until(START - STEP, 2) == []


@given(st.lists(st.integers(0, 59), max_size=200), st.integers(1, 20))
def test_it_stays_in_order_bounded_and_complete_from_where_it_says(order, capacity):
    buffer = BarBuffer(capacity)
    taken = [BARS[index] for index in order if buffer.append([BARS[index]])]
    kept = buffer.until(BARS[-1].time, None)
    assert kept == taken[len(taken) - len(kept) :]
    assert min(len(taken), capacity) <= len(kept) <= 2 * capacity
