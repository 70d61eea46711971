"""One bot, from bar to order: bar -> fills -> rules -> journal -> broker, one commit per effect.

The engine owns no truth. Whatever goes wrong, it is thrown away and built again from the tables; that is also how
it starts. It sends nothing without a journaled intent and a valid lease.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic, time
from typing import Any

import structlog

from bot_core.models.errors import DatabaseUnavailableError, TransientError
from bot_core.models.operation import OnStop
from bot_runtime import tracing
from bot_runtime.brokers.base import Broker, VenueUnavailableError
from bot_runtime.domain.bar import Bar
from bot_runtime.domain.money import decimal_of
from bot_runtime.domain.order import OrderIntent
from bot_runtime.engine.board import BotBoard
from bot_runtime.engine.comparison import compare, look, settle
from bot_runtime.engine.kernel import Kernel
from bot_runtime.engine.order_desk import OrderDesk
from bot_runtime.engine.progress import Progress
from bot_runtime.engine.restraint import Restraint
from bot_runtime.engine.teller import Teller
from bot_runtime.feeds.base import Feed
from bot_runtime.persistence.ledger import Ledger
from bot_runtime.persistence.rows import WorkingOrder
from bot_runtime.risk.refusal import SHARED

_log = structlog.get_logger(__name__)
#: Between a heartbeat and one that is asked for: however often the row changes, the database is not asked more often.
_LEAST_APART = 0.1
_LONGEST_PAUSE = 5.0
_LONGEST_STOP_PAUSE = 600.0
#: A simulated venue fills within a few turns, or is given time to.
_QUICK_TURNS, _SHORT_PAUSE = 20, 0.1


@dataclass(frozen=True)
class Rhythm:
    """Seconds between heartbeats, looks at orders on their way, looks at a resting stop, and comparisons."""

    beat_seconds: float
    order_seconds: float = 1.0
    stop_seconds: float = 10.0
    compare_seconds: float = 60.0


class BotEngine:
    """Runs until told to stop, or until an error says that it must be built again."""

    def __init__(
        self,
        *,
        kernel: Kernel,
        ledger: Ledger,
        broker: Broker,
        feed: Feed,
        desk: OrderDesk,
        board: BotBoard,
        progress: Progress,
        rhythm: Rhythm,
    ) -> None:
        self._kernel = kernel
        self._ledger = ledger
        self._broker = broker
        self._feed = feed
        self._desk = desk
        self._restraint = Restraint(desk, feed, board)
        self._teller = Teller(desk, feed, board)
        self._board = board
        self._progress = progress
        self._rhythm = rhythm
        self._loop_name = f"bot-{board.bot_id}"
        self._dirty = False
        self._next_beat = self._next_look = self._next_compare = self._next_stop = self._stop_pause = 0.0
        self._last_beat = 0.0
        self._leave = asyncio.Event()
        self._hurry: asyncio.Future[None] | None = None  # of the wait that is under way
        self._version: str | None = None
        self.leave_when_flat = False
        self.on_version: Callable[[], None] = lambda: None

    @property
    def flat(self) -> bool:
        """Neither a position nor an order on its way."""
        return self._desk.flat

    def request_rebuild(self) -> None:
        """Return from `run` at the next bar boundary, which is at once where the engine waits for a bar."""
        self._leave.set()

    def beat_soon(self) -> None:
        """There may be news for this bot, such as a halt: ask the database now, not at the next heartbeat."""
        self._next_beat = min(self._next_beat, self._last_beat + _LEAST_APART)
        if self._hurry is not None and not self._hurry.done():
            self._hurry.set_result(None)

    async def recover(self, working: tuple[WorkingOrder, ...]) -> None:
        """Settle what the last process left, and compare with the venue, before anything else is done."""
        self._desk.resume(working)
        self._restraint.learn((await self._ledger.beat(None)).halt)
        for order in working:
            name, state = order.intent.client_order_id, order.state
            await self._ledger.note("recovered", f"order {name} was {state} at the last stop", client_order_id=name)
        if self._broker.live or self._desk.unsure:
            await self._desk.advance()
        if self._desk.unsure and not self._broker.live:
            raise TransientError("an order could not be sent to the simulated venue: trying again")
        if self._broker.live:
            with tracing.span("reconcile"):
                await compare(self._desk)
            self._next_compare = self._now() + self._rhythm.compare_seconds
        await self._desk.protect()
        self._teller.show()

    async def run(self, stop: asyncio.Event) -> None:
        """Process bars until `stop` is set, then book the cursor and return."""
        bars = self._feed.bars(self._desk.cursor)
        self._board.fed_at = monotonic()
        leaving = [asyncio.ensure_future(event.wait()) for event in (stop, self._leave)]
        pending: asyncio.Task[Bar] | None = None
        try:
            await self._beat(must=True)  # a halt is known before the first bar
            pending = _next(bars)
            while not any(future.done() for future in leaving) and not (self.leave_when_flat and self.flat):
                self._mark()
                await self._wait(*leaving, *([pending] if pending else []))
                self._mark()
                if pending is not None and pending.done() and not stop.is_set():
                    pending = await self._take(pending, bars)
                await self._due()
            await self._checkpoint()
        finally:
            await _cancel(*leaving, *([pending] if pending else []))
            await self._close(bars)
            self._progress.forget(self._loop_name)

    async def _wait(self, *futures: asyncio.Future[Any]) -> None:
        """Until one of them is done, something is due, or somebody asks for a heartbeat."""
        hurry = self._hurry = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait({hurry, *futures}, timeout=self._until_due(), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hurry = None

    async def wind_down(self, policy: OnStop) -> None:
        """Do what a bot that is stopped on request shall do with what it has, however long the venue is away.

        Cut short, it is finished by the next process: the row's request stands until `stopped` has answered it.
        """
        pause, turns = 0.0, 0
        while not await self._restraint.wound_down(policy):
            self._mark()
            if self._desk.unsure or (self._broker.live and self._kernel.pending is not None):
                await self._desk.advance()
            bar = self._restraint.last_price_bar()
            if bar is not None:
                await self._fills(bar)
            if self._ledger.lease.seconds_left() < self._rhythm.beat_seconds:
                await self._ledger.beat(None)
            # A venue that is away, or that rejects the exit, is asked again less and less often.
            turns += 1
            if self._broker.live:
                pause = min(_LONGEST_PAUSE, 1.5 * pause or self._rhythm.order_seconds)
            await asyncio.sleep(pause if self._broker.live or turns < _QUICK_TURNS else _SHORT_PAUSE)
        await self._ledger.beat(self._desk.snapshot())
        self._teller.show()

    async def _take(self, pending: asyncio.Task[Bar], bars: AsyncIterator[Bar]) -> asyncio.Task[Bar] | None:
        try:
            bar = pending.result()
        except StopAsyncIteration:
            self._board.message = "the data has ended"
            self._board.fed_at = None
            _log.info("feed_ended", cursor=str(self._desk.cursor))
            await self._checkpoint()
            return None
        await self.on_bar(bar)
        return _next(bars)

    async def on_bar(self, bar: Bar) -> None:
        """The bar's fills first, as facts; then the decision on its close."""
        kernel, desk, board = self._kernel, self._desk, self._board
        board.fed_at = monotonic()
        await self._fills(bar)
        late = kernel.expired(bar)
        if late is not None:
            await desk.withdraw(late, "it was good for one bar")
        intent = kernel.on_bar(bar, self._restraint.hold(bar))
        desk.cursor, desk.price = bar.time, decimal_of(bar.close)
        self._dirty = True
        board.bars += 1
        board.bar_time = bar.time
        board.last_price = bar.close
        refused, limit = kernel.refused, kernel.limited_by
        if intent is not None:
            refused, limit = await self._order(intent), SHARED
            await self._teller.reduction(intent)
        elif kernel.watches:
            await desk.protect()
        if refused:
            await self._teller.refusal(refused, limit)
        board.bar_lag = self._lag(bar, board.fed_at)
        self._teller.show()

    def _lag(self, bar: Bar, delivered: float) -> float:
        """Seconds since the bar closed; where bars are of the past, since it was delivered."""
        if not self._feed.live:
            return monotonic() - delivered
        return max(0.0, time() - bar.time.timestamp() - self._feed.interval_seconds)

    async def _fills(self, bar: Bar) -> None:
        """What the bar fills at a simulated venue; again, for a stop that is placed at this bar's open may be hit."""
        while reports := await self._broker.on_bar(bar):
            self._mark()
            for report in reports:
                intent = self._desk.order(report.client_order_id)
                if intent is None:
                    raise TransientError(f"fill of {report.client_order_id}, no order of this bot's: reading again")
                await self._desk.take(intent, report)
            await self._desk.protect()

    async def _order(self, intent: OrderIntent) -> str:
        self._mark()
        try:
            refused = await self._desk.place(intent)
        except DatabaseUnavailableError:
            _log.warning("signal_held", client_order_id=intent.client_order_id, reason="the database does not answer")
            raise
        if not refused:
            self._dirty = False
            await self._desk.protect()  # a venue may have filled the entry at once
            return ""
        return f"entry signal, but {refused}"

    async def _due(self) -> None:
        """Whatever the time has come for: a heartbeat, a look at orders, a comparison with the venue."""
        now = self._now()
        if now >= self._next_beat:
            await self._beat()
        if self._broker.live:
            if self._desk.orders and now >= self._next_look:
                await self._desk.advance()
                seconds = self._rhythm.stop_seconds if self._kernel.pending is None else self._rhythm.order_seconds
                self._next_look = self._now() + seconds
                self._teller.show()
            if now >= self._next_compare:
                await self._compare()
            if now >= self._next_stop:
                self._retry_stop(now)
            await self._desk.protect()
        elif self._desk.unsure:
            await self._desk.advance()

    def _retry_stop(self, now: float) -> None:
        """Let a stop that the venue refused be tried again, less and less often."""
        self._stop_pause = min(_LONGEST_STOP_PAUSE, 2 * self._stop_pause) if self._kernel.refused_stops else 0.0
        self._stop_pause = self._stop_pause or self._rhythm.stop_seconds
        self._next_stop = now + self._stop_pause
        self._kernel.retry_stops()

    async def _compare(self) -> None:
        self._next_compare = self._now() + self._rhythm.compare_seconds
        self._mark()
        try:
            with tracing.span("reconcile"):
                found = await look(self._desk)
        except DatabaseUnavailableError as error:
            # Nothing has changed by it: no reason to stop reading bars.
            _log.warning("comparison_failed", error=str(error))
            return
        except VenueUnavailableError as error:
            self._desk.venue_away(error)
            self._teller.show()
            return
        try:
            await settle(self._desk, found)
        except VenueUnavailableError as error:
            self._desk.venue_away(error)
        else:
            self._desk.trouble = ""
        self._teller.show()

    async def _beat(self, *, must: bool = False) -> None:
        """Say that the bot lives. A database that is away delays this, and is no reason to stop reading bars."""
        self._last_beat = self._now()
        # Never late, and not all bots of a process at once.
        self._next_beat = self._last_beat + self._rhythm.beat_seconds * random.uniform(0.9, 1.0)  # noqa: S311
        try:
            beat = await self._ledger.beat(self._desk.snapshot() if self._dirty else None)
        except DatabaseUnavailableError as error:
            self._board.database_away = True
            _log.warning("heartbeat_failed", error=str(error))
            self._teller.show()
            if must:
                raise
            return
        self._board.database_away = False
        self._dirty = False
        self._board.heartbeat = datetime.now(UTC)
        if beat.version != self._version:
            self._version = beat.version
            self.on_version()
        await self._restraint.obey(beat.halt)
        if beat.halt is not None and self._kernel.refused:
            await self._teller.refusal(self._kernel.refused)
        self._teller.show()

    async def _checkpoint(self) -> None:
        self._mark()
        if self._dirty:
            await self._ledger.beat(self._desk.snapshot())
            self._dirty = False
        self._teller.show()

    @staticmethod
    async def _close(bars: AsyncIterator[Bar]) -> None:
        aclose = getattr(bars, "aclose", None)
        if aclose is not None:
            await aclose()

    async def aclose(self) -> None:
        """Let go of feed and venue; after `run`, and after `wind_down` where there is one."""
        await self._feed.aclose()
        await self._broker.aclose()

    def _mark(self) -> None:
        self._progress.mark(self._loop_name)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    def _until_due(self) -> float:
        due = self._next_beat
        if self._broker.live:
            due = min(due, self._next_compare)
            if self._desk.orders:
                due = min(due, self._next_look)
        return max(0.0, due - self._now())


def _next(bars: AsyncIterator[Bar]) -> asyncio.Task[Bar]:
    async def one() -> Bar:
        return await anext(bars)

    return asyncio.create_task(one())


async def _cancel(*futures: asyncio.Future[Any]) -> None:
    for future in futures:
        future.cancel()
        with suppress(asyncio.CancelledError, StopAsyncIteration, Exception):
            await future
