from datetime import timedelta
from decimal import Decimal

import pytest

from bot_runtime.brokers.paper_venue import PaperVenue, Simulation
from bot_runtime.domain.bar import Bar
from bot_runtime.domain.order import Fill, OrderIntent, OrderStatus, OrderType, Purpose, RestingOrder, Side, fill_of
from support.bars import START

MINUTE = timedelta(minutes=1)
SIGNAL_BAR = Bar(START, 99.0, 101.0, 98.0, 100.0, 1.0)
NEXT_BAR = Bar(START + MINUTE, 100.5, 102.0, 100.0, 101.0, 1.0)


def an_order(side=Side.BUY, kind=OrderType.MARKET, *, limit=None, stop=None, name="tb1-en-1"):
    prices = {"limit_price": limit and Decimal(limit), "stop_price": stop and Decimal(stop)}
    return OrderIntent(name, Purpose.ENTRY, side, kind, Decimal(2), START, Decimal(100), "why", **prices)


def a_bar(minutes, low, high, open_=100.0):
    return Bar(START + minutes * MINUTE, open_, high, low, 100.0, 1.0)


def test_a_market_order_fills_at_the_open_of_the_bar_after_its_signal():
    venue = PaperVenue(Decimal("0.001"))
    assert venue.submit(an_order()).status is OrderStatus.OPEN
    assert venue.match(SIGNAL_BAR) == []
    (report,) = venue.match(NEXT_BAR)
    assert report.status is OrderStatus.FILLED
    assert fill_of(report) == Fill("tb1-en-1", NEXT_BAR.time, Decimal("100.5"), Decimal(2), Decimal("0.2010"))
    assert venue.match(NEXT_BAR) == []


def test_the_same_order_twice_fills_once_and_a_canceled_one_never():
    venue = PaperVenue(Decimal(0))
    venue.submit(an_order())
    venue.submit(an_order())
    assert len(venue.open_orders) == 1
    assert venue.cancel("tb1-en-1").status is OrderStatus.CANCELED
    assert venue.cancel("tb1-en-1") is None
    assert venue.find("tb1-en-1") is None
    assert venue.match(NEXT_BAR) == []


@pytest.mark.parametrize(("side", "price"), [(Side.BUY, "100.6005"), (Side.SELL, "100.3995")])
def test_slippage_is_adverse(side, price):
    venue = PaperVenue(Decimal(0), Simulation(slippage_bps=Decimal(10)))
    venue.submit(an_order(side))
    (report,) = venue.match(NEXT_BAR)
    assert report.average_price == Decimal(price)


@pytest.mark.parametrize(
    ("side", "limit", "bar", "price"),
    [
        (Side.BUY, "99", a_bar(1, 99.5, 101.0), None),
        (Side.BUY, "99", a_bar(1, 99.0, 101.0), "99"),
        (Side.BUY, "99", a_bar(1, 97.0, 101.0, open_=98.0), "98"),
        (Side.SELL, "101", a_bar(1, 99.0, 100.5), None),
        (Side.SELL, "101", a_bar(1, 99.0, 101.5), "101"),
        (Side.SELL, "101", a_bar(1, 99.0, 103.0, open_=102.0), "102"),
    ],
)
def test_a_limit_order_fills_when_a_bar_reaches_its_price_and_never_worse(side, limit, bar, price):
    venue = PaperVenue(Decimal(0), Simulation(slippage_bps=Decimal(10)))
    venue.submit(an_order(side, OrderType.LIMIT, limit=limit))
    prices = [report.average_price for report in venue.match(bar)]
    assert prices == ([] if price is None else [Decimal(price)])


