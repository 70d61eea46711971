"""A program on a terminal of its own: keys go in, pictures come out. Ended by its process id."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from support.waiting import wait_until

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>]")


class Terminal:
    """`with Terminal(command, environment) as terminal`; `screen` is the newest picture, as text."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], *, columns: int = 140, lines: int = 30
    ) -> None:
        self.own, self._theirs = pty.openpty()
        self.resize(columns, lines, tell=False)
        self.before = termios.tcgetattr(self._theirs)
        unset = {"COLUMNS", "LINES", "NO_COLOR"}
        self.process = subprocess.Popen(
            command,
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            start_new_session=True,
            env={k: v for k, v in os.environ.items() if k not in unset}
            | {"TERM": "xterm-256color"}
            | dict(environment),
        )
        self.output = ""
        self._done = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def screen(self) -> str:
        """What stands on it: all since the cursor was last put into the corner."""
        return _ESCAPES.sub("", self.output.rpartition("\x1b[H")[2])

    @property
    def attributes(self) -> list[Any]:
        """How the terminal is set: line mode, echo, signals."""
        return termios.tcgetattr(self._theirs)

    @property
    def left_alternate_screen(self) -> bool:
        """Whether the picture was taken away, and the cursor is shown again."""
        return self.output.rfind("\x1b[?1049l") > self.output.rfind("\x1b[?1049h") and self.output.rfind(
            "\x1b[?25h"
        ) > self.output.rfind("\x1b[?25l")

    def press(self, keys: str) -> None:
        os.write(self.own, keys.encode())

    def resize(self, columns: int, lines: int, *, tell: bool = True) -> None:
        fcntl.ioctl(self.own, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        if tell:  # what the kernel does for the foreground process of a terminal that controls one
            self.process.send_signal(signal.SIGWINCH)

    def wait_for(self, text: str, timeout: float = 20) -> str:
        wait_until(lambda: text in self.screen, timeout, f"{text!r} on the screen", tell=lambda: self.screen)
        return self.screen

    def wait_gone(self, text: str, timeout: float = 20) -> None:
        wait_until(lambda: text not in self.screen, timeout, f"{text!r} off the screen", tell=lambda: self.screen)

    def end(self, timeout: float = 15) -> int:
        return self.process.wait(timeout)

    def _read(self) -> None:
        while not self._done.is_set():
            if select.select([self.own], [], [], 0.1)[0]:
                try:
                    self.output += os.read(self.own, 65_536).decode(errors="replace")
                except OSError:
                    return

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._done.set()
        self._reader.join()
        os.close(self.own)
        os.close(self._theirs)
