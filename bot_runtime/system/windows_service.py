"""The life of a Windows service: start the runner, hand a stop on to it, report progress while it drains.

It gets pywin32's modules as arguments and imports none, so that its logic is tested on any system. It has never run on
Windows itself: see docs/service.md.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

#: How long the manager waits for the next report, and how often one is made, in seconds.
_HINT, _REPORT = 20.0, 5.0
FAILED = 1


class Runner(Protocol):
    """The TradingRunner."""

    stop: asyncio.Event

    async def run(self) -> None: ...


class WindowsService:
    """What `ServiceFramework` calls: `control` from its thread of requests, `run` from the one of the service.

    `report(state, hint)` is ReportServiceStatus, which counts checkpoints by itself. `leave` ends the process: a
    service that ends without reporting `stopped` has failed, and the manager starts it again.
    """

    def __init__(
        self,
        win32service: Any,
        report: Callable[[int, int], None],
        build: Callable[[], Runner],
        *,
        log_error: Callable[[str], None],
        leave: Callable[[int], None],
        report_seconds: float = _REPORT,
    ) -> None:
        self._win32service = win32service
        self._report = report
        self._build = build
        self._log_error = log_error
        self._leave = leave
        self._report_seconds = report_seconds
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._runner: Runner | None = None
        self._asked = False

    def control(self, request: int) -> None:
        """A request of the manager. Stop and shutdown of the machine are the same: drain, then end."""
        win32 = self._win32service
        if request not in {
            win32.SERVICE_CONTROL_STOP,
            win32.SERVICE_CONTROL_SHUTDOWN,
            win32.SERVICE_CONTROL_PRESHUTDOWN,
        }:
            return
        self._pending(win32.SERVICE_STOP_PENDING)
        with self._lock:
            self._asked = True
            if self._loop is not None and self._runner is not None:
                # A loop that is closed has run to its end already.
                with suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._runner.stop.set)

    def run(self) -> None:
        """Until the runner ends. One that fails, or ends without being asked to, is a failure of the service."""
        try:
            with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                runner.run(self._serve())
        except Exception as error:  # noqa: BLE001  # whatever it was, the manager starts the service again
            self._log_error(f"the service failed: {type(error).__name__}: {error}")
            self._leave(FAILED)
            return
        if not self._asked:
            self._log_error("the service ended without being asked to")
            self._leave(FAILED)

    async def _serve(self) -> None:
        runner = self._build()
        with self._lock:
            self._loop, self._runner = asyncio.get_running_loop(), runner
            if self._asked:
                runner.stop.set()
        self._report(self._win32service.SERVICE_RUNNING, 0)
        reporting = asyncio.create_task(self._report_while_draining(runner))
        try:
            await runner.run()
        finally:
            reporting.cancel()

    async def _report_while_draining(self, runner: Runner) -> None:
        await runner.stop.wait()
        while True:
            self._pending(self._win32service.SERVICE_STOP_PENDING)
            await asyncio.sleep(self._report_seconds)

    def _pending(self, state: int) -> None:
        self._report(state, int(_HINT * 1000))
