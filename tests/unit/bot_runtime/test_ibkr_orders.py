from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from ib_async import IB, CommissionReport, Execution, Fill, Order, Stock, Trade, TradeLogEntry
from ib_async import OrderStatus as Said

from bot_runtime.brokers.ibkr_orders import acknowledged, order_of, read_report, traces_of
from bot_runtime.domain.order import OrderIntent, OrderReport, OrderStatus, OrderType, Side
from support.live import an_intent

NOW = datetime(2026, 3, 4, 15, tzinfo=UTC)
FEE = Decimal("0.001")
SHARE = Stock("AAPL", "SMART", "USD")


def a_trade(status: str, *said: tuple[str, int], filled: float = 0.0, mean: float = 0.0, **order: Any) -> Trade:
    log = [TradeLogEntry(NOW, what, f"message {code}", code) for what, code in (("PendingSubmit", 0), *said)]
    told = Said(status=status, filled=filled, avgFillPrice=mean, whyHeld=order.pop("whyHeld", ""))
    return Trade(SHARE, Order(**{"orderRef": "a", "permId": 5, "totalQuantity": 4.0} | order), told, [], log)


def a_fill(number: str, shares: float, price: float, *, charged: float | None = 1.0, at: datetime = NOW) -> Fill:
    report = CommissionReport() if charged is None else CommissionReport(number, charged, "USD")
    execution = Execution(execId=number, time=at, shares=shares, price=price, permId=5, orderRef="a")
    return Fill(SHARE, execution, report, at)


def report_of(trades: list[Trade], fills: list[Fill] | None = None, later: float = 0.0) -> OrderReport:
    return read_report("a", traces_of("a", trades, fills or []), FEE, NOW + timedelta(seconds=later))


@pytest.mark.parametrize(
    ("trade", "expected"),
    [
        (a_trade("PendingSubmit"), OrderStatus.OPEN),
        (a_trade("PreSubmitted", ("PreSubmitted", 0)), OrderStatus.OPEN),
        (a_trade("ValidationError", ("PreSubmitted", 0), ("ValidationError", 399)), OrderStatus.OPEN),
        (a_trade("ValidationError", ("ValidationError", 321)), OrderStatus.REJECTED),
        (a_trade("ValidationError", ("Submitted", 0), ("ValidationError", 321)), OrderStatus.OPEN),
        (a_trade("PendingCancel", ("Submitted", 0)), OrderStatus.OPEN),
        (a_trade("Cancelled", ("Submitted", 0), ("Cancelled", 202)), OrderStatus.CANCELED),
        (a_trade("Cancelled", ("Submitted", 0), ("Cancelled", 0)), OrderStatus.CANCELED),
        (a_trade("ApiCancelled"), OrderStatus.CANCELED),
        (a_trade("Cancelled", ("Cancelled", 201)), OrderStatus.REJECTED),
        (a_trade("Cancelled", ("Cancelled", 110)), OrderStatus.REJECTED),
        (a_trade("Cancelled", ("Submitted", 0), ("Cancelled", 10148)), OrderStatus.OPEN),
        (a_trade("Cancelled", ("Cancelled", 10349)), OrderStatus.OPEN),
        (a_trade("Inactive", ("Inactive", 0)), OrderStatus.REJECTED),
        (a_trade("Inactive", ("Inactive", 0), whyHeld="locate"), OrderStatus.OPEN),
    ],
)
def test_what_the_gateway_says_is_one_of_four_states(trade: Trade, expected: OrderStatus) -> None:
    assert report_of([trade]).status is expected


def test_a_refused_order_says_why() -> None:
    assert report_of([a_trade("Cancelled", ("Cancelled", 201))]).reason == "message 201"


def test_an_order_is_acknowledged_by_anything_that_the_gateway_says_of_it() -> None:
    assert not acknowledged(a_trade("PendingSubmit"))
    assert acknowledged(a_trade("PreSubmitted", ("PreSubmitted", 0)))
    assert acknowledged(a_trade("ValidationError", ("ValidationError", 321)))


