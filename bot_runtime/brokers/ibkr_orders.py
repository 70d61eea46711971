"""Orders of Interactive Brokers as ib_async holds them, and ours: a translation without a connection. Pure.

ib_async marks an order as canceled on any error message that it takes for fatal, also on one that only refuses a
request to cancel, or that tells of a changed time in force. So the message's number is looked at, not the mark alone.
Numbers: https://interactivebrokers.github.io/tws-api/message_codes.html
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import assert_never

from ib_async import Fill, Order, Trade
from ib_async import OrderStatus as Said
from ib_async.util import UNSET_DOUBLE

from bot_core.models.errors import InvalidBotError
from bot_runtime.domain.money import ZERO, decimal_of
from bot_runtime.domain.order import OrderIntent, OrderReport, OrderStatus, OrderType

#: How long an execution may wait for its commission, or an order for its executions, before it counts without.
COMPLETION = timedelta(seconds=30)
DUPLICATE_ID = 103
_CANCELED = 202
#: Refusals of a request to cancel, and notes that something was adjusted: the order is as it was.
_NOT_ABOUT_ITS_LIFE = frozenset({161, 399, 404, 2109, 10147, 10148, 10349})
#: Refusals that ib_async takes for warnings; after them a new order is nowhere.
_UNNOTICED = frozenset({321, 434})
_WORKING = frozenset({Said.PreSubmitted, Said.Submitted})
_OVER = frozenset({Said.Cancelled, Said.ApiCancelled})


@dataclass(frozen=True, slots=True)
class Traces:
    """All that is known of one client order id: records of orders, newest knowledge first, and executions."""

    trades: Sequence[Trade]
    fills: Sequence[Fill]

    @property
    def known(self) -> bool:
        return bool(self.trades or self.fills)


@dataclass(frozen=True, slots=True)
class _Executed:
    quantity: Decimal
    value: Decimal
    commission: Decimal
    complete: bool
    last: datetime | None


def order_of(intent: OrderIntent, account: str) -> Order:
    """Market orders live for the day, or for the next session; others until they are canceled."""
    order = Order(
        action=intent.side.value.upper(),
        totalQuantity=float(intent.quantity),
        tif="DAY" if intent.type is OrderType.MARKET else "GTC",
        orderRef=intent.client_order_id,
        account=account,
    )
    match intent.type:
        case OrderType.MARKET:
            order.orderType = "MKT"
        case OrderType.LIMIT:
            order.orderType, order.lmtPrice = "LMT", _price(intent.limit_price, "limit_price")
        case OrderType.STOP:
            order.orderType, order.auxPrice = "STP", _price(intent.stop_price, "stop_price")
        case _:
            assert_never(intent.type)
    return order


def acknowledged(trade: Trade) -> bool:
    """Whether the gateway has said anything about a new order."""
    return any(entry.status in _WORKING for entry in trade.log) or trade.isDone() or _refusal(trade) is not None


def never_arrived(trade: Trade) -> bool:
    """Whether the gateway turned the order away because of its own number, which says nothing about the order."""
    return any(entry.errorCode == DUPLICATE_ID for entry in trade.log)


def traces_of(name: str, trades: Iterable[Trade], fills: Iterable[Fill]) -> Traces:
    """Pick what belongs to a client order id; corrections of an execution replace it."""
    ours = [trade for trade in trades if trade.order.orderRef == name and not never_arrived(trade)]
    permanent = {trade.order.permId for trade in ours} - {0}
    newest: dict[str, Fill] = {}
    for fill in sorted(fills, key=lambda fill: fill.execution.execId):
        if fill.execution.orderRef == name or fill.execution.permId in permanent:
            newest[fill.execution.execId.rpartition(".")[0] or fill.execution.execId] = fill
    return Traces(ours, list(newest.values()))


def read_report(name: str, traces: Traces, fee: Decimal, now: datetime) -> OrderReport:
    """`fee`, a fraction of the value, stands in for a commission that never came or is in another currency.

    An order that is over stays open here while the venue still owes executions or commissions.
    """
    record = traces.trades[0] if traces.trades else None
    executed = _executed(traces.fills, fee)
    last = executed.last or _last_entry(traces.trades)
    status = _status(record, traces.trades)
    if status is not OrderStatus.OPEN:
        settled = _settled(executed, traces.trades, fee, recent=last is not None and now - last < COMPLETION)
        status, executed = (OrderStatus.OPEN, executed) if settled is None else (status, settled)
    if status is OrderStatus.REJECTED and executed.quantity:
        status = OrderStatus.CANCELED  # an order that had fills was not refused, whatever ended it
    return OrderReport(
        client_order_id=name,
        broker_order_id=_permanent_id(traces),
        status=status,
        quantity=max([executed.quantity, *map(_total, traces.trades)]),
        filled=executed.quantity,
        average_price=executed.value / executed.quantity if executed.quantity else None,
        commission=executed.commission,
        time=last or now,
        reason=_reason(traces.trades) if status in (OrderStatus.REJECTED, OrderStatus.CANCELED) else "",
    )


def _settled(executed: _Executed, trades: Sequence[Trade], fee: Decimal, *, recent: bool) -> _Executed | None:
    """All that was executed; None while more is to come. What never comes is reckoned from the order's own record."""
    missing = max(map(_claimed, trades), default=ZERO) - executed.quantity
    if executed.complete and missing <= 0:
        return executed
    if recent:
        return None
    if missing <= 0:
        return executed
    price = max(decimal_of(trade.orderStatus.avgFillPrice) for trade in trades)
    if not price:
        return None
    value = missing * price
    return replace(
        executed,
        quantity=executed.quantity + missing,
        value=executed.value + value,
        commission=executed.commission + value * fee,
    )


