"""Keys of a terminal, one by one, as words: `up`, `enter`, `q`. The terminal is given back as it was found.

Works through termios, on Windows through msvcrt. It decides nothing about what a key means.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_SEQUENCES = {
    "\x1b[A": "up", "\x1bOA": "up", "\x1b[B": "down", "\x1bOB": "down", "\x1b[5~": "page up", "\x1b[6~": "page down",
    "\x1b[H": "home", "\x1bOH": "home", "\x1b[1~": "home", "\x1b[F": "end", "\x1bOF": "end", "\x1b[4~": "end",
    "\x1b[C": "right", "\x1bOC": "right", "\x1b[D": "left", "\x1bOD": "left",
}  # fmt: skip
_PLAIN = {"\r": "enter", "\n": "enter", "\x7f": "backspace", "\x08": "backspace", "\t": "tab", "\x03": "q"}
_WINDOWS = {"H": "up", "P": "down", "I": "page up", "Q": "page down", "G": "home", "O": "end"}
_ESCAPE_SECONDS = 0.05
_WINDOWS_SECONDS = 0.05


class KeyReader:
    """Takes characters apart. What may be the beginning of a longer sequence waits for the rest, or for `flush`."""

    def __init__(self) -> None:
        self._rest = ""

    @property
    def waiting(self) -> bool:
        return bool(self._rest)

    def feed(self, text: str) -> list[str]:
        self._rest += text
        keys = []
        while self._rest:
            found = self._next()
            if found is None:
                break
            if found:
                keys.append(found)
        return keys

    def flush(self) -> list[str]:
        """The escape key itself, where nothing followed it."""
        rest, self._rest = self._rest, ""
        return ["escape"] if rest else []

    def _next(self) -> str | None:
        """One key taken off the front, "" for one that has no name, None where more has to come."""
        text = self._rest
        for sequence, name in _SEQUENCES.items():
            if text.startswith(sequence):
                self._rest = text[len(sequence) :]
                return name
        if text[0] != "\x1b":
            self._rest = text[1:]
            return _PLAIN.get(text[0], text[0] if text[0].isprintable() else "")
        if len(text) == 1 or (text[1] in "[O" and not _ended(text)):
            return None
        self._rest = text[_length(text) :] if text[1] in "[O" else text[1:]
        return "" if text[1] in "[O" else "escape"


def _length(text: str) -> int:
    """How long the control sequence at the front is; 0 where its end has not come."""
    for place, letter in enumerate(text[2:], 2):
        if "@" <= letter <= "~":
            return place + 1
    return 0


def _ended(text: str) -> bool:
    return _length(text) > 0


@contextmanager
def keys_of_terminal(pressed: Callable[[str], None]) -> Iterator[None]:
    """Call `pressed` for each key of standard input while the block lasts. Must be used inside an event loop."""
    if sys.platform == "win32":
        with _windows_keys(pressed):
            yield
        return
    with _posix_keys(sys.stdin.fileno(), pressed):
        yield


if sys.platform == "win32":  # pragma: no cover  # not run here

    @contextmanager
    def _windows_keys(pressed: Callable[[str], None]) -> Iterator[None]:
        import msvcrt  # noqa: PLC0415

        async def poll() -> None:
            while True:
                while msvcrt.kbhit():
                    letter = msvcrt.getwch()
                    if letter in "\x00\xe0":
                        pressed(_WINDOWS.get(msvcrt.getwch(), ""))
                    else:
                        pressed("escape" if letter == "\x1b" else _PLAIN.get(letter, letter))
                await asyncio.sleep(_WINDOWS_SECONDS)

        task = asyncio.get_running_loop().create_task(poll())
        try:
            yield
        finally:
            task.cancel()

else:
    import termios

    @contextmanager
    def _posix_keys(terminal: int, pressed: Callable[[str], None]) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        reader = KeyReader()
        before = termios.tcgetattr(terminal)

        def readable() -> None:
            data = os.read(terminal, 1024)
            for key in reader.feed(data.decode(errors="ignore")):
                pressed(key)
            if not data:  # the terminal is gone
                loop.remove_reader(terminal)
                pressed("q")
            elif reader.waiting:
                loop.call_later(_ESCAPE_SECONDS, flush)

        def flush() -> None:
            for key in reader.flush():
                pressed(key)

        termios.tcsetattr(terminal, termios.TCSADRAIN, _raw(before))
        loop.add_reader(terminal, readable)
        try:
            yield
        finally:
            loop.remove_reader(terminal)
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)

    def _raw(before: list[Any]) -> list[Any]:
        """Keys come at once and are not echoed. Ctrl-C stays a signal; Ctrl-Z would leave the screen as it is."""
        attributes = [*before[:6], list(before[6])]
        attributes[3] &= ~(termios.ICANON | termios.ECHO)
        attributes[6][termios.VMIN], attributes[6][termios.VTIME] = 1, 0
        attributes[6][termios.VSUSP] = b"\0"
        return attributes
