"""A thread that notices when the event loop is blocked, which nothing inside the loop can.

It says where the main thread stands, and may end the process. It knows nothing of bots.
"""

import asyncio
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable

import structlog

_log = structlog.get_logger(__name__)
#: Exits as often as this many stall periods have gone by.
EXIT_AFTER = 3
EXIT_CODE = 1


class Watchdog:
    """`start` inside the loop to watch; `stop` before it closes.

    Blocked means that a callback, scheduled every `turn_seconds`, was not run. Time in which the whole process stood
    still (suspended, stopped) does not count: this thread stood still as well.
    """

    def __init__(
        self,
        stall_seconds: float,
        *,
        exit_when_blocked: bool = False,
        turn_seconds: float = 1.0,
        leave: Callable[[int], None] = os._exit,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stall_seconds = stall_seconds
        self._exit_when_blocked = exit_when_blocked
        self._turn_seconds = turn_seconds
        self._leave = leave
        self._clock = clock
        self._turns = 0
        self._blocked = 0.0
        self._last_block = 0.0
        self._last_block_end = float("-inf")
        self._handle: asyncio.TimerHandle | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def blocked_seconds(self) -> float:
        """For how long the loop has not turned by now; 0 while it turns."""
        return self._blocked

    @property
    def lately_blocked_seconds(self) -> float:
        """How long the last block of a stall period or more lasted, for one stall period after its end; else 0."""
        if self._blocked >= self._stall_seconds:
            return self._blocked
        return self._last_block if self._clock() - self._last_block_end < self._stall_seconds else 0.0

    def start(self) -> None:
        watched = threading.get_ident()
        self._turn(asyncio.get_running_loop())
        self._thread = threading.Thread(target=self._watch, args=(watched,), name="watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        if self._handle is not None:
            self._handle.cancel()
        if self._thread is not None:
            self._thread.join()

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._turns += 1
        self._handle = loop.call_later(self._turn_seconds, self._turn, loop)

    def _watch(self, watched: int) -> None:
        seen, then, told = self._turns, self._clock(), False
        while not self._over.wait(self._turn_seconds):
            now = self._clock()
            if self._turns != seen:
                self._end_block(now)
                seen, told = self._turns, False
            else:
                self._blocked += min(now - then, 2 * self._turn_seconds)
                if self._blocked >= self._stall_seconds and not told:
                    told = True
                    _tell(watched, self._blocked)
                if self._exit_when_blocked and self._blocked >= EXIT_AFTER * self._stall_seconds:
                    self._leave(EXIT_CODE)
            then = now

    def _end_block(self, now: float) -> None:
        if self._blocked >= self._stall_seconds:
            self._last_block, self._last_block_end = self._blocked, now
            _log.warning("event_loop_goes_on", blocked_seconds=round(self._blocked, 1))
        self._blocked = 0.0


def _tell(watched: int, seconds: float) -> None:
    frame = sys._current_frames().get(watched)  # noqa: SLF001  # the documented way to another thread's stack
    stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
    # From a thread of its own: what blocks may be the writing of the log, and this must not keep us from leaving.
    facts = {"blocked_seconds": round(seconds, 1), "stack": stack}
    threading.Thread(target=_log.critical, args=("event_loop_blocked",), kwargs=facts, daemon=True).start()
