import asyncio
import os
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from structlog.testing import CapturingLogger

from bot_runtime.engine.figures import Resources
from bot_runtime.system import resources
from bot_runtime.system.cgroup import cpu_limit, memory_limit
from bot_runtime.system.pressure import Change, Pressure, Thresholds
from bot_runtime.system.resources import ResourceWatch, Usage

MEGABYTE = 2**20


@pytest.mark.parametrize(
    ("values", "changes"),
    [
        ([0.5, 0.95, 0.5], [None, None, None]),
        ([0.95, 0.95, 0.95], [None, Change.BEGAN, None]),
        ([0.95, 0.95, 0.85, 0.95, 0.82], [None, Change.BEGAN, None, None, None]),
        ([0.95, 0.95, 0.5, 0.5], [None, Change.BEGAN, Change.ENDED, None]),
        ([0.95, 0.95, 0.5, 0.95, 0.95], [None, Change.BEGAN, Change.ENDED, None, Change.BEGAN]),
        ([0.95, None, 0.95, None], [None, None, Change.BEGAN, None]),
        ([0.9, 0.9, 0.9], [None, None, None]),
    ],
)
def test_a_pressure_begins_with_two_looks_above_and_ends_well_below(
    values: list[float | None], changes: list[Change | None]
) -> None:
    pressure = Pressure(0.9)
    assert [pressure.look(value) for value in values] == changes


def group_files(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "memory", "processors"),
    [
        ({}, None, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, None, None),
        (
            {
                "proc/self/cgroup": "0::/pods/bot\n",
                "sys/fs/cgroup/pods/bot/memory.max": "max\n",
                "sys/fs/cgroup/pods/memory.max": "1000000\n",
                "sys/fs/cgroup/pods/bot/cpu.max": "50000 100000\n",
                "sys/fs/cgroup/pods/cpu.max": "max 100000\n",
            },
            1_000_000,
            0.5,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/bot\n3:cpu,cpuacct:/bot\n",
                "sys/fs/cgroup/memory/bot/memory.limit_in_bytes": "2000000\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/fs/cgroup/cpu,cpuacct/bot/cpu.cfs_quota_us": "150000\n",
                "sys/fs/cgroup/cpu,cpuacct/bot/cpu.cfs_period_us": "100000\n",
            },
            2_000_000,
            1.5,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/bot\n3:cpu:/bot\n",
                "sys/fs/cgroup/memory/bot/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/fs/cgroup/cpu/bot/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/bot/cpu.cfs_period_us": "100000\n",
            },
            None,
            None,
        ),
    ],
)
def test_the_limit_of_a_control_group_is_the_least_of_those_above_it(
    files: dict[str, str], memory: int | None, processors: float | None, tmp_path: Path
) -> None:
    root = group_files(tmp_path, files)
    assert (memory_limit(root), cpu_limit(root)) == (memory, processors)


class Watched:
    """A watch that looks often, its figures, and what it logged."""

    def __init__(self, **limits: float) -> None:
        self.figures = Resources()
        self._logger = CapturingLogger()
        self._limits = Thresholds(**({"cpu": 99.0, "memory": 1.0, "fds": 1.0, "event_loop": 60.0} | limits))
        self._usage = Usage

    @property
    def log(self) -> list[dict[str, Any]]:
        return [{"event": call.args[0]} | call.kwargs for call in self._logger.calls]

    def with_memory_limit(self, limit: int) -> "Watched":
        def usage() -> Usage:
            made = Usage()
            made.memory_limit = limit
            return made

        self._usage = usage  # type: ignore[assignment]
        return self

    async def __aenter__(self) -> "Watched":
        self._stop = asyncio.Event()
        watch = ResourceWatch(self.figures, self._limits, turn_seconds=0.02, turns=2, window=10, usage=self._usage)
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(resources, "_log", self._logger)
        self._task = asyncio.create_task(watch.run(self._stop))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await self._task
        self._patch.undo()

    async def until(self, event: str, resource: str, while_waiting: Any = lambda: None) -> dict[str, Any]:
        async with asyncio.timeout(20):
            while True:
                for line in self.log:
                    if line["event"] == event and line["resource"] == resource:
                        return line
                while_waiting()
                await asyncio.sleep(0.01)


async def test_a_process_that_holds_much_memory_warns_until_it_gives_it_back() -> None:
    # Far above what it uses by now, and never reached by anything but what the test takes.
    limit = psutil.Process().memory_info().rss + 400 * MEGABYTE
    threshold = 1 - 100 * MEGABYTE / limit
    async with Watched(memory=threshold).with_memory_limit(limit) as watched:
        taken = bytearray(os.urandom(MEGABYTE) * 350)
        line = await watched.until("resource_pressure", "memory")
        assert line["value"] > line["threshold"] == threshold
        assert "memory limit" in line["remedy"]
        assert watched.figures.pressure == {"cpu": False, "memory": True, "fds": False, "event_loop": False}
        taken.clear()
        await watched.until("resource_pressure_over", "memory")
        assert watched.figures.pressure["memory"] is False
        assert [line["event"] for line in watched.log] == ["resource_pressure", "resource_pressure_over"]


async def test_a_process_that_runs_out_of_file_descriptors_warns_until_they_are_closed() -> None:
    usage = Usage()
    used, soft = usage.open_fds(), usage.max_fds()
    if used is None or soft is None:
        pytest.skip("this system does not count file descriptors")
    async with Watched(fds=(used + 200) / soft) as watched:
        held = [os.open(os.devnull, os.O_RDONLY) for _ in range(400)]
        try:
            line = await watched.until("resource_pressure", "fds")
            assert "LimitNOFILE" in line["remedy"]
            assert watched.figures.open_fds is not None
            assert watched.figures.open_fds >= used + 400
        finally:
            for number in held:
                os.close(number)
        await watched.until("resource_pressure_over", "fds")


async def test_an_event_loop_that_is_held_up_warns_with_its_lag_until_it_turns_again() -> None:
    async with Watched(event_loop=0.05) as watched:
        line = await watched.until("resource_pressure", "event_loop", lambda: time.sleep(0.2))
        assert line["value"] > 0.05
        assert "await" in line["remedy"]
        assert watched.figures.loop_lag_max is not None
        assert watched.figures.loop_lag_max > 0.05
        await watched.until("resource_pressure_over", "event_loop")


async def test_a_busy_processor_is_seen_as_a_share_of_what_one_loop_can_use() -> None:
    def burn() -> None:
        until = time.process_time() + 0.05
        while time.process_time() < until:
            pass

    async with Watched(cpu=0.1) as watched:
        line = await watched.until("resource_pressure", "cpu", burn)
        assert line["value"] > 0.1
        await watched.until("resource_pressure_over", "cpu")


def test_a_quota_below_one_processor_is_what_the_share_is_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot_runtime.system.resources.cpu_limit", lambda: 0.1)
    usage = Usage()
    started = time.monotonic()
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    ratio = usage.cpu_ratio()
    assert ratio >= 0.2 / (time.monotonic() - started) / 0.1 * 0.8
