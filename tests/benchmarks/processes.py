"""Processes as the kernel counts them: resident and private memory, processor time, time until ready."""

import os
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.waiting import wait_until

_TICK = os.sysconf("SC_CLK_TCK")
MIB = 2**20


class Watched:
    """A process that was started here, and what it has used since."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self.log = log
        self.started = time.perf_counter()

    def until(self, ready: Callable[[], bool], seconds: float = 60) -> float:
        """Seconds from its start until it is ready. Raises AssertionError with its log where it never is."""

        def is_ready() -> bool:
            assert self.process.poll() is None, f"it ended with {self.process.returncode}: {self.log.read_text()}"
            return ready()

        wait_until(is_ready, seconds, "readiness", every=0.002, tell=self.log.read_text)
        return time.perf_counter() - self.started

    def resident(self) -> float:
        """MiB."""
        return self._memory("Rss") / MIB

    def private(self) -> float:
        """MiB that no other process shares: what one more such process costs."""
        return (self._memory("Private_Clean") + self._memory("Private_Dirty")) / MIB

    def _memory(self, name: str) -> int:
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
        assert found is not None
        return int(found[1]) * 1024


def processor_seconds(*pids: int) -> float:
    """What these processes have used so far, in user and kernel mode."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICK


@contextmanager
def watched(command: Sequence[str | Path], environment: Mapping[str, str], log: Path) -> Iterator[Watched]:
    """Start a process in the log's folder with nothing but this environment; end it by its process id."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            env={"PATH": os.environ["PATH"], "HOME": str(log.parent), **environment},
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    found = Watched(process, log)
    try:
        yield found
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def answers(url: str) -> bool:
    """Whether a GET is answered with a 2xx."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return 200 <= response.status < 300
    except (urllib.error.URLError, OSError):
        return False
