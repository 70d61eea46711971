import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bot_core.models.errors import InvalidBotError, SchemaMissingError, TransientError
from bot_operator.cluster import ThrottledError
from bot_operator.workqueue import ONE_LOOK_SECONDS, PATIENCE_SECONDS, LookEnd, Outcome, WorkQueue
from support.virtual_time import run_virtually, virtual_now

Look = Callable[[int], Awaitable[None]]


def _run(look: Look, *, bots: list[int], until: float, workers: int = 2) -> list[Outcome]:
    """The outcomes of what a queue does with some bots in so many virtual seconds."""
    outcomes: list[Outcome] = []

    async def work() -> None:
        queue = WorkQueue(workers=workers, on_end=lambda end: outcomes.append(end.outcome))
        for bot_id in bots:
            queue.add(bot_id)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(until):
                await queue.run(look)

    run_virtually(work())
    return outcomes


def test_a_poisoned_bot_is_tried_again_and_again_and_delays_no_other() -> None:
    looks: list[tuple[int, float]] = []

    async def look(bot_id: int) -> None:
        looks.append((bot_id, virtual_now()))
        if bot_id == 7:
            raise RuntimeError("poison")

    outcomes = _run(look, bots=[7, 8, 9], until=10)
    assert [when for bot_id, when in looks if bot_id != 7] == [0, 0]
    assert [when for bot_id, when in looks if bot_id == 7] == pytest.approx([0, 1, 3, 7])
    assert outcomes.count(Outcome.BUG) == 4
    assert outcomes.count(Outcome.SETTLED) == 2


def test_bots_that_hang_cost_a_worker_for_a_moment_only() -> None:
    done: list[float] = []

    async def look(bot_id: int) -> None:
        if bot_id < 9:
            await asyncio.sleep(3600)
        done.append(virtual_now())

    outcomes = _run(look, bots=[7, 8, 9], until=ONE_LOOK_SECONDS + 0.5)
    assert done == [PATIENCE_SECONDS]
    assert outcomes.count(Outcome.RETRY) == 2


def test_twenty_poisoned_bots_that_hang_delay_no_other_by_more_than_moments() -> None:
    waits: list[float] = []

    async def work() -> None:
        queue = WorkQueue(workers=8)

        async def look(bot_id: int) -> None:
            if bot_id < 20:
                await asyncio.sleep(3600)
            waits.append(virtual_now() - asked[bot_id])

        asked: dict[int, float] = {}
        for bot_id in range(20):
            queue.add(bot_id)
        running = asyncio.create_task(queue.run(look))
        for bot_id in range(100, 400):  # news of good bots, all the while
            asked[bot_id] = virtual_now()
            queue.add(bot_id)
            await asyncio.sleep(1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run_virtually(work())
    assert len(waits) == 300
    assert max(waits) <= 2 * PATIENCE_SECONDS
    assert sum(wait > 0 for wait in waits) <= 2 * PATIENCE_SECONDS  # those of the first moments


def test_when_every_place_is_taken_by_what_hangs_each_bot_still_gets_its_turn() -> None:
    seen: list[int] = []

    async def work() -> None:
        queue = WorkQueue(workers=2, slow_places=3)

        async def look(bot_id: int) -> None:
            seen.append(bot_id)
            if bot_id < 100:
                await asyncio.sleep(3600)

        for bot_id in range(10):
            queue.add(bot_id)
        running = asyncio.create_task(queue.run(look))
        await asyncio.sleep(3 * ONE_LOOK_SECONDS)
        queue.add(100)
        await asyncio.sleep(2 * ONE_LOOK_SECONDS)
        assert 100 in seen
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run_virtually(work())
    assert set(range(10)) <= set(seen)


def test_a_server_that_asks_for_time_gets_it() -> None:
    looks: list[float] = []

    async def look(_bot_id: int) -> None:
        looks.append(virtual_now())
        raise ThrottledError("too many requests", retry_after=7)

    _run(look, bots=[7], until=15)
    assert looks == pytest.approx([0, 7, 14])


def test_the_end_of_a_look_tells_its_length_its_kind_of_error_and_since_when_the_bot_was_wanted() -> None:
    ends: list[LookEnd] = []
    oldest: list[float] = []

    async def work() -> None:
        queue = WorkQueue(on_end=ends.append)

        async def look(_bot_id: int) -> None:
            await asyncio.sleep(0.5)
            if not ends:
                raise TransientError("busy")

        queue.add(7)
        running = asyncio.create_task(queue.run(look))
        await asyncio.sleep(1.25)
        oldest.append(queue.oldest_wait)
        await asyncio.sleep(5)
        oldest.append(queue.oldest_wait)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run_virtually(work())
    assert [(end.outcome, end.error, end.seconds, end.waited) for end in ends] == [
        (Outcome.RETRY, "transient", 0.5, None),
        (Outcome.SETTLED, "", 0.5, 2.0),
    ]
    assert oldest == [1.25, 0]


@pytest.mark.parametrize(
    ("error", "outcome", "looks"),
    [
        (TransientError("busy"), Outcome.RETRY, 2),
        (SchemaMissingError("no table"), Outcome.RETRY, 2),
        (InvalidBotError("will not do"), Outcome.INVALID, 1),
        (ValueError("a bug"), Outcome.BUG, 2),
    ],
)
def test_the_type_of_an_error_decides_whether_a_bot_is_tried_again(
    error: Exception, outcome: Outcome, looks: int
) -> None:
    async def look(_bot_id: int) -> None:
        raise error

    assert _run(look, bots=[7], until=1.5) == [outcome] * looks


def test_news_of_a_failing_bot_wakes_it_early() -> None:
    looks: list[float] = []

    async def work() -> None:
        queue = WorkQueue()

        async def look(_bot_id: int) -> None:
            looks.append(virtual_now())
            raise TransientError("busy")

        queue.add(7)
        running = asyncio.create_task(queue.run(look))
        await asyncio.sleep(7.5)  # virtual: looks at 0, 1, 3 and 7; the next would be at 15
        queue.add(7)
        await asyncio.sleep(1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run_virtually(work())
    assert looks == pytest.approx([0, 1, 3, 7, 8])


def test_no_more_bots_are_looked_at_at_once_than_there_are_workers() -> None:
    now_open, most = 0, 0

    async def look(_bot_id: int) -> None:
        nonlocal now_open, most
        now_open += 1
        most = max(most, now_open)
        await asyncio.sleep(1)
        now_open -= 1

    outcomes = _run(look, bots=list(range(10)), until=100, workers=3)
    assert most == 3
    assert outcomes == [Outcome.SETTLED] * 10
