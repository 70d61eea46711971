import asyncio
import io
import logging
import traceback
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
import structlog

from bot_core.logs import configure_logging
from bot_core.models.errors import InvalidBotError
from bot_runtime.brokers.base import FencedError, NotSentError, UnknownOutcomeError, VenueUnavailableError
from bot_runtime.brokers.ccxt_broker import CcxtBroker
from bot_runtime.domain.order import OrderStatus, OrderType, Side
from bot_runtime.venues import ccxt_client
from support.broker_harness import BinanceHarness, binance_harness
from support.ccxt_bots import KEY_VARIABLES, a_live_config, an_order
from support.exchange.faults import Fault, FaultKind, too_many_requests, unknown_status
from support.exchange.server import API_KEY, API_SECRET, Exchange, ExchangeProcess

PLENTY = 30.0
ORDER = "POST /api/v3/order"
MY_TRADES = "GET /api/v3/myTrades"
LONG_AGO = datetime(2024, 1, 1, tzinfo=UTC)


def unfenced() -> float:
    return PLENTY


@pytest.fixture
async def venue(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BinanceHarness]:
    monkeypatch.setattr(ccxt_client, "TIMEOUT_SECONDS", 0.4)
    async with binance_harness(monkeypatch) as harness:
        yield harness


async def connected(venue: BinanceHarness) -> CcxtBroker:
    broker = await venue.broker()
    assert isinstance(broker, CcxtBroker)
    return broker


def sent(exchange: Exchange) -> int:
    return exchange.requests.count(ORDER)


def at_the_venue(exchange: Exchange, name: str = "tb7-en-1") -> int:
    return sum(order.client_id == name for order in exchange.venue.orders)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(FaultKind.TIMEOUT_AFTER),
        Fault(FaultKind.RESET_AFTER),
        Fault(FaultKind.ERROR_AFTER, status=502),
        Fault(FaultKind.ERROR_AFTER, status=503),
        Fault(FaultKind.MALFORMED_AFTER),
        unknown_status(-1006),
        unknown_status(-1007),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.code or fault.status}",
)
async def test_an_order_that_was_accepted_without_an_answer_is_unknown_and_then_found(
    venue: BinanceHarness, fault: Fault
) -> None:
    broker = await connected(venue)
    venue.exchange.faults.plan(fault)
    with pytest.raises(UnknownOutcomeError):
        await broker.submit(an_order(), unfenced)
    assert sent(venue.exchange) == 1
    report = await broker.find("tb7-en-1")
    assert report is not None
    assert report.status is OrderStatus.FILLED
    assert at_the_venue(venue.exchange) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault(FaultKind.TIMEOUT_BEFORE),
        Fault(FaultKind.RESET_BEFORE),
        Fault(FaultKind.ERROR_BEFORE, status=500),
        Fault(FaultKind.ERROR_BEFORE, status=504),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)
async def test_an_order_that_got_lost_on_the_way_is_unknown_and_then_certainly_not_there(
    venue: BinanceHarness, fault: Fault
) -> None:
    broker = await connected(venue)
    venue.exchange.faults.plan(fault)
    with pytest.raises(UnknownOutcomeError):
        await broker.submit(an_order(), unfenced)
    assert await broker.find("tb7-en-1") is None
    assert (sent(venue.exchange), at_the_venue(venue.exchange)) == (1, 0)


@pytest.mark.parametrize(
    "fault",
    [
        too_many_requests(),
        too_many_requests(status=418),
        Fault(FaultKind.ERROR_BEFORE, status=400, code=-1015, message="Too many new orders."),
        Fault(FaultKind.ERROR_BEFORE, status=503, code=-1008, message="Server is currently overloaded."),
    ],
    ids=lambda fault: f"{fault.status}{fault.code}",
)
async def test_an_order_that_was_turned_away_unread_was_certainly_not_sent(venue: BinanceHarness, fault: Fault) -> None:
    broker = await connected(venue)
    venue.exchange.faults.plan(fault)
    with pytest.raises(NotSentError):
        await broker.submit(an_order(), unfenced)
    assert at_the_venue(venue.exchange) == 0


