"""The watch over what this process uses: processor, memory, file descriptors, and how late the event loop runs.

It warns in the log when one of them is short and when that is over, and keeps the figures for the metrics. It runs
beside the bots and does nothing about what it finds.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import structlog

from bot_runtime.companions import pause
from bot_runtime.engine.figures import Resources
from bot_runtime.system.cgroup import cpu_limit, memory_limit
from bot_runtime.system.pressure import Change, Pressure, Thresholds

_log = structlog.get_logger(__name__)
_REMEDY = {
    "cpu": "fewer bots in this process, longer intervals, or more processor time",
    "memory": "raise the memory limit, run fewer bots in this process, or shorten their lookback",
    "fds": "raise the limit of open files (LimitNOFILE of the unit, ulimit -n) or run fewer bots in this process",
    "event_loop": "run fewer bots in this process; a plugin that computes for long or waits without await holds up all",
}


class ResourceWatch:
    """A companion. Every `turn_seconds` it measures the loop, and after every `turns` of those it looks at the rest."""

    name = "resource-watch"

    def __init__(
        self,
        figures: Resources,
        thresholds: Thresholds | None = None,
        *,
        turn_seconds: float = 1.0,
        turns: int = 10,
        window: int = 30,
        usage: "Callable[[], Usage] | None" = None,
    ) -> None:
        """The mean and the maximum of the loop's lag are those of the last `window` turns."""
        limits = thresholds or Thresholds()
        self._figures = figures
        self._turn_seconds = turn_seconds
        self._turns = turns
        self._lags: deque[float] = deque(maxlen=window)
        self._usage = usage or Usage
        self._pressures = {name: Pressure(getattr(limits, name)) for name in figures.pressure}

    async def run(self, stop: asyncio.Event) -> None:
        usage = self._usage()
        loop = asyncio.get_running_loop()
        turns = 0
        while not stop.is_set():
            due = loop.time() + self._turn_seconds
            await pause(stop, self._turn_seconds)
            self._lags.append(max(0.0, loop.time() - due) if not stop.is_set() else 0.0)
            turns += 1
            if turns % self._turns == 0:
                self._look(usage)

    def _look(self, usage: "Usage") -> None:
        used = self._figures
        used.cpu_ratio = usage.cpu_ratio()
        used.resident_bytes, used.memory_limit_bytes = usage.resident_bytes(), usage.memory_limit
        used.open_fds, used.max_fds = usage.open_fds(), usage.max_fds()
        used.loop_lag, used.loop_lag_max = sum(self._lags) / len(self._lags), max(self._lags)
        self._judge("cpu", used.cpu_ratio)
        self._judge("memory", _share(used.resident_bytes, used.memory_limit_bytes))
        self._judge("fds", _share(used.open_fds, used.max_fds))
        self._judge("event_loop", used.loop_lag)

    def _judge(self, name: str, value: float | None) -> None:
        pressure = self._pressures[name]
        change = pressure.look(value)
        self._figures.pressure[name] = pressure.on
        if change is None or value is None:
            return
        facts = {"resource": name, "value": round(value, 3), "threshold": pressure.threshold}
        if change is Change.BEGAN:
            _log.warning("resource_pressure", **facts, remedy=_REMEDY[name])
        else:
            _log.info("resource_pressure_over", **facts)


class Usage:
    """What the process uses, asked of psutil, which is imported here and not before."""

    def __init__(self) -> None:
        import psutil  # noqa: PLC0415  # only where something is watched

        self._process = psutil.Process()
        groups = memory_limit()
        self.memory_limit: int | None = min(groups or psutil.virtual_memory().total, psutil.virtual_memory().total)
        # One event loop uses one processor at the most, or less where its group may not.
        self._processors = min(1.0, cpu_limit() or 1.0)
        self._cpu_then, self._then = self._cpu_seconds(), time.monotonic()

    def cpu_ratio(self) -> float:
        """The share since the last call; above 1 where threads of libraries use more than one processor."""
        used, now = self._cpu_seconds(), time.monotonic()
        ratio = (used - self._cpu_then) / max(now - self._then, 1e-6) / self._processors
        self._cpu_then, self._then = used, now
        return ratio

    def resident_bytes(self) -> int:
        return int(self._process.memory_info().rss)

    def open_fds(self) -> int | None:
        """None where the system has no such thing, which is Windows."""
        count = getattr(self._process, "num_fds", None)
        return None if count is None else int(count())

    def max_fds(self) -> int | None:
        """The soft limit; None where there is none."""
        try:
            import resource  # noqa: PLC0415  # not on Windows
        except ImportError:
            return None
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return None if soft == resource.RLIM_INFINITY else int(soft)

    def _cpu_seconds(self) -> float:
        times: Any = self._process.cpu_times()
        return float(times.user + times.system)


def _share(used: int | None, limit: int | None) -> float | None:
    return used / limit if used is not None and limit else None
