"""What a bot tells of itself: its board, signals that became no order, entries that were made smaller.

It decides nothing, and nothing that it can't tell is a reason to stop.
"""

from datetime import UTC, date, datetime

import structlog

from bot_core.models.errors import DatabaseUnavailableError
from bot_runtime.domain.order import OrderIntent, Purpose
from bot_runtime.engine.board import BotBoard, Phase
from bot_runtime.engine.order_desk import OrderDesk
from bot_runtime.feeds.base import Feed
from bot_runtime.persistence.snapshot import balance_of
from bot_runtime.risk.refusal import SHARED, TOLD

_log = structlog.get_logger(__name__)
#: Seconds between the venue's clock and ours from which on it is reported.
_MUCH_SKEW = 1.0


class Teller:
    def __init__(self, desk: OrderDesk, feed: Feed, board: BotBoard) -> None:
        self._desk = desk
        self._feed = feed
        self._board = board
        self._refused = self._reduced = ""
        self._skewed = False
        self._told: set[tuple[str, date]] = set()

    async def refusal(self, why: str, limit: str = "") -> None:
        """A signal that could not become an order: once, not on every bar that repeats it. `limit` kept it back."""
        if why != self._refused:
            self._refused = self._board.refused = why
            self._board.count_order("refused")
            _log.warning("order_refused", reason=why)
            await self._note("refused", why)
        if limit in TOLD or limit == SHARED:
            await self._risk(limit, why)

    async def _risk(self, limit: str, why: str) -> None:
        """Tell the owner of a limit, once a day, whatever figures it comes with."""
        cause = limit, datetime.now(UTC).date()
        if cause in self._told:
            return
        try:
            await self._desk.ledger.limited(limit, why)
        except DatabaseUnavailableError as error:
            _log.warning("limit_not_told", limit=limit, error=str(error))
        else:
            self._told = {told for told in self._told if told[1] == cause[1]} | {cause}

    async def reduction(self, intent: OrderIntent) -> None:
        """An entry that a limit made smaller than its sizing: once, not on every bar that repeats it."""
        why = self._desk.kernel.guard.reduced if self._desk.kernel.guard and intent.purpose is Purpose.ENTRY else ""
        if why and why != self._reduced:
            self._reduced = why
            _log.warning("order_reduced", client_order_id=intent.client_order_id, reason=why)
            await self._note("reduced", why, client_order_id=intent.client_order_id)

    async def _note(self, kind: str, message: str, *, client_order_id: str | None = None) -> None:
        """Append to `bot_events`, where it can be done: what is only told is no reason to stop reading bars."""
        try:
            await self._desk.ledger.note(kind, message, client_order_id=client_order_id)
        except DatabaseUnavailableError as error:
            _log.warning("event_not_noted", kind=kind, message=message, error=str(error))

    def show(self) -> None:
        account, stop = self._desk.kernel.account, self._desk.kernel.protective
        self._board.balance = balance_of(account)
        self._board.total_pnl = account.realized_pnl
        self._board.position = account.position
        self._board.note_peak()
        self._board.protective_stop = None if stop is None else stop.stop_price
        self._board.feed_trouble = self._feed.trouble() or ""
        self._board.venue_trouble = self._desk.trouble
        self._skew()
        if self._board.phase is Phase.STARTING:
            self._board.phase = Phase.RUNNING

    def _skew(self) -> None:
        """How far the venue's clock is from ours: the broker's word, else the feed's."""
        skew = self._desk.broker.clock_skew
        if skew is None:
            skew = getattr(self._feed, "clock_skew", None)  # live feeds know one
        self._board.clock_skew = skew
        skewed = skew is not None and abs(skew) > _MUCH_SKEW
        if skewed and not self._skewed:
            _log.warning("clock_skewed", seconds=skew, allowed=_MUCH_SKEW, message="this machine's clock is off")
        self._skewed = skewed
