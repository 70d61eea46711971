from datetime import timedelta
from decimal import Decimal

import pytest

from bot_runtime.brokers.paper_venue import PaperVenue
from bot_runtime.domain.bar import Bar
from bot_runtime.domain.order import Fill, OrderIntent, OrderType, Purpose, Side
from support.bars import START

SIGNAL_BAR = Bar(START, 99.0, 101.0, 98.0, 100.0, 1.0)
NEXT_BAR = Bar(START + timedelta(minutes=1), 100.5, 102.0, 100.0, 101.0, 1.0)


def an_order(side=Side.BUY):
    return OrderIntent("tb1-en-1", Purpose.ENTRY, side, OrderType.MARKET, Decimal(2), START, Decimal(100), "why")


def test_a_market_order_fills_at_the_open_of_the_bar_after_its_signal():
    venue = PaperVenue(Decimal("0.001"))
    venue.submit(an_order())
    assert venue.match(SIGNAL_BAR) == []
    assert venue.match(NEXT_BAR) == [Fill("tb1-en-1", NEXT_BAR.time, Decimal("100.5"), Decimal(2), Decimal("0.2010"))]
    assert venue.match(NEXT_BAR) == []


def test_the_same_order_twice_fills_once_and_a_canceled_one_never():
    venue = PaperVenue(Decimal(0))
    venue.submit(an_order())
    venue.submit(an_order())
    assert len(venue.open_orders) == 1
    assert venue.cancel("tb1-en-1")
    assert not venue.cancel("tb1-en-1")
    assert venue.match(NEXT_BAR) == []


@pytest.mark.parametrize(("side", "price"), [(Side.BUY, "100.6005"), (Side.SELL, "100.3995")])
def test_slippage_is_adverse(side, price):
    venue = PaperVenue(Decimal(0), slippage_bps=Decimal(10))
    venue.submit(an_order(side))
    (fill,) = venue.match(NEXT_BAR)
    assert fill.price == Decimal(price)
