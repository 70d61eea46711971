from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from bot_runtime.brokers.base import FencedError
from bot_runtime.domain.order import OrderStatus, OrderType, Purpose, Side
from support.broker_harness import HARNESSES, Harness
from support.ccxt_bots import an_order

PLENTY = 30.0
SIZE = Decimal("0.01")


def unfenced() -> float:
    return PLENTY


def a_while_ago() -> datetime:
    return datetime.now(UTC) - timedelta(minutes=5)


def limit(name: str, price: int, side: Side = Side.BUY) -> object:
    return an_order(name, type=OrderType.LIMIT, side=side, limit_price=Decimal(price))


def stop(name: str, price: int) -> object:
    return an_order(name, purpose=Purpose.PROTECTIVE, type=OrderType.STOP, side=Side.SELL, stop_price=Decimal(price))


@pytest.fixture(params=sorted(HARNESSES))
async def venue(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Harness]:
    async with HARNESSES[request.param](monkeypatch) as harness:
        yield harness


def needs(venue: Harness, ability: str) -> None:
    if ability in venue.lacks:
        pytest.skip(f"this venue has no {ability}")


async def test_a_market_buy_fills_and_names_price_fee_and_what_was_received(venue: Harness) -> None:
    broker = await venue.broker()
    told = await broker.submit(an_order("tb7-en-1"), unfenced)
    assert (told.client_order_id, told.quantity) == ("tb7-en-1", SIZE)
    assert told.broker_order_id
    report = await venue.final(broker, "tb7-en-1")
    assert (report.status, report.filled) == (OrderStatus.FILLED, SIZE)
    assert report.average_price is not None
    assert abs(report.average_price - 50000) < 100
    assert report.time.tzinfo is not None
    if venue.charges_base:
        assert report.base_fee == SIZE * Decimal("0.001")
        assert report.commission == report.base_fee * report.average_price
    else:
        assert report.base_fee == 0


async def test_a_market_sell_of_what_was_bought_pays_its_fee_in_quote_currency(venue: Harness) -> None:
    broker = await venue.broker()
    await broker.submit(an_order("tb7-en-1"), unfenced)
    bought = await venue.final(broker, "tb7-en-1")
    size = (bought.filled - bought.base_fee).quantize(Decimal("0.0001"), "ROUND_DOWN")
    await broker.submit(an_order("tb7-ex-2", side=Side.SELL, purpose=Purpose.EXIT, quantity=size), unfenced)
    report = await venue.final(broker, "tb7-ex-2")
    assert (report.status, report.filled, report.base_fee) == (OrderStatus.FILLED, size, 0)
    if venue.charges_base:
        assert report.average_price is not None
        assert report.commission == size * report.average_price * Decimal("0.001")


async def test_a_limit_order_rests_until_the_price_reaches_it(venue: Harness) -> None:
    needs(venue, "limit orders")
    broker = await venue.broker()
    assert (await broker.submit(limit("tb7-en-1", 49000), unfenced)).status is OrderStatus.OPEN
    await venue.move_price(Decimal(49500))
    resting = await broker.find("tb7-en-1")
    assert resting is not None
    assert (resting.status, resting.filled, resting.average_price) == (OrderStatus.OPEN, 0, None)
    await venue.move_price(Decimal(48900))
    report = await venue.final(broker, "tb7-en-1")
    assert (report.status, report.filled) == (OrderStatus.FILLED, SIZE)
    assert report.average_price is not None
    assert report.average_price <= 49000


async def test_a_canceled_limit_order_stays_canceled_when_the_price_comes(venue: Harness) -> None:
    needs(venue, "limit orders")
    broker = await venue.broker()
    await broker.submit(limit("tb7-en-1", 49000), unfenced)
    report = await broker.cancel("tb7-en-1")
    assert report is not None
    assert (report.status, report.filled) == (OrderStatus.CANCELED, 0)
    await venue.move_price(Decimal(48000))
    again = await broker.cancel("tb7-en-1")
    assert again is None or again.status is OrderStatus.CANCELED


async def test_a_stop_sells_when_the_price_falls_to_it(venue: Harness) -> None:
    needs(venue, "stop orders")
    broker = await venue.broker()
    await broker.submit(an_order("tb7-en-1", quantity=Decimal("0.02")), unfenced)
    await venue.final(broker, "tb7-en-1")
    assert (await broker.submit(stop("tb7-pr-1", 49000), unfenced)).status is OrderStatus.OPEN
    await venue.move_price(Decimal(49500))
    resting = await broker.find("tb7-pr-1")
    assert resting is not None
    assert resting.status is OrderStatus.OPEN
    await venue.move_price(Decimal(48900))
    report = await venue.final(broker, "tb7-pr-1")
    assert (report.status, report.filled) == (OrderStatus.FILLED, SIZE)


async def test_a_canceled_stop_sells_nothing(venue: Harness) -> None:
    needs(venue, "stop orders")
    broker = await venue.broker()
    await broker.submit(an_order("tb7-en-1", quantity=Decimal("0.02")), unfenced)
    before = (await venue.final(broker, "tb7-en-1")).filled
    await broker.submit(stop("tb7-pr-1", 49000), unfenced)
    report = await broker.cancel("tb7-pr-1")
    assert report is not None
    assert report.status is OrderStatus.CANCELED
    await venue.move_price(Decimal(48000))
    assert (await broker.cancel("tb7-pr-1")) in (None, report)
    assert before == Decimal("0.02")