async def test_a_venue_that_is_down_has_certainly_not_got_the_order(venue: BinanceHarness) -> None:
    broker = await connected(venue)
    await venue.exchange.stop()
    with pytest.raises(NotSentError):
        await broker.submit(an_order(), unfenced)
    with pytest.raises(VenueUnavailableError):
        await broker.find("tb7-en-1")
    with pytest.raises(VenueUnavailableError):
        await broker.cancel("tb7-en-1")
    await venue.exchange.start()
    assert (await broker.submit(an_order(), unfenced)).status is OrderStatus.FILLED


async def test_a_restarted_venue_still_knows_the_order(venue: BinanceHarness) -> None:
    broker = await connected(venue)
    await broker.submit(an_order("tb7-en-1", type=OrderType.LIMIT, limit_price=Decimal(49000)), unfenced)
    await venue.exchange.restart()
    report = await broker.find("tb7-en-1")
    assert report is not None
    assert report.status is OrderStatus.OPEN


@pytest.mark.parametrize(
    "kind", [FaultKind.TIMEOUT_BEFORE, FaultKind.RESET_BEFORE, FaultKind.ERROR_BEFORE, FaultKind.MALFORMED_AFTER]
)
async def test_a_question_without_an_answer_is_never_a_no(venue: BinanceHarness, kind: FaultKind) -> None:
    broker = await connected(venue)
    questions = ("GET /api/v3/order", "GET /api/v3/openOrders", "GET /api/v3/account")
    venue.exchange.faults.plan(*(Fault(kind, endpoint, times=None) for endpoint in questions))
    for question in (broker.find("tb7-en-1"), broker.orders("tb7-", LONG_AGO), broker.holdings()):
        with pytest.raises(VenueUnavailableError):
            await question


async def test_a_cancel_whose_answer_is_lost_can_be_asked_for_again(venue: BinanceHarness) -> None:
    broker = await connected(venue)
    await broker.submit(an_order("tb7-en-1", type=OrderType.LIMIT, limit_price=Decimal(49000)), unfenced)
    venue.exchange.faults.plan(Fault(FaultKind.TIMEOUT_AFTER, "DELETE /api/v3/order"))
    with pytest.raises(VenueUnavailableError):
        await broker.cancel("tb7-en-1")
    report = await broker.cancel("tb7-en-1")
    assert report is not None
    assert report.status is OrderStatus.CANCELED


async def test_fills_that_are_reported_twice_count_once(venue: BinanceHarness) -> None:
    broker = await connected(venue)
    everywhere = (Fault(FaultKind.DUPLICATE_FILLS, endpoint, None) for endpoint in (ORDER, MY_TRADES))
    venue.exchange.faults.plan(*everywhere)
    told = await broker.submit(an_order(), unfenced)
    found = await broker.find("tb7-en-1")
    assert found is not None
    for report in (told, found):
        assert (report.filled, report.base_fee) == (Decimal("0.01"), Decimal("0.00001"))
        assert report.commission == Decimal("0.5")


async def test_an_order_is_not_final_before_its_fills_are_listed(venue: BinanceHarness) -> None:
    broker = await connected(venue)
    late = (Fault(FaultKind.LATE_FILLS, endpoint) for endpoint in (ORDER, MY_TRADES))
    venue.exchange.faults.plan(*late)
    told = await broker.submit(an_order(), unfenced)
    assert (told.status, told.filled) == (OrderStatus.OPEN, Decimal("0.01"))
    report = await broker.find("tb7-en-1")
    assert report is not None
    assert (report.status, report.commission) == (OrderStatus.FILLED, Decimal("0.5"))


