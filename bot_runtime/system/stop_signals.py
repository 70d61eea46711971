"""Signals that ask the process to end, on every system: loops of Windows have no `add_signal_handler`.

Off the main thread, which is where a Windows service runs, there are no signals: whoever runs it sets the stop itself.
"""

import asyncio
import signal
import threading
from collections.abc import Callable
from types import FrameType

#: SIGBREAK is Windows' Ctrl+Break, and what a parent can send there.
_ASKING = ("SIGTERM", "SIGINT", "SIGBREAK")


def on_stop_signals(tell: Callable[[signal.Signals], None]) -> None:
    """Call `tell` in the running loop for each such signal from now on."""
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()

    def relayed(number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(tell, signal.Signals(number))

    for number in (getattr(signal, name) for name in _ASKING if hasattr(signal, name)):
        try:
            loop.add_signal_handler(number, tell, number)
        except NotImplementedError:
            signal.signal(number, relayed)
