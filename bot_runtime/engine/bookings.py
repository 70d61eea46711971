"""One bot's orders as they are known, and what they come to: taken down, booked, dropped and told of.

It sends nothing and asks nothing of a venue: that is the order desk's.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from time import monotonic
from typing import Any, assert_never

import structlog

from bot_core.models.errors import InvalidBotError, TransientError
from bot_core.store.journal import OrderState
from bot_runtime import tracing
from bot_runtime.domain.money import ZERO, round_money
from bot_runtime.domain.order import OrderIntent, OrderReport, OrderStatus, Purpose, Side, fill_of
from bot_runtime.engine.board import BotBoard, FleetBoard
from bot_runtime.engine.kernel import Kernel
from bot_runtime.engine.outcomes import Closed, FillResult, Opened, Reduced
from bot_runtime.persistence.ledger import Ledger
from bot_runtime.persistence.snapshot import Snapshot

_log = structlog.get_logger(__name__)
#: The venue may have the order, or may not.
UNSURE = (OrderState.INTENDED, OrderState.UNKNOWN)


class UnexplainedError(InvalidBotError):
    """Venue and tables differ in a way that nothing explains: no more trading until a person has looked."""


@dataclass
class Sent:
    """What is known of an order on its way: the journal's state, since when, and what of it has filled.

    `left` says that a request may have left for the venue, `held` why it did not at the last try, `missed` since when
    the venue does not know it though it had accepted it.
    """

    state: OrderState
    since: datetime
    filled: Decimal = ZERO
    left: bool = True
    held: str = ""
    missed: datetime | None = None


class Bookings:
    """`cursor` is the bar that the kernel stands at, `price` its close."""

    def __init__(self, kernel: Kernel, ledger: Ledger, board: BotBoard, fleet: FleetBoard) -> None:
        self.kernel = kernel
        self.ledger = ledger
        self.cursor: datetime | None = None
        self.price: Decimal | None = None
        self._board = board
        self._fleet = fleet
        self._sent: dict[str, Sent] = {}
        self._signalled: dict[str, float] = {}
        self._rejection = ""

    @property
    def flat(self) -> bool:
        """Neither a position nor an order on its way."""
        kernel = self.kernel
        return kernel.account.position is None and kernel.pending is None and kernel.protective is None

    @property
    def orders(self) -> list[OrderIntent]:
        """The orders that are not final: the pending entry or exit, and the protective stop."""
        return [order for order in (self.kernel.pending, self.kernel.protective) if order is not None]

    def order(self, client_order_id: str) -> OrderIntent | None:
        """One of `orders`, by its id."""
        return next((order for order in self.orders if order.client_order_id == client_order_id), None)

    @property
    def selling(self) -> Decimal:
        """What working orders have sold already of the position, which is booked once they are final."""
        return sum((self._sent[order.client_order_id].filled for order in self.orders if order.side is Side.SELL), ZERO)

    @property
    def unsure(self) -> bool:
        """Whether there is an order that the venue must be asked about before anything else is done."""
        return any(self._sent[order.client_order_id].state in UNSURE for order in self.orders)

    def snapshot(self) -> Snapshot:
        return Snapshot(self.cursor, self.kernel.dump_state(), self.kernel.account, self.price)

    async def take(self, intent: OrderIntent, report: OrderReport, why: str = "") -> None:
        """Write down what the venue says of an order of ours; book it once it is final."""
        sent = self._sent[intent.client_order_id]
        self._accepted(intent, report)
        if not report.final:
            if sent.state is not OrderState.OPEN:
                await self.ledger.mark(intent.client_order_id, OrderState.OPEN, broker_order_id=report.broker_order_id)
                self._board.count_order(OrderState.OPEN)
                sent.state, sent.since = OrderState.OPEN, datetime.now(UTC)
            if report.filled > sent.filled:
                await self.ledger.filled_in_part(report)
                sent.filled = report.filled
        elif report.filled > 0:
            with tracing.order_span("fill", intent.client_order_id, price=str(report.average_price)):
                await self._book(intent, report)
        elif report.status is OrderStatus.REJECTED:
            await self._rejected(intent, report.reason)
        else:
            await self._drop(intent, OrderState.CANCELED, "order_canceled", why or "the venue canceled it")

    def _accepted(self, intent: OrderIntent, report: OrderReport) -> None:
        """The venue has an order: the first time that it says so, measure how long it was from the signal."""
        signalled = self._signalled.pop(intent.client_order_id, None)
        if signalled is not None and report.status is not OrderStatus.REJECTED:
            self._fleet.process.order_latency.add(monotonic() - signalled)

    async def _rejected(self, intent: OrderIntent, reason: str) -> None:
        if intent.purpose is Purpose.PROTECTIVE:
            self.kernel.stop_refused(intent)
        what = f"the venue rejected the {intent.purpose} {intent.client_order_id}: {reason}"
        _log.error("order_rejected", client_order_id=intent.client_order_id, reason=reason)
        self._board.count_order(OrderState.REJECTED)
        await self._drop(intent, OrderState.REJECTED, "order_rejected", what)
        if reason != self._rejection:  # the owner is told once, not at every bar that repeats it
            self._rejection = reason
            await self.ledger.alert("alert", what, client_order_id=intent.client_order_id)

    async def _drop(self, intent: OrderIntent, state: OrderState, kind: str, why: str) -> bool:
        dropped = await self.ledger.dropped(intent, state, kind, f"{intent.client_order_id}: {why}")
        self.kernel.drop(intent)
        self._sent.pop(intent.client_order_id, None)
        self._signalled.pop(intent.client_order_id, None)
        if state is OrderState.CANCELED:
            _log.info("order_canceled", client_order_id=intent.client_order_id, reason=why)
            self._board.count_order(state)
        return dropped

    async def _book(self, intent: OrderIntent, report: OrderReport) -> None:
        result = self.kernel.on_fill(intent, fill_of(report))
        with tracing.span("commit"):
            booked = await self._commit(intent, report, result)
        if not booked:
            raise TransientError(f"fill of {report.client_order_id} was booked before: reading the tables again")
        self._sent.pop(intent.client_order_id, None)
        self._tell(intent, report, result)

    async def _commit(self, intent: OrderIntent, report: OrderReport, result: FillResult) -> bool:
        match result:
            case Opened(position):
                return await self.ledger.opened(intent, report, position, self.snapshot())
            case Closed(trade, _):
                return await self.ledger.closed(intent, report, trade, self.snapshot())
            case Reduced(position):
                return await self.ledger.reduced(intent, report, position, self.snapshot())
            case _:
                assert_never(result)

    def _tell(self, intent: OrderIntent, report: OrderReport, result: FillResult) -> None:
        self._board.count_order(OrderState.FILLED)
        self._board.count_fill(intent.side)
        facts: dict[str, Any] = {"price": str(report.average_price), "quantity": str(report.filled)}
        facts |= {"reason": intent.reason, "fill_time": report.time.isoformat()}
        match result:
            case Opened(position):
                event = "trade_opened"
                self._fleet.opened(self._board, position)
            case Closed(trade, _):
                event = "trade_closed"
                facts["net_pnl"] = str(round_money(trade.net_pnl))
                facts |= {"dust": str(trade.dust)} if trade.dust else {}
                self._fleet.closed(self._board, trade)
                self._board.trades += 1
            case Reduced(position):
                event = "position_reduced"
                facts["held"] = str(position.held)
            case _:
                assert_never(result)
        _log.info(event, symbol=self._board.symbol, client_order_id=intent.client_order_id, **facts)

    def _hold(self, intent: OrderIntent) -> None:
        if intent.purpose is Purpose.PROTECTIVE:
            self.kernel.protective = intent
        else:
            self.kernel.pending = intent
