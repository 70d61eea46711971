"""Two processes that may trade one bot, as objects that a test can pause, crash and cut off from the database."""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum, auto
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.models.config import parse_config
from bot_core.models.errors import DatabaseUnavailableError, TransientError
from bot_core.schema import bots, events, leases, messages, orders, positions, state, trades
from bot_core.store.database import Database
from bot_core.store.leases import Lease
from bot_runtime.domain.bar import Bar, epoch_ms
from bot_runtime.domain.position import Position
from bot_runtime.engine.assembly import Assignment, build_engine
from bot_runtime.engine.board import BotBoard
from bot_runtime.engine.bot_engine import BotEngine
from bot_runtime.feeds.base import PastFeed
from bot_runtime.indicators.view import View
from support.bots import surroundings
from support.scripted_venue import Clock, Crash, ScriptedBroker, ScriptedVenue

INTERVAL = 3600


class Fault(Enum):
    """What a transaction meets; whether it was committed is not known to who asked."""

    CRASH_BEFORE = auto()
    CRASH_AFTER = auto()
    AWAY_BEFORE = auto()
    AWAY_AFTER = auto()


class FaultyDatabase(Database):
    """`faults` are met by the next transactions, one each; None is none."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.faults: deque[Fault | None] = deque()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        fault = self._begin()
        async with super().write() as connection:
            yield connection
        self._end(fault)

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[AsyncConnection]:
        fault = self._begin()
        async with super().autocommit() as connection:
            yield connection
        self._end(fault)

    def _begin(self) -> Fault | None:
        fault = self.faults.popleft() if self.faults else None
        if fault is Fault.CRASH_BEFORE:
            raise Crash
        if fault is Fault.AWAY_BEFORE:
            raise DatabaseUnavailableError("the database is away")
        return fault

    def _end(self, fault: Fault | None) -> None:
        if fault is Fault.CRASH_AFTER:
            raise Crash
        if fault is Fault.AWAY_AFTER:
            raise DatabaseUnavailableError("the database did not answer")


class World:
    """What both processes see: bars, signals, where the stop shall be, the venue, and the newest epoch given out."""

    def __init__(self, url: str, bot_id: int, venue: ScriptedVenue) -> None:
        self.url, self.bot_id, self.venue = url, bot_id, venue
        self.clock: Clock = venue.clock
        self.first = venue.clock.now
        self.bars: list[Bar] = []
        self.wants: dict[int, str] = {}
        self.stop: Decimal | None = None
        self.epoch = 0

    def next_bar(self, price: Decimal, want: str) -> Bar:
        value = float(price)
        bar = Bar(self.first + timedelta(seconds=len(self.bars) * INTERVAL), value, value, value, value, 1.0)
        self.bars.append(bar)
        self.wants[epoch_ms(bar.time)] = want
        self.venue.price = price
        self.clock.now = max(self.clock.now, bar.time + timedelta(seconds=INTERVAL + 1))
        return bar


class ScriptedStrategy:
    name = entry_name = exit_name = "scripted"
    indicators = ()
    first_bar = 0
    warmup = 1

    def __init__(self, world: World) -> None:
        self._world = world

    def enter(self, view: View) -> str | None:
        return "wanted" if self._world.wants[view.time] == "enter" else None

    def exit(self, view: View, _position: Position) -> str | None:
        return "wanted" if self._world.wants[view.time] == "exit" else None

    def opened(self, position: Position) -> None: ...
    def closed(self) -> None: ...
    def dump_state(self) -> dict[str, Any]:
        return {}

    def load_state(self, saved: Mapping[str, Any]) -> None: ...


class ScriptedGuard:
    watches = True
    limits_entries = False
    reduced = ""
    peak = Decimal(0)

    def __init__(self, world: World) -> None:
        self._world = world

    def opened(self, *_: Any) -> None: ...
    def closed(self, *_: Any) -> None: ...
    def on_bar(self, *_: Any) -> None: ...
    def exit(self, *_: Any) -> str | None:
        return None

    def first_stop(self, _price: Decimal) -> Decimal | None:
        return self._world.stop

    def stop_price(self, _position: Position) -> Decimal | None:
        return self._world.stop

    def stop_reason(self, _position: Position) -> str:
        return "stop_loss"

    def dump_state(self) -> dict[str, Any]:
        return {}

    def load_state(self, _saved: Mapping[str, Any]) -> None: ...


class ScriptedFeed(PastFeed):
    live = True
    finite = False
    interval_seconds = INTERVAL
    notices = ()

    def __init__(self, world: World) -> None:
        self._world = world

    def history_capacity(self, warmup: int) -> int | None:
        return warmup

    async def history(self, until: datetime, limit: int | None) -> list[Bar]:
        return [bar for bar in self._world.bars if bar.time <= until][-(limit or 0) :]

    async def aclose(self) -> None: ...


class Process:
    """One process: it may hold the lease, believe so, or be gone (`engine` is None). Errors end it as they would."""

    def __init__(self, world: World, holder: str) -> None:
        self.world = world
        self.database = FaultyDatabase(world.url)
        self.around = surroundings(self.database, holder)
        self.other: Process | None = None
        self.engine: BotEngine | None = None
        self.lease: Lease | None = None

    @property
    def fenced(self) -> bool:
        return self.lease is None or self.lease.epoch != self.world.epoch

    def broker(self) -> ScriptedBroker:
        return ScriptedBroker(self.world.venue, lambda: not self.fenced, self._paused_at_the_wire)

    async def start(self) -> None:
        """Build the engine from the tables where the lease is to be had, and catch up with the bars."""
        self.engine = None
        await self._ended_by(self._start)

    async def do(self, step: Callable[[BotEngine], Awaitable[Any]]) -> None:
        engine = self.engine
        if engine is not None:
            await self._ended_by(lambda: step(engine))

    async def pause(self) -> None:
        """Stand still for longer than the lease."""
        if self.lease is not None:
            self.lease.deadline = 0.0
            if not self.fenced:
                await self.expire()

    async def expire(self) -> None:
        """Whoever holds the lease has not renewed it in time."""
        database = Database(self.world.url)
        async with database.write() as connection:
            this = leases.c.bot_id == self.world.bot_id
            await connection.execute(update(leases).where(this).values(expires_at=database.after(-1)))
        await database.aclose()

    def crash(self) -> None:
        self.engine = None

    async def _start(self) -> None:
        lease = await self.around.leases.acquire(self.world.bot_id)
        if lease is None:
            return
        self.lease, self.world.epoch = lease, max(self.world.epoch, lease.epoch)
        row = await self.around.store.get(self.world.bot_id)
        assert row is not None
        config = parse_config(row.config).config
        assert config is not None
        assigned = Assignment.of(row, config, row.config)
        board = BotBoard(self.world.bot_id, "a bot")
        CURRENT.append(self)
        try:
            self.engine = await build_engine(self.around, assigned, lease, board, lambda: None)
        finally:
            CURRENT.pop()
        await self.engine._beat()
        cursor = self.engine._desk.cursor
        for bar in [bar for bar in self.world.bars if cursor is None or bar.time > cursor]:
            await self.engine.on_bar(bar)

    async def _ended_by(self, step: Callable[[], Awaitable[Any]]) -> None:
        try:
            await step()
        except Crash:
            self.engine = None
        except TransientError:
            self.engine = None
            await self._release()
        except BaseException:
            self.engine = None
            raise

    async def _release(self) -> None:
        if self.lease is not None:
            with suppress(TransientError, Crash):
                await self.around.leases.release(self.lease)

    async def _paused_at_the_wire(self) -> None:
        await self.pause()
        if self.other is not None:
            await self.other.start()


#: The process whose engine is being put together: the scripted parts are its own.
CURRENT: list[Process] = []


async def all_rows(database: Database, bot_id: int) -> dict[str, Any]:
    """Everything that the tables say of a bot, leases and the heartbeat aside."""
    async with database.read() as connection:
        found = {}
        for table in (orders, trades, positions, state, events):
            mine = await connection.execute(select(table).where(table.c.bot_id == bot_id).order_by(*table.primary_key))
            found[table.name] = [dict(row) for row in mine.mappings()]
        row = await connection.execute(select(bots).where(bots.c.id == bot_id))
        found["bot"] = [{k: v for k, v in r.items() if k != "last_heartbeat"} for r in row.mappings()]
        found["messages"] = [{"count": await connection.scalar(select(func.count()).select_from(messages))}]
        return found
