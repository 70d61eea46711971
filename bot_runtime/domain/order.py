"""What is asked of a broker and what comes back. An intent is the decision; a fill is a fact."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import assert_never

from bot_runtime.domain.bar import epoch_ms

CLIENT_ORDER_ID_LENGTH = 36


class Side(StrEnum):
    """The direction of an order."""

    BUY = "buy"
    SELL = "sell"


class Purpose(StrEnum):
    """What an order is for."""

    ENTRY = "entry"
    EXIT = "exit"
    PROTECTIVE = "protective"


class OrderType(StrEnum):
    """How an order is priced."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"


class OrderStatus(StrEnum):
    """What a venue says of an order. `CANCELED` covers expired; each but `OPEN` is final."""

    OPEN = "open"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class OrderIntent:
    """An order as decided on the close of the bar at `signal_time`, whose close is `signal_price`.

    `limit_price` is that of a LIMIT order, `stop_price` the trigger of a STOP order, which then is a market order.
    """

    client_order_id: str
    purpose: Purpose
    side: Side
    type: OrderType
    quantity: Decimal
    signal_time: datetime
    signal_price: Decimal
    reason: str
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class OrderReport:
    """What the venue knows of one order, now. Amounts are cumulative; times aware UTC.

    `filled` is what was executed in base units, `average_price` its mean price, `commission` all that was charged, in
    quote currency. `base_fee` is the part of `filled` that the venue kept as its fee: not received, and worth
    `base_fee * average_price` of commission, which `commission` includes. `reason` says why it was rejected.
    """

    client_order_id: str
    broker_order_id: str
    status: OrderStatus
    quantity: Decimal
    filled: Decimal
    average_price: Decimal | None
    commission: Decimal
    time: datetime
    base_fee: Decimal = Decimal(0)
    reason: str = ""

    @property
    def final(self) -> bool:
        """Whether the venue will never change it again."""
        return self.status is not OrderStatus.OPEN


@dataclass(frozen=True, slots=True)
class Fill:
    """What an order came to once it was final: `quantity` was received (or given), at `price` on average.

    `time` is that of the bar in which it filled (paper) or of the execution (live); `commission` is in quote currency.
    """

    client_order_id: str
    time: datetime
    price: Decimal
    quantity: Decimal
    commission: Decimal


@dataclass(frozen=True, slots=True)
class RestingOrder:
    """An order that the journal says is open, and what of it had filled when that was written, newest at `time`."""

    intent: OrderIntent
    filled: Decimal = Decimal(0)
    average_price: Decimal | None = None
    commission: Decimal = Decimal(0)
    time: datetime | None = None


def fill_of(report: OrderReport) -> Fill:
    """What a final report with a filled quantity means for an account. Raise ValueError on one without."""
    if report.average_price is None or report.filled <= 0:
        raise ValueError(f"order {report.client_order_id} reports no fill")
    received = report.filled - report.base_fee
    return Fill(report.client_order_id, report.time, report.average_price, received, report.commission)


def order_prefix(bot_id: int) -> str:
    """What the client order ids of a bot's orders begin with."""
    return f"tb{bot_id}-"


def client_order_id(bot_id: int, purpose: Purpose, signal_time: datetime, attempt: int = 0) -> str:
    """Name an order by what it is for, so that the same decision, taken again after a crash, has the same name.

    `attempt` tells apart orders of one purpose and time of which the earlier ones are final.
    """
    name = f"{order_prefix(bot_id)}{_code(purpose)}-{epoch_ms(signal_time)}" + (f"-{attempt}" if attempt else "")
    if len(name) > CLIENT_ORDER_ID_LENGTH:
        raise ValueError(f"client order id {name!r} has {len(name)} characters; {CLIENT_ORDER_ID_LENGTH} are allowed")
    return name


def _code(purpose: Purpose) -> str:
    match purpose:
        case Purpose.ENTRY:
            return "en"
        case Purpose.EXIT:
            return "ex"
        case Purpose.PROTECTIVE:
            return "pr"
        case _:
            assert_never(purpose)
