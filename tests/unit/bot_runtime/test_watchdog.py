import asyncio
import json
import threading
import time

import pytest

from bot_core.logs import configure_logging
from bot_runtime.watchdog import EXIT_CODE, Watchdog


def block(until) -> None:
    """A busy loop, as a careless plugin has it."""
    give_up = time.monotonic() + 20
    while not until() and time.monotonic() < give_up:
        pass


async def test_a_blocked_loop_is_told_with_the_place_where_it_stands_and_for_a_while_afterwards(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("WARNING", json=True)
    watchdog = Watchdog(0.2, turn_seconds=0.02)
    watchdog.start()
    try:
        await asyncio.sleep(0.1)
        assert watchdog.lately_blocked_seconds == 0
        err = ""

        def told() -> bool:
            nonlocal err
            err += capsys.readouterr().err
            return "event_loop_blocked" in err

        block(told)
        assert watchdog.blocked_seconds >= 0.2
        assert watchdog.lately_blocked_seconds >= 0.2
        async with asyncio.timeout(10):
            while watchdog.blocked_seconds:
                await asyncio.sleep(0.01)
        assert watchdog.lately_blocked_seconds >= 0.2, "told for one period after the loop goes on"
        async with asyncio.timeout(10):
            while watchdog.lately_blocked_seconds:
                await asyncio.sleep(0.01)
    finally:
        watchdog.stop()
    err += capsys.readouterr().err
    lines = [json.loads(line) for line in err.splitlines()]
    assert [line["event"] for line in lines] == ["event_loop_blocked", "event_loop_goes_on"]
    assert "in block" in lines[0]["stack"]
    assert __file__ in lines[0]["stack"]


@pytest.mark.parametrize("leaves", [True, False])
async def test_a_process_ends_after_three_periods_only_where_it_was_told_to(leaves: bool) -> None:
    codes: list[int] = []
    watchdog = Watchdog(0.05, exit_when_blocked=leaves, turn_seconds=0.02, leave=codes.append)
    watchdog.start()
    try:
        block(lambda: watchdog.blocked_seconds > 0.25)
    finally:
        watchdog.stop()
    assert set(codes) == ({EXIT_CODE} if leaves else set())


async def test_time_in_which_the_whole_process_stood_still_does_not_count() -> None:
    jumps = iter([0.0, 1000.0])
    last = threading.Event()

    def clock() -> float:
        value = next(jumps, None)
        if value is None:
            last.set()
            return 1000.0
        return value

    watchdog = Watchdog(60, turn_seconds=0.01, clock=clock)
    watchdog.start()
    try:
        block(last.is_set)
        assert watchdog.blocked_seconds < 1
    finally:
        watchdog.stop()