def test_a_corrected_execution_counts_once_as_it_was_corrected() -> None:
    fills = [a_fill("e1.01.01", 4.0, 90.0), a_fill("e1.01.02", 4.0, 91.0)]
    report = report_of([a_trade("Filled", ("Submitted", 0), filled=4.0)], fills)
    assert (report.status, report.filled, report.average_price) == (OrderStatus.FILLED, Decimal(4), Decimal(91))


def test_an_order_that_is_said_to_be_filled_stays_open_until_its_executions_came() -> None:
    trade = a_trade("Filled", ("Submitted", 0), filled=4.0, mean=90.0)
    first = [a_fill("e1.01.01", 1.0, 90.0)]
    assert report_of([trade], first, later=5).status is OrderStatus.OPEN
    overdue = report_of([trade], first, later=60)
    assert (overdue.status, overdue.filled, overdue.average_price) == (OrderStatus.FILLED, Decimal(4), Decimal(90))
    assert overdue.commission == Decimal(1) + Decimal("0.27")


def test_an_order_that_is_said_to_be_filled_at_no_price_is_never_given_one() -> None:
    completed = a_trade("Filled", filledQuantity=4.0, totalQuantity=0.0)
    assert report_of([completed], later=3600).status is OrderStatus.OPEN


def test_a_record_of_today_without_numbers_is_completed_by_its_executions() -> None:
    completed = a_trade("Filled", filledQuantity=4.0, totalQuantity=0.0)
    report = report_of([completed], [a_fill("e1.01.01", 4.0, 90.0)])
    assert (report.status, report.quantity, report.filled) == (OrderStatus.FILLED, Decimal(4), Decimal(4))
    assert (report.broker_order_id, report.time) == ("5", NOW)


def test_executions_alone_mean_that_the_order_is_over() -> None:
    report = report_of([], [a_fill("e1.01.01", 3.0, 90.0)])
    assert (report.status, report.filled, report.commission) == (OrderStatus.FILLED, Decimal(3), Decimal(1))


def test_an_order_that_was_ended_by_a_refusal_after_fills_is_canceled() -> None:
    trade = a_trade("Cancelled", ("Submitted", 0), ("Cancelled", 201), filled=1.0)
    report = report_of([trade], [a_fill("e1.01.01", 1.0, 90.0)])
    assert (report.status, report.filled) == (OrderStatus.CANCELED, Decimal(1))


@pytest.mark.parametrize(
    ("intent", "sent"),
    [
        (an_intent("tb7-en-1"), ["BUY", "2.0", "MKT", "", "", "DAY"]),
        (an_intent("tb7-en-1", kind=OrderType.LIMIT, limit="90.25"), ["BUY", "2.0", "LMT", "90.25", "", "GTC"]),
        (
            an_intent("tb7-en-1", side=Side.SELL, kind=OrderType.STOP, stop="95"),
            ["SELL", "2.0", "STP", "", "95.0", "GTC"],
        ),
    ],
)
async def test_the_librarys_own_client_writes_the_order_as_it_was_meant(intent: OrderIntent, sent: list[str]) -> None:
    ib = IB()
    client: Any = ib.client
    written: list[bytes] = []
    client.connState, client._serverVersion = client.CONNECTED, client.MaxClientVersion
    client.conn.sendMsg = written.append
    client.placeOrder(41, SHARE, order_of(intent, "DU1234567"))
    client.connState = client.DISCONNECTED
    (message,) = written
    fields = message[4:].decode().split("\0")
    assert fields[:4] == ["3", "41", "0", "AAPL"]
    at = fields.index(sent[0])
    assert fields[at : at + 6] == sent
    assert "DU1234567" in fields
    assert "tb7-en-1" in fields
