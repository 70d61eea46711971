"""From ccxt's orders and trades to reports. Pure: prices of third coins are given.

A venue may list an order before its fills, and a fill twice. Fills count once by their id; an order whose fills are
not all listed yet is reported open, so that it is asked for again, until `PATIENCE` has passed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from bot_runtime.domain.money import ZERO
from bot_runtime.domain.order import OrderReport, OrderStatus

Order = Mapping[str, Any]
Trade = Mapping[str, Any]
#: For how long after its last change an order waits for its fills to be listed. Until then an entry has no stop.
PATIENCE = timedelta(seconds=5)

_STATUS = {
    "closed": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELED,
    "expired": OrderStatus.CANCELED,
    "rejected": OrderStatus.REJECTED,
}


@dataclass(frozen=True, slots=True)
class Pricing:
    """Coins of a market, the fee to assume where none is told, and quote units for one unit of another coin."""

    base: str
    quote: str
    taker_fee: Decimal
    convert: Callable[[str], Decimal]


@dataclass(frozen=True, slots=True)
class _Fills:
    quantity: Decimal = ZERO
    value: Decimal = ZERO
    commission: Decimal = ZERO
    base_fee: Decimal = ZERO


def filled(order: Order) -> Decimal:
    """Base units that the venue says were executed."""
    return _number(order.get("filled"))


def all_listed(order: Order, trades: Sequence[Trade]) -> bool:
    """Whether the trades account for all that the venue says was executed."""
    return sum((_number(trade["amount"]) for trade in _once(trades)), ZERO) >= filled(order)


def build_report(
    order: Order, trades: Sequence[Trade], pricing: Pricing, now: datetime, client_order_id: str
) -> OrderReport:
    """`trades` are the order's own fills, as far as they are listed."""
    done = filled(order)
    fills = _sum_up(trades, pricing, buying=order.get("side") == "buy")
    complete = fills.quantity >= done
    changed = changed_at(order, trades, now)
    status = _status(order, done)
    if not complete:
        if status is not OrderStatus.OPEN and now - changed < PATIENCE:
            status = OrderStatus.OPEN
        fills = _estimate(order, done, fills, pricing)
    done = max(done, fills.quantity)
    return OrderReport(
        client_order_id=client_order_id,
        broker_order_id=str(order.get("id") or ""),
        status=status,
        quantity=_number(order.get("amount")) or done,
        filled=done,
        average_price=fills.value / fills.quantity if fills.quantity else None,
        commission=fills.commission,
        time=changed,
        base_fee=fills.base_fee,
        reason="the venue rejected it" if status is OrderStatus.REJECTED else "",
    )


def changed_at(order: Order, trades: Iterable[Trade], now: datetime) -> datetime:
    """When the order last changed, as far as the venue says."""
    stamps = [trade["timestamp"] for trade in trades if trade.get("timestamp")]
    stamps += [order[key] for key in ("lastUpdateTimestamp", "lastTradeTimestamp", "timestamp") if order.get(key)]
    return datetime.fromtimestamp(max(stamps) / 1000, UTC) if stamps else now


def _status(order: Order, done: Decimal) -> OrderStatus:
    status = _STATUS.get(str(order.get("status")), OrderStatus.OPEN)
    asked = _number(order.get("amount"))
    if status is OrderStatus.FILLED and done < asked:
        return OrderStatus.CANCELED  # closed before it was filled
    return status


def _once(trades: Sequence[Trade]) -> list[Trade]:
    return list({str(trade.get("id") or number): trade for number, trade in enumerate(trades)}.values())


def _sum_up(trades: Sequence[Trade], pricing: Pricing, *, buying: bool) -> _Fills:
    once = _once(trades)
    quantity = sum((_number(trade["amount"]) for trade in once), ZERO)
    value = sum((_number(trade["amount"]) * _number(trade["price"]) for trade in once), ZERO)
    commission = base_fee = ZERO
    for trade in once:
        for fee in _fees(trade):
            cost, coin = _number(fee.get("cost")), str(fee.get("currency") or pricing.quote)
            if coin == pricing.base:
                base_fee += cost if buying else ZERO
                commission += cost * (value / quantity if quantity else ZERO)
            elif cost:
                commission += cost if coin == pricing.quote else cost * pricing.convert(coin)
    return _Fills(quantity, value, commission, base_fee)


def _estimate(order: Order, done: Decimal, fills: _Fills, pricing: Pricing) -> _Fills:
    """What is not listed, at the order's average price and the usual fee, which a buyer pays in what is bought."""
    average = _number(order.get("average")) or _number(order.get("price"))
    value = _number(order.get("cost")) or done * average
    missing = max(value - fills.value, ZERO)
    kept = (done - fills.quantity) * pricing.taker_fee if order.get("side") == "buy" else ZERO
    return _Fills(done, value, fills.commission + missing * pricing.taker_fee, fills.base_fee + kept)


def fee_coins(trades: Iterable[Trade], pricing_base: str, pricing_quote: str) -> set[str]:
    """Third coins in which fees were paid."""
    coins = {str(fee["currency"]) for trade in trades for fee in _fees(trade) if fee.get("currency")}
    return coins - {pricing_base, pricing_quote}


def _fees(trade: Trade) -> list[Mapping[str, Any]]:
    fees = [fee for fee in trade.get("fees") or () if fee]
    fee = trade.get("fee")
    return fees or ([fee] if fee else [])


def _number(value: Any) -> Decimal:
    return ZERO if value is None else Decimal(str(value))
