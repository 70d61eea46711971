"""One bot's orders, from the journaled intent to the booked fill: what is sent, asked about, canceled and booked.

An order is journaled before it is sent, and whatever happens in between is found out by asking the venue for its
client order id. Everything here may be called again after any failure: it looks at what is, and does what is missing.
It decides nothing about trading; that is the kernel's.
"""

from datetime import UTC, datetime, timedelta
from time import monotonic

import structlog

from bot_core.models.errors import DatabaseUnavailableError, InvalidBotError, TransientError
from bot_core.store.journal import OrderState
from bot_runtime import tracing
from bot_runtime.brokers.base import Broker, FencedError, NotSentError, UnknownOutcomeError, VenueUnavailableError
from bot_runtime.domain.order import OrderIntent, OrderReport, Purpose
from bot_runtime.engine.board import BotBoard, FleetBoard
from bot_runtime.engine.bookings import UNSURE, Bookings, Sent, UnexplainedError
from bot_runtime.engine.kernel import Kernel
from bot_runtime.persistence.ledger import Ledger, Refused
from bot_runtime.persistence.rows import WorkingOrder

_log = structlog.get_logger(__name__)
_LONGEST_PATIENCE = 60.0
_LEAST_MISSED = 5.0


class OrderDesk(Bookings):
    """`interval_seconds` bounds how late an entry may still be sent."""

    def __init__(
        self,
        *,
        kernel: Kernel,
        ledger: Ledger,
        broker: Broker,
        board: BotBoard,
        fleet: FleetBoard,
        interval_seconds: float,
    ) -> None:
        super().__init__(kernel, ledger, board, fleet)
        self.broker = broker
        self._interval = interval_seconds
        self._told_impossible = False
        #: Why no entry may be sent, such as a halt; empty where one may.
        self.no_entries = ""
        #: Why the venue can't be reached, as far as it was tried last; empty where it can.
        self.trouble = ""

    def resume(self, working: tuple[WorkingOrder, ...]) -> None:
        """Take up what the last process left in the journal. Raise InvalidBotError for more than a bot ever has."""
        stops = [order for order in working if order.intent.purpose is Purpose.PROTECTIVE]
        others = [order for order in working if order.intent.purpose is not Purpose.PROTECTIVE]
        if len(others) > 1 or len(stops) > 1:
            ids = ", ".join(order.intent.client_order_id for order in working)
            raise InvalidBotError(
                f"several orders are working at once, which can't be explained: {ids}; "
                "allowed: one; move the others to `canceled` in bot_orders after a look at the venue"
            )
        self.broker.restore([order.resting for order in working if order.state is OrderState.OPEN])
        for order in working:  # since now: the last process may have sent it until its lease ended
            self._sent[order.intent.client_order_id] = Sent(order.state, datetime.now(UTC), order.resting.filled)
        self.kernel.pending = others[0].intent if others else None
        self.kernel.protective = stops[0].intent if stops else None

    async def place(self, intent: OrderIntent) -> str:
        """Journal what the kernel decided and send it. Return why limits across bots refuse it, or nothing."""
        signalled, began = monotonic(), tracing.now()
        journaled = await self.ledger.intend(intent, self.snapshot())
        if isinstance(journaled, Refused):
            self.kernel.drop(intent)
            if journaled.known and intent.purpose is Purpose.ENTRY:
                raise InvalidBotError(
                    f"{journaled.reason} although the bot stands before it: its cursor was put back by hand; "
                    "allowed: the time of the last bar that was processed, in bot_state.cursor"
                )
            if journaled.known and intent.purpose is Purpose.PROTECTIVE:
                self.kernel.stop_refused(intent)  # its bar has a stop that came to something: the next bar's may rest
                return journaled.reason
            if journaled.known:
                raise UnexplainedError(
                    f"{journaled.reason} and was no failure, although the position is still there; allowed: compare "
                    "the order at the venue with bot_orders and trading_positions"
                )
            return journaled.reason
        self._hold(journaled)
        self._sent[journaled.client_order_id] = Sent(OrderState.INTENDED, datetime.now(UTC), left=False)
        self._signalled[journaled.client_order_id] = signalled
        _log.info(
            "order_intended",
            client_order_id=journaled.client_order_id,
            purpose=journaled.purpose,
            side=journaled.side,
            quantity=str(journaled.quantity),
            reason=journaled.reason,
            bar_time=journaled.signal_time.isoformat(),
        )
        self._board.count_order(OrderState.INTENDED)
        about = {"purpose": journaled.purpose, "side": journaled.side, "bar_time": journaled.signal_time.isoformat()}
        tracing.order_journaled(journaled.client_order_id, began, **about)
        await self._dispatch(journaled)
        return ""

    async def protect(self) -> None:
        """Make the protective stop at the venue what the kernel wants it to be."""
        kernel = self.kernel
        if not kernel.watches and kernel.protective is None:
            return
        wanted = kernel.wanted_stop()
        if kernel.stop_impossible and not self._told_impossible:
            _log.error("stop_impossible", reason=kernel.stop_impossible)
            await self.ledger.alert("stop_impossible", kernel.stop_impossible)
        self._told_impossible = bool(kernel.stop_impossible)
        if wanted is kernel.protective or (wanted is None and kernel.pending is not None):
            return  # before an exit the stop is withdrawn by whoever sends the exit
        if kernel.protective is not None:
            try:
                await self.ledger.beat(None)  # without a journal there would be no other stop after this one
            except DatabaseUnavailableError as error:
                _log.warning("stop_not_moved", error=str(error))
                return
            if not await self.withdraw(kernel.protective, "replaced by another stop"):
                return
            wanted = kernel.wanted_stop()  # it may have filled in part
        while wanted is not None and wanted is not kernel.protective:
            await self.place(wanted)  # where it is refused, the kernel may want another one
            wanted = kernel.wanted_stop()

    async def advance(self) -> None:
        """Find out how each order stands, and do what is still to be done for it."""
        for intent in self.orders:
            await self._advance(intent)
        await self.protect()

    async def withdraw(self, intent: OrderIntent, why: str = "") -> bool:
        """Cancel an order, booking what had filled. False where that can't be known yet: to be tried again."""
        sent = self._sent[intent.client_order_id]
        await self._still_ours()
        try:
            report = await self.broker.cancel(intent.client_order_id)
        except (VenueUnavailableError, UnknownOutcomeError, NotSentError) as error:
            self.venue_away(error)
            return False
        self.trouble = ""
        if report is not None:
            await self.take(intent, report, why)
            return report.final
        if sent.state not in UNSURE:
            self._missed(intent, sent)
            return False
        if not self._settled(sent):
            return False
        await self._drop(intent, OrderState.CANCELED, "order_canceled", why or "it never reached the venue")
        return True

    def fits(self, intent: OrderIntent) -> bool:
        """Whether an order that was given up could still be ours to take over, as things stand."""
        kernel = self.kernel
        held = kernel.account.position is not None
        if intent.purpose is Purpose.PROTECTIVE:
            return held and kernel.protective is None
        return kernel.pending is None and held is (intent.purpose is not Purpose.ENTRY)

    async def adopt(self, intent: OrderIntent, report: OrderReport) -> None:
        """Take over an order that came to life after it was given up, and that fits."""
        self._hold(intent)
        self._sent[intent.client_order_id] = Sent(OrderState.UNKNOWN, datetime.now(UTC))
        await self.take(intent, report, "it came to life after it was given up")

    async def _advance(self, intent: OrderIntent) -> None:
        sent = self._sent.get(intent.client_order_id)
        if sent is None or intent not in self.orders:
            return  # it became final while another one was looked at
        try:
            report = await self.broker.find(intent.client_order_id)
        except VenueUnavailableError as error:
            self.venue_away(error)
            return
        self.trouble = ""
        if report is not None:
            sent.missed = None
            await self.take(intent, report)
        elif sent.state not in UNSURE:
            self._missed(intent, sent)
        elif self._settled(sent):
            await self._never_arrived(intent, sent)

    async def _never_arrived(self, intent: OrderIntent, sent: Sent) -> None:
        """Send it, again under the same id, unless that would be too late."""
        entry = intent.purpose is Purpose.ENTRY
        if entry and self.no_entries:
            await self._drop(intent, OrderState.CANCELED, "order_canceled", self.no_entries)
        elif entry and self.broker.live and self._late(intent):
            why = f"entry of {intent.signal_time.isoformat()} never reached the venue and is too late by now"
            await self._drop(intent, OrderState.CANCELED, "order_canceled", why)
        elif intent.purpose is Purpose.PROTECTIVE and self.kernel.account.position is None:
            await self._drop(intent, OrderState.CANCELED, "order_canceled", "there is nothing left to protect")
        else:
            _log.warning("order_sent_again", client_order_id=intent.client_order_id, state=sent.state)
            await self._dispatch(intent)

    async def _dispatch(self, intent: OrderIntent) -> None:
        """Send a journaled order; before an exit, the stop that binds what is to be sold is withdrawn."""
        if intent.purpose is Purpose.EXIT:
            stop = self.kernel.protective
            if stop is not None and not await self.withdraw(stop, "replaced by an exit"):
                return
            if not self.kernel.sells_all(intent):
                await self._drop(intent, OrderState.CANCELED, "order_canceled", "the protective stop filled before it")
                await self._sell_the_rest(intent)
                return
        await self._still_ours()
        sent = self._sent[intent.client_order_id]
        before, sent.left = sent.left, True
        try:
            with tracing.order_span("send", intent.client_order_id):
                report = await self.broker.submit(intent, self.ledger.lease.seconds_left)
        except UnknownOutcomeError as error:
            self.venue_away(error)
            await self._unknown(intent)
        except (NotSentError, FencedError, VenueUnavailableError) as error:
            sent.left = before
            self._held_back(intent, sent, error)
        else:
            self.trouble = ""
            await self.take(intent, report)

    async def _sell_the_rest(self, intent: OrderIntent) -> None:
        """An exit whose stop had filled in part: decided once, it is meant for what is left as well."""
        rest = self.kernel.exit_intent(intent.signal_time, intent.signal_price, intent.reason)
        if rest is not None:
            await self.place(rest)

    async def _still_ours(self) -> None:
        """Raise LeaseLostError where somebody else trades this bot now."""
        if self.ledger.lease.seconds_left() <= 0:
            await self.ledger.beat(None)

    async def _unknown(self, intent: OrderIntent) -> None:
        await self.ledger.mark(intent.client_order_id, OrderState.UNKNOWN)
        self._board.count_order(OrderState.UNKNOWN)
        self._sent[intent.client_order_id] = Sent(OrderState.UNKNOWN, datetime.now(UTC))

    def _missed(self, intent: OrderIntent, sent: Sent) -> None:
        """The venue does not know an order that it had accepted: once may be its own delay, for long is no accident."""
        now = datetime.now(UTC)
        sent.missed = sent.missed or now
        if now < sent.missed + timedelta(seconds=max(self.broker.settle_seconds, _LEAST_MISSED)):
            _log.warning("order_missing", client_order_id=intent.client_order_id)
            return
        raise UnexplainedError(_vanished(intent))

    def _settled(self, sent: Sent) -> bool:
        """Whether an order that the venue does not know can no longer arrive there."""
        return not sent.left or datetime.now(UTC) >= sent.since + timedelta(seconds=self.broker.settle_seconds)

    def _late(self, intent: OrderIntent) -> bool:
        patience = min(self._interval, _LONGEST_PATIENCE)
        return datetime.now(UTC) > intent.signal_time + timedelta(seconds=self._interval + patience)

    def _held_back(self, intent: OrderIntent, sent: Sent, error: TransientError) -> None:
        """The order did not leave. A lease that is short is our own trouble; anything else is the venue's."""
        if not isinstance(error, FencedError):
            self.venue_away(error)
        if not sent.held:
            _log.warning(
                "order_held_back",
                client_order_id=intent.client_order_id,
                reason=str(error),
                error_type=type(error).__name__,
            )
        sent.held = str(error)

    def venue_away(self, error: TransientError) -> None:
        if not self.trouble:
            _log.warning("venue_away", error=str(error), error_type=type(error).__name__)
        self.trouble = f"the venue does not answer: {error}"


def _vanished(intent: OrderIntent) -> str:
    return (
        f"the venue accepted order {intent.client_order_id} and does not know it any more; "
        "allowed: find out at the venue what became of it, write that into bot_orders, then start the bot again"
    )