async def test_an_order_that_was_never_sent_is_none(venue: Harness) -> None:
    broker = await venue.broker()
    assert await broker.find("tb7-en-404") is None
    assert await broker.cancel("tb7-en-404") is None


async def test_canceling_a_filled_order_tells_that_it_is_filled(venue: Harness) -> None:
    needs(venue, "memory of filled orders")
    broker = await venue.broker()
    await broker.submit(an_order("tb7-en-1"), unfenced)
    await venue.final(broker, "tb7-en-1")
    report = await broker.cancel("tb7-en-1")
    assert report is not None
    assert report.status is OrderStatus.FILLED


async def test_an_order_without_the_money_for_it_is_rejected_with_the_reason(venue: Harness) -> None:
    needs(venue, "balances")
    broker = await venue.broker()
    await venue.spend_everything()
    report = await broker.submit(an_order("tb7-en-1"), unfenced)
    assert (report.status, report.filled) == (OrderStatus.REJECTED, 0)
    assert "insufficient" in report.reason.lower()
    later = await broker.find("tb7-en-1")
    assert later is None or later.status is OrderStatus.REJECTED


async def test_an_order_below_the_venues_least_is_rejected_with_the_reason(venue: Harness) -> None:
    needs(venue, "least orders")
    broker = await venue.broker()
    report = await broker.submit(an_order("tb7-en-1", quantity=Decimal("0.00002")), unfenced)
    assert report.status is OrderStatus.REJECTED
    assert "least" in report.reason
    assert await broker.find("tb7-en-1") is None


async def test_partial_fills_add_up(venue: Harness) -> None:
    needs(venue, "partial fills")
    broker = await venue.broker()
    await venue.in_parts(Decimal("0.4"), Decimal("0.6"))
    await broker.submit(an_order("tb7-en-1"), unfenced)
    part = await broker.find("tb7-en-1")
    assert part is not None
    assert (part.status, part.filled) == (OrderStatus.OPEN, SIZE * Decimal("0.4"))
    assert part.average_price == 50000
    await venue.move_price(Decimal(51000))
    await venue.advance()
    report = await venue.final(broker, "tb7-en-1")
    assert (report.status, report.filled) == (OrderStatus.FILLED, SIZE)
    assert report.average_price == Decimal(50600)
    assert report.commission > part.commission


async def test_a_partially_filled_order_that_is_canceled_keeps_what_it_got(venue: Harness) -> None:
    needs(venue, "partial fills")
    broker = await venue.broker()
    await venue.in_parts(Decimal("0.4"), Decimal("0.6"))
    await broker.submit(an_order("tb7-en-1"), unfenced)
    report = await broker.cancel("tb7-en-1")
    assert report is not None
    assert (report.status, report.filled) == (OrderStatus.CANCELED, SIZE * Decimal("0.4"))


async def test_a_restarted_adapter_sees_what_the_earlier_one_sent(venue: Harness) -> None:
    needs(venue, "memory of its own")
    first = await venue.broker()
    await first.submit(an_order("tb7-en-1"), unfenced)
    await first.submit(limit("tb7-en-2", 49000), unfenced)
    await first.aclose()
    second = await venue.broker()
    found = {report.client_order_id: report for report in await second.orders("tb7-", a_while_ago())}
    assert found["tb7-en-1"].status is OrderStatus.FILLED
    assert found["tb7-en-2"].status is OrderStatus.OPEN
    assert await second.find("tb7-en-1") == found["tb7-en-1"]


async def test_orders_of_others_are_not_listed_and_not_touched(venue: Harness) -> None:
    needs(venue, "other customers")
    broker = await venue.broker()
    await venue.place_foreign("by-hand-1")
    await venue.place_foreign("tb77-en-1")
    await broker.submit(limit("tb7-en-1", 49000), unfenced)
    assert [report.client_order_id for report in await broker.orders("tb7-", a_while_ago())] == ["tb7-en-1"]
    await broker.cancel("tb7-en-1")
    assert await venue.foreign_is_open("by-hand-1")
    assert await venue.foreign_is_open("tb77-en-1")


async def test_orders_that_were_over_before_a_time_are_not_listed_but_open_ones_are(venue: Harness) -> None:
    needs(venue, "memory of its own")
    broker = await venue.broker()
    await broker.submit(an_order("tb7-en-1"), unfenced)
    await broker.submit(limit("tb7-en-2", 49000), unfenced)
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert [report.client_order_id for report in await broker.orders("tb7-", later)] == ["tb7-en-2"]


async def test_holdings_grow_by_what_was_received(venue: Harness) -> None:
    needs(venue, "balances")
    broker = await venue.broker()
    before = await broker.holdings()
    await broker.submit(an_order("tb7-en-1"), unfenced)
    report = await venue.final(broker, "tb7-en-1")
    after = await broker.holdings()
    assert before is not None
    assert after == before + report.filled - report.base_fee


async def test_a_lease_that_has_run_out_sends_nothing(venue: Harness) -> None:
    broker = await venue.broker()
    with pytest.raises(FencedError):
        await broker.submit(an_order("tb7-en-1"), lambda: -1.0)
    assert await broker.find("tb7-en-1") is None


async def test_closing_twice_does_no_harm(venue: Harness) -> None:
    broker = await venue.broker()
    await broker.aclose()
    await broker.aclose()