def _status(record: Trade | None, trades: Sequence[Trade]) -> OrderStatus:
    if record is None:
        return OrderStatus.FILLED  # executions of an order that is neither open nor listed: it is over
    said = record.orderStatus.status
    if said == Said.Filled:
        return OrderStatus.FILLED
    refusal = next(filter(None, map(_refusal, trades)), None)
    if said == Said.Inactive:
        return OrderStatus.OPEN if record.orderStatus.whyHeld == "locate" else OrderStatus.REJECTED
    if said in _OVER:
        return _ended(record, refusal)
    return OrderStatus.OPEN if refusal is None else OrderStatus.REJECTED


def _ended(record: Trade, refusal: str | None) -> OrderStatus:
    if refusal is not None:
        return OrderStatus.REJECTED
    codes = [entry.errorCode for entry in record.log if entry.errorCode]
    return OrderStatus.OPEN if codes and codes[-1] in _NOT_ABOUT_ITS_LIFE else OrderStatus.CANCELED


def _refusal(trade: Trade) -> str | None:
    """Why the order was refused, or None. What ib_async overlooks may be about a later request, such as a cancel."""
    worked = False
    for entry in trade.log:
        worked = worked or entry.status in _WORKING
        fatal = entry.errorCode in _UNNOTICED or entry.status in _OVER
        harmless = entry.errorCode in _NOT_ABOUT_ITS_LIFE or entry.errorCode in (0, _CANCELED)
        if fatal and not harmless and not (worked and entry.errorCode in _UNNOTICED):
            return entry.message
    return None


def _reason(trades: Sequence[Trade]) -> str:
    refusal = next(filter(None, map(_refusal, trades)), None)
    messages = [entry.message for trade in trades for entry in trade.log if entry.errorCode]
    return (refusal or (messages[-1] if messages else ""))[:300]


def _executed(fills: Sequence[Fill], fee: Decimal) -> _Executed:
    quantity = value = commission = ZERO
    complete = True
    for fill in fills:
        shares, price = decimal_of(fill.execution.shares), decimal_of(fill.execution.price)
        charged = _commission(fill)
        complete = complete and bool(fill.commissionReport.execId)
        quantity, value = quantity + shares, value + shares * price
        commission += shares * price * fee if charged is None else charged
    last = max((_aware(fill.execution.time) for fill in fills), default=None)
    return _Executed(quantity, value, commission, complete, last)


def _commission(fill: Fill) -> Decimal | None:
    """None where it has not come, or is in a currency that is not the contract's."""
    report = fill.commissionReport
    if not report.execId or report.commission == UNSET_DOUBLE or report.currency != fill.contract.currency:
        return None
    return decimal_of(report.commission)


def _claimed(record: Trade) -> Decimal:
    """What the record of the order says is filled; that of a completed order says it in another place."""
    total = float(record.order.filledQuantity)
    return max(decimal_of(record.orderStatus.filled), ZERO if total == UNSET_DOUBLE else decimal_of(total))


def _total(record: Trade) -> Decimal:
    """The record of a completed order has lost what of its total was filled."""
    return decimal_of(float(record.order.totalQuantity))


def _permanent_id(traces: Traces) -> str:
    numbers = [trade.order.permId or trade.orderStatus.permId for trade in traces.trades]
    numbers += [fill.execution.permId for fill in traces.fills]
    return str(next(filter(None, numbers), ""))


def _last_entry(trades: Sequence[Trade]) -> datetime | None:
    return max((_aware(entry.time) for trade in trades for entry in trade.log), default=None)


def _aware(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _price(price: Decimal | None, field: str) -> float:
    if price is None:
        raise InvalidBotError(f"an order has no {field}, which its type needs")
    return float(price)
