"""What keeps a bot from trading, or makes it end its trades: late bars, halts, and the policy for a stop.

Entries are held by all of these, the exits of rules by lateness alone. A flattening exit is an order like any other:
journaled, sent, asked about.
"""

import time
from datetime import UTC, datetime, timedelta

import structlog

from bot_core.models.halt import Halt
from bot_core.models.operation import OnStop
from bot_runtime.domain.bar import Bar
from bot_runtime.domain.money import decimal_of
from bot_runtime.domain.order import Purpose
from bot_runtime.domain.position import Position
from bot_runtime.engine.board import BotBoard
from bot_runtime.engine.order_desk import OrderDesk
from bot_runtime.engine.outcomes import FREE, Hold
from bot_runtime.feeds.base import Feed
from bot_runtime.feeds.intervals import next_open

_log = structlog.get_logger(__name__)
#: A live bar that reaches us this long after its close is late; half an interval after it where that is less.
_LATE_SECONDS = 30.0
#: Seconds between two tries to close a position that the venue refuses to.
_FIRST_TRY, _LONGEST_TRY = 5.0, 300.0


class Restraint:
    def __init__(self, desk: OrderDesk, feed: Feed, board: BotBoard) -> None:
        self._desk = desk
        self._feed = feed
        self._board = board
        self._now_counts = feed.live or desk.broker.live
        self._halt: Halt | None = None
        #: The last process may have ended while it was halted: then the end of the halt is still to be told.
        self._end_untold = True
        self._steps = self._tries = 0
        self._next_try = 0.0
        self._tried_at: datetime | None = None

    def hold(self, bar: Bar) -> Hold:
        """Why no order is sent on this bar. It is late by the calendar of its interval and by the venue's clock."""
        late = ""
        if self._feed.live:
            interval = self._board.interval
            length = timedelta(seconds=self._feed.interval_seconds)
            closed = next_open(bar.time, interval) if interval else bar.time + length
            now = datetime.now(UTC) + timedelta(seconds=self._board.clock_skew or 0.0)
            if (now - closed).total_seconds() > min(_LATE_SECONDS, self._feed.interval_seconds / 2):
                late = f"the bar of {bar.time:%Y-%m-%d %H:%M} UTC came too late, and orders are never sent late"
        entries = late or ("" if self._halt is None else str(self._halt))
        return Hold(entries, late) if entries else FREE

    def learn(self, halt: Halt | None) -> None:
        """Know of a halt before anything is sent; what it asks for is done by `obey`."""
        self._desk.no_entries = "" if halt is None else str(halt)

    async def obey(self, halt: Halt | None) -> None:
        """Take note of a halt or of its end: no entry from now on, and with `flatten` no position."""
        before, known = self._board.halted, self._halt
        self._halt = halt
        self.learn(halt)
        self._board.halted = "" if halt is None else str(halt)
        if halt is None:
            if self._end_untold and await self._desk.ledger.released():
                _log.warning("halt_over", was=before)
            self._end_untold = False
            return
        self._end_untold = True
        if known is None or known.id != halt.id:
            _log.warning("halt_obeyed", halt=str(halt), flatten=halt.flatten)
            await self._desk.ledger.obeyed(halt)
        await self._cancel_entry(str(halt))
        if halt.flatten and self._may_try():
            await self._flatten(self._moment(), "halt")
        await self._desk.protect()

    async def wound_down(self, policy: OnStop) -> bool:
        """Take the next step of a stop by this policy. True when there is nothing left to do, or nothing that can be.

        `keep` leaves everything, `cancel` cancels an entry on its way and keeps what has filled of it protected,
        `flatten` closes the position as well.
        """
        if policy is OnStop.KEEP:
            return True
        desk, kernel = self._desk, self._desk.kernel
        desk.no_entries = "the bot was stopped"
        if not await self._cancel_entry(desk.no_entries):
            return False
        if policy is OnStop.FLATTEN:
            self._steps += 1
            await self._flatten(self._moment(), "on_stop")
        await desk.protect()
        if policy is OnStop.CANCEL:
            return not desk.unsure
        return desk.flat or (kernel.pending is None and bool(kernel.refused))

    def last_price_bar(self) -> Bar | None:
        """A bar that stands at the last price, for a simulated venue to fill a flattening order; else None."""
        pending, position = self._desk.kernel.pending, self._desk.kernel.account.position
        if self._desk.broker.live or position is None or pending is None or pending.purpose is not Purpose.EXIT:
            return None
        price = self._last_close(position)
        self._steps += 1
        time = pending.signal_time + self._steps * timedelta(seconds=self._feed.interval_seconds)
        return Bar(time, price, price, price, price, 0.0)

    def _moment(self) -> datetime:
        """What a flattening order is named by: the time; on bars of the past the bar that the bot stands at."""
        if self._now_counts or self._desk.cursor is None:
            return datetime.now(UTC)
        return self._desk.cursor + self._steps * timedelta(seconds=self._feed.interval_seconds)

    def _may_try(self) -> bool:
        """Whether to try again to close the position: with growing pauses, and once a bar of the past."""
        if self._desk.kernel.pending is not None or self._desk.kernel.account.position is None:
            self._tries = 0
            return False
        now, place = time.monotonic(), None if self._now_counts else self._desk.cursor
        if self._tries and (now < self._next_try or (place is not None and place == self._tried_at)):
            return False
        self._tries += 1
        self._tried_at = place
        self._next_try = now + min(_LONGEST_TRY, _FIRST_TRY * 2**self._tries) if self._now_counts else now
        return True

    def _last_close(self, position: Position) -> float:
        closes = self._desk.kernel.history.close
        return float(closes[-1]) if len(closes) else float(position.entry_price)

    async def _cancel_entry(self, why: str) -> bool:
        pending = self._desk.kernel.pending
        if pending is None or pending.purpose is not Purpose.ENTRY:
            return True
        return await self._desk.withdraw(pending, why)

    async def _flatten(self, named: datetime, reason: str) -> None:
        """Close the position by a market order, unless one is on its way."""
        desk, kernel = self._desk, self._desk.kernel
        position = kernel.account.position
        if kernel.pending is not None or position is None:
            return
        kernel.refused = ""
        price = decimal_of(self._last_close(position))
        intent = kernel.exit_intent(named, price, reason)
        if intent is not None:
            await desk.place(intent)
