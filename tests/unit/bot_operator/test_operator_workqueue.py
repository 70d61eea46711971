import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bot_core.models.errors import InvalidBotError, SchemaMissingError, TransientError
from bot_operator.workqueue import ONE_LOOK_SECONDS, Outcome, WorkQueue
from support.virtual_time import run_virtually, virtual_now

Look = Callable[[int], Awaitable[None]]


def _run(look: Look, *, bots: list[int], until: float, workers: int = 2) -> list[Outcome]:
    """The outcomes of what a queue does with some bots in so many virtual seconds."""
    outcomes: list[Outcome] = []

    async def work() -> None:
        queue = WorkQueue(workers=workers, on_outcome=outcomes.append)
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


def test_bots_that_hang_cost_a_worker_only_until_the_look_times_out() -> None:
    done: list[float] = []

    async def look(bot_id: int) -> None:
        if bot_id < 9:
            await asyncio.sleep(3600)
        done.append(virtual_now())

    outcomes = _run(look, bots=[7, 8, 9], until=ONE_LOOK_SECONDS + 0.5)
    assert done == [ONE_LOOK_SECONDS]
    assert outcomes.count(Outcome.RETRY) == 2


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