@pytest.mark.parametrize(
    ("side", "stop", "bar", "price"),
    [
        (Side.SELL, "99", a_bar(1, 99.5, 101.0), None),
        (Side.SELL, "99", a_bar(1, 98.0, 101.0), "99"),
        (Side.SELL, "99", a_bar(1, 95.0, 101.0, open_=96.0), "96"),
        (Side.BUY, "101", a_bar(1, 99.0, 100.5), None),
        (Side.BUY, "101", a_bar(1, 99.0, 102.0), "101"),
        (Side.BUY, "101", a_bar(1, 99.0, 105.0, open_=104.0), "104"),
    ],
)
def test_a_stop_fills_at_its_trigger_or_at_an_open_past_it(side, stop, bar, price):
    venue = PaperVenue(Decimal(0))
    venue.submit(an_order(side, OrderType.STOP, stop=stop))
    prices = [report.average_price for report in venue.match(bar)]
    assert prices == ([] if price is None else [Decimal(price)])


def test_an_order_that_fills_in_part_has_its_rest_filled_with_the_next_bar_at_the_mean_price():
    venue = PaperVenue(Decimal("0.001"), Simulation(partial_fill_probability=1.0))
    venue.submit(an_order())
    (part,) = venue.match(a_bar(1, 99.0, 101.0, open_=100.0))
    assert part.status is OrderStatus.OPEN
    assert Decimal(1) <= part.filled < Decimal(2)
    assert venue.match(a_bar(1, 99.0, 101.0, open_=100.0)) == [], "one bar fills an order once"
    (whole,) = venue.match(a_bar(2, 99.0, 111.0, open_=110.0))
    assert (whole.status, whole.filled) == (OrderStatus.FILLED, Decimal(2))
    assert whole.average_price == (part.filled * 100 + (2 - part.filled) * 110) / 2
    assert whole.commission == Decimal("0.001") * whole.average_price * 2


def test_an_order_that_filled_in_part_says_when_it_filled_however_it_is_asked():
    venue = PaperVenue(Decimal(0), Simulation(partial_fill_probability=1.0))
    venue.submit(an_order(kind=OrderType.LIMIT, limit="100"))
    (part,) = venue.match(NEXT_BAR)
    assert part.time == NEXT_BAR.time
    assert venue.find("tb1-en-1") == part
    canceled = venue.cancel("tb1-en-1")
    assert (canceled.status, canceled.time, canceled.filled) == (OrderStatus.CANCELED, NEXT_BAR.time, part.filled)


def test_a_venue_that_is_restored_between_two_parts_fills_as_if_it_had_not_been():
    simulation = Simulation(partial_fill_probability=1.0, seed=3)
    first, second = PaperVenue(Decimal("0.001"), simulation), PaperVenue(Decimal("0.001"), simulation)
    first.submit(an_order())
    (part,) = first.match(NEXT_BAR)
    second.restore(RestingOrder(an_order(), part.filled, part.average_price, part.commission, part.time))
    assert second.match(NEXT_BAR) == []
    later = a_bar(2, 99.0, 111.0, open_=110.0)
    assert second.match(later) == first.match(later) != []


def test_what_is_rejected_is_drawn_from_the_orders_name_and_is_the_same_for_every_bot():
    simulation = Simulation(reject_probability=0.5, seed=1)
    venue = PaperVenue(Decimal(0), simulation)
    outcomes = [venue.submit(an_order(name=f"tb1-en-{n}")).status for n in range(100)]
    assert 30 < outcomes.count(OrderStatus.REJECTED) < 70
    again = PaperVenue(Decimal(0), simulation)
    assert [again.submit(an_order(name=f"tb0-en-{n}")).status for n in range(100)] == outcomes


def test_latency_lets_an_order_miss_the_bars_that_open_before_it_arrives():
    venue = PaperVenue(Decimal(0), Simulation(latency_seconds=90), interval_seconds=60)
    venue.submit(an_order())
    assert venue.match(a_bar(1, 99.0, 101.0)) == []
    assert venue.match(a_bar(2, 99.0, 101.0)) == []
    assert [report.time for report in venue.match(a_bar(3, 99.0, 101.0))] == [START + 3 * MINUTE]
