"""Venue against tables: the venue's orders and holdings are compared with the journal and the position.

What the venue says is taken over where the journal explains it: a late order is adopted or canceled, with an alert.
What nothing explains ends the bot's trading. Orders under other names than the bot's are never looked at.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import structlog

from bot_core.store.journal import WORKING, OrderState
from bot_runtime.domain.order import OrderReport, order_prefix
from bot_runtime.engine.bookings import UnexplainedError
from bot_runtime.engine.order_desk import OrderDesk

_log = structlog.get_logger(__name__)
_LOOK_BACK = timedelta(days=1)
_SECOND_LOOK_SECONDS = 2.0


Known = tuple[OrderState, Decimal] | None


async def compare(desk: OrderDesk) -> None:
    """Compare, and repair the tables. Raise UnexplainedError for what can't be, VenueUnavailableError."""
    await settle(desk, await look(desk))


async def look(desk: OrderDesk) -> list[tuple[OrderReport, Known]]:
    """What the venue has of the bot's newer orders, each with what the journal has. Changes nothing."""
    reports = await desk.broker.orders(order_prefix(desk.kernel.bot_id), datetime.now(UTC) - _LOOK_BACK)
    journaled = await desk.ledger.journaled([report.client_order_id for report in reports])
    return [(report, journaled.get(report.client_order_id)) for report in reports]


async def settle(desk: OrderDesk, found: list[tuple[OrderReport, Known]]) -> None:
    """Repair the tables by what was found, then look at the holdings."""
    for report, known in found:
        await _compare_order(desk, report, known)
    await _compare_holdings(desk)


async def _compare_order(desk: OrderDesk, report: OrderReport, known: Known) -> None:
    name = report.client_order_id
    if known is None:
        raise UnexplainedError(
            f"the venue has order {name} ({report.status}, {report.filled} of {report.quantity} filled), which is not "
            "in bot_orders: another installation trades with this account under the same bot id, or the database was "
            "put back; allowed: an account of its own, or the order settled by hand and a day's wait"
        )
    state, filled = known
    if state in WORKING:
        intent = desk.order(name)
        if intent is not None:
            await desk.take(intent, report)
    elif report.filled > filled or not report.final:
        await _late(desk, report, filled)


async def _late(desk: OrderDesk, report: OrderReport, booked: Decimal) -> None:
    """An order that was given up is at the venue after all: cancel what still rests, adopt what has filled."""
    name = report.client_order_id
    known = desk.ledger
    if not report.final:
        canceled = await desk.broker.cancel(name)
        report = canceled or report
        if not report.final:
            return  # asked again by the next comparison
    what = f"order {name} appeared late at the venue: {report.status}, {report.filled} of {report.quantity} filled"
    if not report.filled:
        _log.warning("order_late", client_order_id=name, outcome="canceled")
        await known.alert("order_late", f"{what}; it was canceled there", client_order_id=name)
        return
    intent = await known.intent_of(name)
    if booked or not desk.fits(intent):
        raise UnexplainedError(
            f"{what}, beside what the bot holds ({booked} of it was booked); allowed: settle the difference at the "
            f"venue and write what filled into bot_orders, then start the bot again"
        )
    _log.warning("order_late", client_order_id=name, outcome="adopted")
    if await known.reopen(name, f"{what}; it is adopted"):
        await desk.adopt(intent, report)


async def _compare_holdings(desk: OrderDesk) -> None:
    """The account must hold at least what the bot does; it may hold more, which is somebody else's."""
    if await _missing(desk) is None:
        return
    await asyncio.sleep(_SECOND_LOOK_SECONDS)  # a fill may have been on its way while we looked
    for intent in desk.orders:
        report = await desk.broker.find(intent.client_order_id)
        if report is not None:
            await desk.take(intent, report)
    what = await _missing(desk)
    if what is not None:
        raise UnexplainedError(what)


async def _missing(desk: OrderDesk) -> str | None:
    position = desk.kernel.account.position
    if position is None:
        return None
    holdings = await desk.broker.holdings()
    step = desk.kernel.market.quantity_step
    if holdings is None or holdings + step > position.held - desk.selling:
        return None
    return (
        f"the tables say that the bot holds {position.held} {desk.ledger.config.symbol}, the account at the venue has "
        f"{holdings}; allowed: put the difference back, or close the trade and the position in the tables"
    )
