import asyncio

from bot_runtime.companions import Companions
from support.virtual_time import run_virtually


class _Failing:
    name = "failing"

    def __init__(self) -> None:
        self.runs = 0

    async def run(self, _stop: asyncio.Event) -> None:
        self.runs += 1
        raise RuntimeError("no luck")


class _Steady:
    name = "steady"
    ended = False

    async def run(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.ended = True


class _Stubborn:
    name = "stubborn"
    cancelled = False

    async def run(self, _stop: asyncio.Event) -> None:
        try:
            await asyncio.sleep(10_000)
        except asyncio.CancelledError:
            self.cancelled = True
            raise


def test_a_companion_that_fails_is_run_again_with_growing_pauses_and_no_other_notices() -> None:
    async def scenario() -> None:
        failing, steady = _Failing(), _Steady()
        companions = Companions([failing, steady])
        companions.start()
        await asyncio.sleep(120)
        assert 5 <= failing.runs <= 15
        assert not steady.ended
        told = {"name": "failing", "state": "failed", "failures": failing.runs, "error": "no luck"}
        assert companions.to_json() == [told, {"name": "steady", "state": "running", "failures": 0, "error": None}]
        await companions.aclose()
        assert steady.ended

    run_virtually(scenario())


def test_a_companion_that_does_not_end_is_cancelled() -> None:
    async def scenario() -> None:
        stubborn = _Stubborn()
        companions = Companions([stubborn])
        companions.start()
        await asyncio.sleep(1)
        await companions.aclose()
        assert stubborn.cancelled

    run_virtually(scenario())
