"""The live view: reads the fleet, listens to keys, draws. Reading never holds up a key, and the terminal is given back.

It only looks: nothing is written, and a bot never waits for it.
"""

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from rich.console import Console, RenderableType
from rich.control import Control
from rich.text import Text

from bot_core.logs import masked
from bot_core.models.errors import TradingBotError, first_line
from bot_core.models.fleet import FleetFacts
from bot_core.store.bot_detail import BotDetail, read_detail
from bot_core.store.fleet import read_fleet
from bot_core.store.looking import LookingDatabase
from bot_runtime.cli.fleet_picture import Shown, page_of, picture
from bot_runtime.cli.fleet_screen import FleetScreen
from bot_runtime.cli.fleet_view import FleetLine, arranged, fleet_lines, totals
from bot_runtime.cli.keys import keys_of_terminal

#: Reading takes at most this part of the time, however large the tables are.
_SHARE = 4
_SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP")


class LiveFleet:
    """`interval` in seconds."""

    def __init__(self, database: LookingDatabase, console: Console, *, interval: float) -> None:
        self._database = database
        self._console = console
        self._interval = interval
        self._screen = FleetScreen()
        self._facts: FleetFacts | None = None
        self._lines: list[FleetLine] = []
        self._detail: BotDetail | None = None
        self._trouble = "reading …"
        self._changed = asyncio.Event()
        self._read_now = asyncio.Event()

    async def run(self) -> None:
        """Until `q`, Ctrl-C or SIGTERM."""
        with self._console.screen(hide_cursor=True) as screen, keys_of_terminal(self._pressed), self._signals():
            reading = asyncio.create_task(self._read())
            try:
                while not self._screen.done:
                    with self._console:  # one write: a picture that comes in parts flickers
                        self._console.control(Control.home())
                        screen.update(self._picture())
                    await self._changed.wait()
                    self._changed.clear()
            finally:
                reading.cancel()
                with suppress(asyncio.CancelledError):
                    await reading

    async def _read(self) -> None:
        while True:
            started = time.monotonic()
            await self._read_once()
            self._changed.set()
            pause = max(self._interval, _SHARE * (time.monotonic() - started))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._read_now.wait(), pause)
            self._read_now.clear()

    async def _read_once(self) -> None:
        try:
            self._facts = await read_fleet(self._database)
            self._lines = fleet_lines(self._facts)
            wanted = self._screen.detail
            self._detail = None if wanted is None else await read_detail(self._database, wanted)
            self._trouble = ""
        except TradingBotError as error:
            since = "" if self._facts is None else f"; what is shown is of {self._facts.at:%H:%M:%S} UTC"
            self._trouble = f"the database does not answer{since}: {masked(first_line(error))}"
        except Exception as error:  # noqa: BLE001  # a view must not end by what it looks at
            self._trouble = f"{type(error).__name__}: {masked(first_line(error))}"

    def _picture(self) -> RenderableType:
        if self._facts is None:
            return Text(f"{self._database.safe_url}: {self._trouble}   (q quits)")
        size = self._console.size
        shown = self._shown(self._facts)
        return picture(shown, size.width, size.height)

    def _shown(self, facts: FleetFacts) -> Shown:
        chosen = arranged(self._lines, self._screen.order, self._screen.words, backwards=self._screen.backwards)
        shown = Shown(
            facts=facts,
            database=self._database.safe_url,
            totals=totals(self._lines),
            lines=chosen,
            screen=self._screen,
            detail=self._detail,
            trouble=self._trouble,
        )
        self._screen = self._screen.fitted(chosen, page_of(shown, self._console.size.height))
        return replace(shown, screen=self._screen)

    def _pressed(self, key: str) -> None:
        chosen = arranged(self._lines, self._screen.order, self._screen.words, backwards=self._screen.backwards)
        page = 1 if self._facts is None else page_of(self._shown(self._facts), self._console.size.height)
        before = self._screen.detail
        self._screen = self._screen.pressed(key, chosen, page)
        if self._screen.detail not in {None, before}:
            self._read_now.set()
        self._changed.set()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """An end that is asked for is an ordinary one; a new size is drawn at once."""
        loop = asyncio.get_running_loop()
        handlers = dict.fromkeys(_SIGNALS, self._end) | {"SIGWINCH": self._changed.set}
        added = []
        for name, handler in handlers.items():
            number = getattr(signal, name, None)
            with suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt
                if number is not None:
                    loop.add_signal_handler(number, handler)
                    added.append(number)
        try:
            yield
        finally:
            for number in added:
                loop.remove_signal_handler(number)

    def _end(self) -> None:
        self._screen = replace(self._screen, done=True)
        self._changed.set()