async def test_fills_that_never_are_listed_are_estimated_after_a_while(
    venue: BinanceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = await connected(venue)
    late = (Fault(FaultKind.LATE_FILLS, endpoint, None) for endpoint in (ORDER, MY_TRADES))
    venue.exchange.faults.plan(*late)
    await broker.submit(an_order(), unfenced)
    monkeypatch.setattr("bot_runtime.brokers.ccxt_reports.PATIENCE", timedelta(0))
    report = await broker.find("tb7-en-1")
    assert report is not None
    assert (report.status, report.average_price) == (OrderStatus.FILLED, 50000)
    assert (report.commission, report.base_fee) == (Decimal("0.5"), Decimal("0.00001"))


async def test_fills_that_can_not_be_asked_for_are_estimated_after_a_while(
    venue: BinanceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = await connected(venue)
    venue.exchange.faults.plan(Fault(FaultKind.LATE_FILLS), Fault(FaultKind.ERROR_BEFORE, MY_TRADES, None, status=503))
    told = await broker.submit(an_order(), unfenced)
    assert told.status is OrderStatus.OPEN
    later = datetime.now(UTC) + timedelta(seconds=5)
    monkeypatch.setattr("bot_runtime.brokers.ccxt_broker._now", lambda: later)
    report = await broker.find("tb7-en-1")
    assert report is not None
    assert (report.status, report.commission) == (OrderStatus.FILLED, Decimal("0.5"))


async def test_the_fills_of_an_order_that_stays_as_it_is_are_asked_for_once(venue: BinanceHarness) -> None:
    broker = await connected(venue)
    for number in range(5):
        await broker.submit(an_order(f"tb7-en-{number}"), unfenced)
    restarted = await connected(venue)
    first = await restarted.orders("tb7-", LONG_AGO)
    assert venue.exchange.requests.count(MY_TRADES) == 1, "one question for all that are new"
    before = len(venue.exchange.requests)
    assert await restarted.orders("tb7-", LONG_AGO) == first
    assert venue.exchange.requests[before:] == ["GET /api/v3/openOrders", "GET /api/v3/allOrders"]
    assert [(report.status, report.commission) for report in first] == [(OrderStatus.FILLED, Decimal("0.5"))] * 5


async def test_a_partly_filled_order_is_reported_anew_with_each_fill(venue: BinanceHarness) -> None:
    broker = await connected(venue)
    await venue.in_parts(Decimal("0.5"), Decimal("0.5"))
    told = await broker.submit(an_order(), unfenced)
    assert (told.status, told.filled) == (OrderStatus.OPEN, Decimal("0.005"))
    assert await broker.orders("tb7-", LONG_AGO) == [told]
    await venue.advance()
    (report,) = await broker.orders("tb7-", LONG_AGO)
    assert (report.status, report.filled, report.commission) == (OrderStatus.FILLED, Decimal("0.01"), Decimal("0.5"))


async def test_fills_that_were_not_listed_at_first_are_asked_for_again_by_a_comparison(venue: BinanceHarness) -> None:
    broker = await connected(venue)
    venue.exchange.faults.plan(*(Fault(FaultKind.LATE_FILLS, endpoint) for endpoint in (ORDER, MY_TRADES)))
    assert (await broker.submit(an_order(), unfenced)).status is OrderStatus.OPEN
    (report,) = await broker.orders("tb7-", LONG_AGO)
    assert (report.status, report.commission) == (OrderStatus.FILLED, Decimal("0.5"))


async def test_a_fee_in_a_third_coin_counts_at_its_price(venue: BinanceHarness) -> None:
    venue.exchange.venue.fee_coin = "BNB"
    broker = await connected(venue)
    report = await broker.submit(an_order(), unfenced)
    assert (report.commission, report.base_fee) == (Decimal("0.5"), 0)


async def test_a_request_that_leaves_after_a_long_pause_is_refused_by_the_venue(venue: BinanceHarness) -> None:
    broker = await connected(venue)
    left = iter([PLENTY, PLENTY])

    def asked_then_paused() -> float:
        seconds = next(left)
        if venue.exchange.requests and left.__length_hint__() == 0:
            venue.exchange.venue.clock_offset += 6  # the process stands still for six seconds, right before the send
        return seconds

    with pytest.raises(NotSentError):
        await broker.submit(an_order(), asked_then_paused)
    assert (sent(venue.exchange), at_the_venue(venue.exchange)) == (1, 0)
    assert await broker.find("tb7-en-1") is None


async def test_a_short_lease_shortens_the_window_in_which_the_venue_takes_the_order(venue: BinanceHarness) -> None:
    broker = await connected(venue)
    left = iter([4.0, 4.0])

    def asked_then_paused() -> float:
        seconds = next(left)
        if left.__length_hint__() == 0:
            venue.exchange.venue.clock_offset += 2.5
        return seconds

    with pytest.raises(NotSentError):
        await broker.submit(an_order(), asked_then_paused)
    assert at_the_venue(venue.exchange) == 0
    assert (await broker.submit(an_order(), lambda: 4.0)).status is OrderStatus.FILLED


@pytest.mark.parametrize("answers", [(3.4,), (PLENTY, 6.4)], ids=["too short at first", "too short after waiting"])
async def test_nothing_leaves_when_the_lease_does_not_outlast_the_request(
    venue: BinanceHarness, answers: tuple[float, ...]
) -> None:
    broker = await connected(venue)
    left = iter(answers)
    with pytest.raises(FencedError):
        await broker.submit(an_order(), lambda: next(left))
    assert sent(venue.exchange) == 0


async def test_an_id_that_is_taken_by_an_open_order_is_answered_by_that_order(venue: BinanceHarness) -> None:
    broker = await connected(venue)
    first = await broker.submit(an_order("tb7-en-1", type=OrderType.LIMIT, limit_price=Decimal(49000)), unfenced)
    again = await broker.submit(an_order("tb7-en-1"), unfenced)
    assert again == first
    assert at_the_venue(venue.exchange) == 1


@pytest.mark.parametrize("strict", [False, True])
async def test_an_id_of_an_order_that_is_over_is_taken_again_by_this_venue(venue: BinanceHarness, strict: bool) -> None:
    venue.exchange.venue.strict_ids = strict
    broker = await connected(venue)
    await broker.submit(an_order(), unfenced)
    assert (await broker.submit(an_order(), unfenced)).status is OrderStatus.FILLED
    assert at_the_venue(venue.exchange) == (1 if strict else 2)


async def test_the_clock_of_the_venue_is_measured_and_used(venue: BinanceHarness) -> None:
    venue.exchange.venue.clock_offset = 90.0
    broker = await connected(venue)
    assert broker.clock_skew == pytest.approx(90.0, abs=0.5)
    assert (await broker.submit(an_order(), unfenced)).status is OrderStatus.FILLED
    venue.exchange.venue.clock_offset = -90.0
    with pytest.raises(NotSentError):
        await broker.submit(an_order("tb7-en-2"), unfenced)
    assert broker.clock_skew == pytest.approx(-90.0, abs=0.5)
    assert (await broker.submit(an_order("tb7-en-2"), unfenced)).status is OrderStatus.FILLED


async def test_orders_behind_the_newest_page_are_listed_too(
    venue: BinanceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot_runtime.brokers.ccxt_orders._PAGE", 3)
    book = venue.exchange.venue
    for number in range(9):
        book.clock_offset = (number - 9) * 3600.0 * 10  # the oldest was made four days ago
        book.submit("BTCUSDT", "BUY", "MARKET", Decimal("0.001"), client_id=f"tb7-en-{number}")
    book.clock_offset = 0.0
    broker = await connected(venue)
    found = await broker.orders("tb7-", datetime.now(UTC) - timedelta(days=3))
    assert sorted(report.client_order_id for report in found) == [f"tb7-en-{number}" for number in range(2, 9)]


async def test_many_filled_orders_are_listed_with_few_questions(venue: BinanceHarness) -> None:
    venue.exchange.venue.fee_coin = "BNB"
    for number in range(40):
        venue.exchange.venue.submit("BTCUSDT", "BUY", "MARKET", Decimal("0.001"), client_id=f"tb7-en-{number}")
    broker = await connected(venue)
    before = len(venue.exchange.requests)
    found = await broker.orders("tb7-", datetime.now(UTC) - timedelta(days=1))
    asked = venue.exchange.requests[before:]
    assert asked.count("GET /api/v3/myTrades") == 1
    assert len(asked) < 8
    assert len(found) == 40
    assert found[0] == await broker.find(found[0].client_order_id)
    assert found[0].commission > 0


async def test_fills_that_the_newest_ones_lack_are_asked_for_by_order(
    venue: BinanceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        venue.exchange.venue.submit("BTCUSDT", "BUY", "MARKET", Decimal("0.001"), client_id=f"tb7-en-{number}")
    broker = await connected(venue)

    async def nothing(_book: object) -> dict[str, list[object]]:
        return {}

    whole = await broker.orders("tb7-", LONG_AGO)
    monkeypatch.setattr("bot_runtime.brokers.ccxt_orders.OrderBook.newest_fills", nothing)
    assert await broker.orders("tb7-", LONG_AGO) == whole


async def test_a_stop_that_would_trigger_at_once_is_rejected_with_the_venues_reason(venue: BinanceHarness) -> None:
    broker = await connected(venue)
    stop = an_order("tb7-pr-1", type=OrderType.STOP, side=Side.SELL, stop_price=Decimal(51000))
    report = await broker.submit(stop, unfenced)
    assert (report.status, report.reason) == (OrderStatus.REJECTED, "Stop price would trigger immediately.")


async def test_quantities_are_rounded_to_the_venues_grid_before_they_are_sent(venue: BinanceHarness) -> None:
    broker = await connected(venue)
    report = await broker.submit(an_order(quantity=Decimal("0.0123456789")), unfenced)
    assert (report.status, report.quantity) == (OrderStatus.FILLED, Decimal("0.01234"))


async def test_no_quantity_is_ever_taken_for_a_sum_to_spend(venue: BinanceHarness) -> None:
    broker = await connected(venue)
    assert broker._venue.exchange.options["createMarketBuyOrderRequiresPrice"] is True


async def test_more_than_the_venue_takes_at_once_is_ordered_in_parts(venue: BinanceHarness) -> None:
    broker = CcxtBroker(a_live_config(), symbol="BTCUSDT")
    rules = await broker.connect()
    await broker.aclose()
    assert rules.max_quantity == 9000
    assert rules.quantity(Decimal(20000)) == 9000


@pytest.mark.parametrize(
    ("symbol", "said"),
    [
        ("BTCUSDD", "'BTCUSDD' is no market of binance; near: BTCUSDT"),
        ("LUNAUSDT", "'LUNAUSDT' is not open for trading at binance"),
        ("QQQ", "none is near"),
    ],
)
async def test_a_symbol_that_can_not_be_traded_says_so(venue: BinanceHarness, symbol: str, said: str) -> None:
    broker = CcxtBroker(a_live_config(), symbol=symbol)
    with pytest.raises(InvalidBotError, match=said):
        await broker.connect()


@pytest.mark.parametrize("wrong", ["BOT_KEYS_API_KEY", "BOT_KEYS_API_SECRET"])
async def test_a_wrong_key_names_its_variables_and_shows_no_value(
    venue: BinanceHarness, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv(wrong, "planted-wrong-value")
    with pytest.raises(InvalidBotError) as caught:
        await venue.broker()
    said = str(caught.value)
    assert "BOT_KEYS_API_KEY and BOT_KEYS_API_SECRET" in said
    assert not any(value in said for value in (API_KEY, API_SECRET, "planted-wrong-value"))


async def test_no_key_at_all_lists_the_names_that_were_looked_for(
    venue: BinanceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BOT_KEYS_API_KEY")
    with pytest.raises(InvalidBotError, match=r"looked for: BOT_KEYS_API_KEY and .*BINANCE_API_KEY and "):
        await venue.broker()


async def test_bots_with_the_same_key_share_one_client_and_the_last_one_closes_it(venue: BinanceHarness) -> None:
    first, second = await connected(venue), await connected(venue)
    assert first._venue.exchange is second._venue.exchange
    public = await ccxt_client.public_client("binance")
    assert public.exchange is not first._venue.exchange
    assert public.exchange.throttler is first._venue.exchange.throttler
    session = first._venue.exchange.session
    await public.aclose()
    await first.aclose()
    assert not session.closed
    await second.aclose()
    assert session.closed
    assert venue.exchange.requests.count("GET /api/v3/exchangeInfo") == 1


async def test_of_all_the_markets_only_those_that_are_traded_are_loaded(venue: BinanceHarness) -> None:
    broker = await connected(venue)
    other = CcxtBroker(a_live_config(), symbol="ETHUSDT")
    await other.connect()
    try:
        assert sorted(broker._venue.exchange.markets) == ["BTC/USDT", "ETH/USDT"]
        assert (await other.submit(an_order(quantity=Decimal("0.5")), unfenced)).status is OrderStatus.FILLED
        assert (await broker.submit(an_order("tb8-en-1"), unfenced)).status is OrderStatus.FILLED
        assert venue.exchange.requests.count("GET /api/v3/exchangeInfo") == 2
    finally:
        await other.aclose()


async def test_after_a_429_nothing_is_sent_until_the_venue_allows_it(venue: BinanceHarness) -> None:
    broker = await connected(venue)
    venue.exchange.faults.plan(too_many_requests("GET /api/v3/account"))
    with pytest.raises(VenueUnavailableError):
        await broker.holdings()
    before = len(venue.exchange.requests)
    with pytest.raises(NotSentError):
        await broker.submit(an_order(), unfenced)
    assert len(venue.exchange.requests) == before


async def test_a_row_can_not_send_keys_to_another_address(venue: BinanceHarness) -> None:
    async with Exchange() as other:
        config = a_live_config({"urls": {"api": other.url}, "base_url": other.url, "exchange_url": other.url})
        broker = CcxtBroker(config, symbol="BTCUSDT")
        await broker.connect()
        await broker.aclose()
        assert other.requests == []


async def test_keys_are_in_no_error_no_traceback_and_no_line_of_the_log(
    venue: BinanceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = io.StringIO()
    configure_logging("DEBUG", json=True)
    monkeypatch.setattr(logging.getLogger().handlers[0], "stream", lines)
    broker = await connected(venue)
    texts = [repr(broker._venue._credentials), str(broker._venue._credentials)]
    for fault in (Fault(FaultKind.RESET_AFTER), Fault(FaultKind.ERROR_BEFORE, status=502), unknown_status()):
        venue.exchange.faults.plan(fault)
        try:
            await broker.submit(an_order(f"tb7-en-{len(texts)}"), unfenced)
        except UnknownOutcomeError as error:
            texts.append("".join(traceback.format_exception(error)))
            logging.getLogger("ccxt.base.exchange").warning("headers: %s", {"X-MBX-APIKEY": API_KEY})
            structlog.get_logger("test").exception("failed", extra=f"{API_SECRET} in a word", cause=str(error))
    assert len(texts) == 5
    written = lines.getvalue()
    assert "failed" in written
    for secret in (API_KEY, API_SECRET):
        assert all(secret not in text for text in texts)
        assert secret not in written


async def test_the_stand_in_refuses_what_binance_refuses(venue: BinanceHarness) -> None:
    broker = await connected(venue)
    exchange = broker._venue.exchange
    refused: list[tuple[dict[str, Any], str]] = [
        ({"quantity": "0.000001"}, "LOT_SIZE"),
        ({"quantity": "0.00001"}, "NOTIONAL"),
        ({"type": "LIMIT", "timeInForce": "GTC", "price": "49000.001", "quantity": "0.01"}, "PRICE_FILTER"),
        ({"quantity": "0.123456789"}, "-1111"),
        ({"quantity": "5"}, "insufficient balance"),
        ({"quantity": "0.01", "recvWindow": 70000}, "-1131"),
        ({"quantity": "0.01", "timestamp": 1}, "-1021"),
    ]
    for changes, said in refused:
        with pytest.raises(Exception, match=said):
            await exchange.privatePostOrder({"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET"} | changes)
    assert venue.exchange.venue.orders == []


async def test_open_orders_lock_what_they_may_cost(venue: BinanceHarness) -> None:
    broker = await connected(venue)
    account = venue.exchange.venue.account
    before = account.free["USDT"]
    await broker.submit(an_order("tb7-en-1", type=OrderType.LIMIT, limit_price=Decimal(49000)), unfenced)
    assert (account.free["USDT"], account.locked["USDT"]) == (before - 490, 490)
    await venue.move_price(Decimal(48000))
    assert (account.free["USDT"], account.locked["USDT"]) == (before - 490, 0)
    assert account.free["BTC"] == Decimal("1.00999")


async def test_the_stand_in_can_be_steered_by_http(venue: BinanceHarness) -> None:
    url = f"{venue.exchange.url}/admin"
    foreign = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": 0.01, "price": 40000}
    async with aiohttp.ClientSession() as session:
        await session.post(f"{url}/price", json={"symbol": "BTCUSDT", "price": 51000})
        await session.post(f"{url}/foreign", json=foreign | {"client_id": "by-hand"})
        await session.post(f"{url}/fault", json={"kind": "timeout_after", "times": 2})
        state = await (await session.get(f"{url}/state")).json()
        assert state["prices"]["BTCUSDT"] == "51000.00000000"
        assert [(order["clientOrderId"], order["foreign"]) for order in state["orders"]] == [("by-hand", True)]
        assert state["balances"]["USDT"]["locked"] == "400.00000000"
        assert (state["faults"][0]["kind"], state["faults"][0]["times"]) == ("timeout_after", 2)
        await session.post(f"{url}/down", json={"seconds": 0.05})
    async with asyncio.timeout(5):
        while venue.exchange._runner is not None:
            await asyncio.sleep(0.01)
        while venue.exchange._runner is None:
            await asyncio.sleep(0.01)
    broker = await connected(venue)
    assert await broker.orders("tb7-", LONG_AGO) == []


async def test_the_stand_in_runs_as_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEY_VARIABLES.items():
        monkeypatch.setenv(name, value)
    with ExchangeProcess() as process:
        monkeypatch.setenv(ccxt_client.URL_VARIABLE, process.url)
        await asyncio.to_thread(process.admin, "plan", parts=[0.5, 0.5])
        broker = CcxtBroker(a_live_config(), symbol="BTCUSDT")
        await broker.connect()
        try:
            await broker.submit(an_order(), unfenced)
            await asyncio.to_thread(process.admin, "advance")
            report = await broker.find("tb7-en-1")
        finally:
            await broker.aclose()
        assert report is not None
        assert report.status is OrderStatus.FILLED
        state = await asyncio.to_thread(process.state)
    assert [fill["qty"] for fill in state["fills"]] == ["0.00500000", "0.00500000"]
    assert state["requests"].count(ORDER) == 1
