"""One bot, from bar to booked fill: bar -> fills -> rules -> journal -> broker, one commit per effect.

The engine owns no truth. Whatever goes wrong, it is thrown away and built again from the tables; that is also how
it starts. It sends nothing without a journaled intent and a valid lease.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, assert_never

import structlog

from bot_core.models.errors import DatabaseUnavailableError, InvalidBotError, TransientError
from bot_core.store.journal import OrderState
from bot_runtime.brokers.base import Broker
from bot_runtime.domain.bar import Bar
from bot_runtime.domain.money import round_money
from bot_runtime.domain.order import Fill, OrderIntent
from bot_runtime.engine.board import BotBoard, FleetBoard, Phase
from bot_runtime.engine.kernel import Closed, Kernel, Opened
from bot_runtime.engine.progress import Progress
from bot_runtime.feeds.base import Feed
from bot_runtime.persistence.ledger import Ledger
from bot_runtime.persistence.rows import WorkingOrder
from bot_runtime.persistence.snapshot import Snapshot, balance_of

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Rhythm:
    """`beat_seconds` between heartbeats; the loop turns at least that often."""

    beat_seconds: float


class BotEngine:
    """Runs until told to stop, or until an error says that it must be built again."""

    def __init__(
        self,
        *,
        kernel: Kernel,
        ledger: Ledger,
        broker: Broker,
        feed: Feed,
        cursor: datetime | None,
        board: BotBoard,
        fleet: FleetBoard,
        progress: Progress,
        rhythm: Rhythm,
    ) -> None:
        self._kernel = kernel
        self._ledger = ledger
        self._broker = broker
        self._feed = feed
        self._cursor = cursor
        self._board = board
        self._fleet = fleet
        self._progress = progress
        self._rhythm = rhythm
        self._loop_name = f"bot-{board.bot_id}"
        self._dirty = False
        self._next_beat = 0.0
        self._refused = ""
        self._leave = asyncio.Event()
        self._version: str | None = None
        self.leave_when_flat = False
        self.on_version: Callable[[], None] = lambda: None

    @property
    def flat(self) -> bool:
        """Neither a position nor an order on its way."""
        return self._kernel.account.position is None and self._kernel.pending is None

    def request_rebuild(self) -> None:
        """Return from `run` at the next bar boundary, which is at once where the engine waits for a bar."""
        self._leave.set()

    async def recover(self, working: tuple[WorkingOrder, ...]) -> None:
        """Settle what the last process left in the journal, before anything else is done."""
        if len(working) > 1:
            ids = ", ".join(order.intent.client_order_id for order in working)
            raise InvalidBotError(
                f"several orders are working at once, which can't be explained: {ids}; "
                "allowed: one; move the others to `canceled` in bot_orders after a look at the venue"
            )
        self._broker.restore([order.intent for order in working if order.state is OrderState.OPEN])
        for order in working:
            intent = order.intent
            self._kernel.pending = intent
            known = await self._broker.knows(intent.client_order_id)
            await self._ledger.note(
                "recovered",
                f"order {intent.client_order_id} was {order.state} and is {'at the venue' if known else 'sent now'}",
                correlation_id=intent.client_order_id,
            )
            if not (known and order.state is OrderState.OPEN):
                await self._send(intent)
        self._show()

    async def run(self, stop: asyncio.Event) -> None:
        """Process bars until `stop` is set or a rebuild is asked for, then book the cursor and return."""
        bars = self._feed.bars(self._cursor)
        stopping = asyncio.ensure_future(stop.wait())
        leaving = asyncio.ensure_future(self._leave.wait())
        pending: asyncio.Task[Bar] | None = _next(bars)
        try:
            while not (stop.is_set() or self._leave.is_set() or (self.leave_when_flat and self.flat)):
                self._mark()
                waiting: set[asyncio.Future[Any]] = {stopping, leaving} | ({pending} if pending else set())
                await asyncio.wait(waiting, timeout=self._until_beat(), return_when=asyncio.FIRST_COMPLETED)
                self._mark()
                if pending is not None and pending.done() and not stop.is_set():
                    pending = await self._take(pending, bars)
                if self._until_beat() <= 0:
                    await self._beat()
            await self._checkpoint()
        finally:
            await _cancel(stopping, leaving, *([pending] if pending else []))
            await self._close_feed(bars)
            self._progress.forget(self._loop_name)

    async def _take(self, pending: asyncio.Task[Bar], bars: AsyncIterator[Bar]) -> asyncio.Task[Bar] | None:
        try:
            bar = pending.result()
        except StopAsyncIteration:
            self._board.message = "the data has ended"
            _log.info("feed_ended", cursor=str(self._cursor))
            await self._checkpoint()
            return None
        await self.on_bar(bar)
        return _next(bars)

    async def on_bar(self, bar: Bar) -> None:
        """The bar's fills first, as facts; then the decision on its close."""
        for fill in await self._broker.fills(bar):
            await self._book(fill)
        intent = self._kernel.on_bar(bar)
        self._cursor = bar.time
        self._dirty = True
        self._board.bars += 1
        self._board.bar_time = bar.time
        self._board.last_price = bar.close
        if intent is not None:
            await self._order(intent)
        elif self._kernel.refused:
            await self._tell_refusal(self._kernel.refused)

    async def _tell_refusal(self, why: str) -> None:
        """A signal that could not become an order: once, not on every bar that repeats it."""
        if why != self._refused:
            self._refused = why
            _log.warning("order_refused", reason=why)
            await self._ledger.note("refused", why)

    async def _order(self, intent: OrderIntent) -> None:
        self._mark()
        if not await self._ledger.intend(intent, self._snapshot()):
            raise InvalidBotError(
                f"order {intent.client_order_id} is in the journal although the bot stands before it: its cursor was "
                "put back by hand; allowed: the time of the last bar that was processed, in bot_state.cursor"
            )
        self._dirty = False
        _log.info(
            "order_intended",
            correlation_id=intent.client_order_id,
            purpose=intent.purpose,
            side=intent.side,
            quantity=str(intent.quantity),
            reason=intent.reason,
            bar_time=intent.signal_time.isoformat(),
        )
        self._board.count_order(OrderState.INTENDED)
        await self._send(intent)

    async def _send(self, intent: OrderIntent) -> None:
        self._mark()
        if not self._ledger.lease.valid:
            await self._ledger.beat(None)  # raises LeaseLostError where somebody else trades this bot now
        broker_order_id = await self._broker.submit(intent)
        await self._ledger.mark(intent.client_order_id, OrderState.OPEN, broker_order_id=broker_order_id)
        self._board.count_order(OrderState.OPEN)

    async def _book(self, fill: Fill) -> None:
        intent = self._kernel.pending
        if intent is None:
            raise TransientError(f"fill of {fill.client_order_id}, which is no order of this bot's: reading again")
        self._mark()
        result = self._kernel.on_fill(intent, fill)
        match result:
            case Opened(position):
                booked = await self._ledger.opened(intent, fill, position, self._snapshot())
            case Closed(trade, _):
                booked = await self._ledger.closed(intent, fill, trade, self._snapshot())
            case _:
                assert_never(result)
        if not booked:
            raise TransientError(f"fill of {fill.client_order_id} was booked before: reading the tables again")
        self._tell(intent, fill, result)
        self._show()

    def _tell(self, intent: OrderIntent, fill: Fill, result: Opened | Closed) -> None:
        self._board.count_order(OrderState.FILLED)
        match result:
            case Opened(position):
                self._fleet.opened(self._board, position)
            case Closed(trade, _):
                self._fleet.closed(self._board, trade)
                self._board.trades += 1
            case _:
                assert_never(result)
        facts: dict[str, Any] = {"price": str(fill.price), "quantity": str(fill.quantity), "reason": intent.reason}
        facts |= {"fill_time": fill.time.isoformat(), "correlation_id": intent.client_order_id}
        if isinstance(result, Closed):
            facts["net_pnl"] = str(round_money(result.trade.net_pnl))
        _log.info("trade_opened" if isinstance(result, Opened) else "trade_closed", symbol=self._board.symbol, **facts)

    async def _beat(self) -> None:
        """Say that the bot lives. A database that is away delays this, and is no reason to stop reading bars."""
        self._next_beat = asyncio.get_running_loop().time() + self._rhythm.beat_seconds
        try:
            told = await self._ledger.beat(self._snapshot() if self._dirty else None)
        except DatabaseUnavailableError as error:
            self._board.database_away = True
            _log.warning("heartbeat_failed", error=str(error))
            return
        self._board.database_away = False
        self._dirty = False
        self._board.heartbeat = datetime.now(UTC)
        if told.version != self._version:
            self._version = told.version
            self.on_version()

    async def _checkpoint(self) -> None:
        self._mark()
        if self._dirty:
            await self._ledger.beat(self._snapshot())
            self._dirty = False
        self._show()

    async def _close_feed(self, bars: AsyncIterator[Bar]) -> None:
        aclose = getattr(bars, "aclose", None)
        if aclose is not None:
            await aclose()
        await self._feed.aclose()
        await self._broker.aclose()

    def _mark(self) -> None:
        self._progress.mark(self._loop_name)

    def _until_beat(self) -> float:
        return max(0.0, self._next_beat - asyncio.get_running_loop().time())

    def _snapshot(self) -> Snapshot:
        return Snapshot(self._cursor, self._kernel.dump_state(), self._kernel.account)

    def _show(self) -> None:
        account = self._kernel.account
        self._board.balance = balance_of(account)
        self._board.total_pnl = account.realized_pnl
        self._board.position = account.position
        if self._board.phase is Phase.STARTING:
            self._board.phase = Phase.RUNNING


def _next(bars: AsyncIterator[Bar]) -> asyncio.Task[Bar]:
    async def one() -> Bar:
        return await anext(bars)

    return asyncio.create_task(one())


async def _cancel(*futures: asyncio.Future[Any]) -> None:
    for future in futures:
        future.cancel()
        with suppress(asyncio.CancelledError, StopAsyncIteration, Exception):
            await future
