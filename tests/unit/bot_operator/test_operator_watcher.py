import asyncio
from collections.abc import Callable
from contextlib import suppress

from bot_operator.watcher import Watcher
from support.virtual_time import run_virtually, virtual_now


class _Looks:
    """Notes when it was called; fails as often as it is told to."""

    def __init__(self, failures: int = 0, error: Exception | None = None) -> None:
        self.sweeps: list[float] = []
        self.figure_looks: list[float] = []
        self._failures = failures
        self._error = error

    async def everything(self) -> bool:
        self.sweeps.append(virtual_now())
        if len(self.sweeps) > self._failures:
            return True
        if self._error is not None:
            raise self._error
        return False

    async def figures(self) -> None:
        self.figure_looks.append(virtual_now())
        if self._error is not None:
            raise self._error


def _watch(looks: _Looks, until: float, *, during: Callable[[Watcher], None] | None = None, at: float = 1) -> list[int]:
    added: list[int] = []

    async def work() -> None:
        watcher = Watcher(looks, added.append, poll_seconds=30, status_seconds=15, project=looks.figures)
        if during is not None:
            asyncio.get_running_loop().call_later(at, during, watcher)
        with suppress(TimeoutError):
            async with asyncio.timeout(until):
                await watcher.run()

    run_virtually(work())
    return added


def test_everything_is_looked_at_once_a_poll_and_figures_once_a_status_tick() -> None:
    looks = _Looks()
    _watch(looks, until=70)
    assert looks.sweeps == [0, 30, 60]
    assert looks.figure_looks == [15, 30, 45, 60]


def test_a_hint_of_one_bot_adds_it_and_one_of_anything_looks_at_everything_now() -> None:
    looks = _Looks()
    assert _watch(looks, until=5, during=lambda watcher: watcher.wake(7)) == [7]
    assert looks.sweeps == [0]
    looks = _Looks()
    assert _watch(looks, until=5, during=lambda watcher: watcher.wake(None)) == []
    assert looks.sweeps == [0, 1]


def test_a_failed_sweep_is_tried_again_sooner_than_the_poll_with_a_growing_pause() -> None:
    for error in (None, RuntimeError("a row that can't be read")):
        looks = _Looks(failures=4, error=error)
        _watch(looks, until=20)
        pauses = [after - before for before, after in zip(looks.sweeps, looks.sweeps[1:], strict=False)]
        assert len(pauses) >= 4
        assert all(0.25 * 2**n <= pause <= 0.5 * 2**n for n, pause in enumerate(pauses[:4]))


def test_the_listener_runs_beside_and_its_hints_arrive() -> None:
    added: list[int] = []
    looks = _Looks()

    async def listen(wake: Callable[[int | None], None]) -> None:
        wake(8)
        wake(None)
        await asyncio.Event().wait()

    async def work() -> None:
        watcher = Watcher(looks, added.append, poll_seconds=30, status_seconds=15, project=looks.figures, listen=listen)
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await watcher.run()

    run_virtually(work())
    assert added == [8]
    assert len(looks.sweeps) == 2
