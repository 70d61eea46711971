import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from bot_core.models.errors import InvalidBotError, TransientError
from bot_runtime.brokers.alpaca import AlpacaBroker
from bot_runtime.brokers.base import FencedError, NotSentError, UnknownOutcomeError, VenueUnavailableError
from bot_runtime.domain.order import OrderStatus, OrderType, Side
from bot_runtime.venues import alpaca_http
from support.alpaca import KEY, SECRET, AlpacaStandIn
from support.live import a_live_config, an_intent, time_left

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
async def venue(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AlpacaStandIn]:
    stand_in = AlpacaStandIn()
    await stand_in.start()
    monkeypatch.setenv("TRADINGBOT_ALPACA_URL", stand_in.url)
    monkeypatch.setenv("BOT_KEYS_API_KEY", KEY)
    monkeypatch.setenv("BOT_KEYS_API_SECRET", SECRET)
    monkeypatch.setattr(alpaca_http, "TIMEOUT_SECONDS", 0.3)
    yield stand_in
    await stand_in.stop()


@pytest.fixture
async def broker(venue: AlpacaStandIn) -> AsyncIterator[AlpacaBroker]:
    made = AlpacaBroker(a_live_config("alpaca", "AAPL"))
    await made.connect()
    yield made
    await made.aclose()


async def test_rules_say_which_shares_come_in_fractions_and_which_coins_in_which_steps(venue: AlpacaStandIn) -> None:
    rules = {}
    for symbol in ("AAPL", "BRKB", "BTCUSD"):
        broker = AlpacaBroker(a_live_config("alpaca", symbol))
        rules[symbol] = await broker.connect()
        await broker.aclose()
    assert rules["AAPL"].quantity(Decimal("1.23456789")) == Decimal("1.23456789")
    assert rules["AAPL"].refusal(Decimal("0.001"), Decimal(100)) is not None
    assert rules["BRKB"].quantity(Decimal("1.9")) == Decimal(1)
    assert rules["BTCUSD"].quantity(Decimal("0.12345")) == Decimal("0.1234")
    assert rules["BTCUSD"].price(Decimal("100.9")) == Decimal(100)


async def test_a_market_order_fills_and_is_one_order_of_the_name_that_was_given(
    broker: AlpacaBroker, venue: AlpacaStandIn
) -> None:
    report = await broker.submit(an_intent(), time_left)
    assert (report.status, report.filled, report.average_price) == (OrderStatus.FILLED, Decimal(2), Decimal(100))
    assert report.commission == report.base_fee == 0
    assert [posted["client_order_id"] for posted in venue.posted] == ["tb7-en-1"]
    assert await broker.holdings() == Decimal(2)


async def test_a_limit_order_waits_and_fills_in_parts_that_add_up(broker: AlpacaBroker, venue: AlpacaStandIn) -> None:
    report = await broker.submit(an_intent(kind=OrderType.LIMIT, quantity="4", limit="90"), time_left)
    assert (report.status, report.filled, report.average_price) == (OrderStatus.OPEN, 0, None)
    venue.fill("tb7-en-1", "1", "90")
    venue.fill("tb7-en-1", "1", "88")
    part = await broker.find("tb7-en-1")
    assert part is not None
    assert (part.status, part.filled, part.average_price) == (OrderStatus.OPEN, Decimal(2), Decimal(89))
    venue.fill("tb7-en-1", "2", "88")
    whole = await broker.find("tb7-en-1")
    assert whole is not None
    assert (whole.status, whole.filled, whole.average_price) == (OrderStatus.FILLED, Decimal(4), Decimal("88.5"))


async def test_a_stop_order_waits_for_its_price_and_outlives_the_day(
    broker: AlpacaBroker, venue: AlpacaStandIn
) -> None:
    stop = an_intent("tb7-pr-1", side=Side.SELL, kind=OrderType.STOP, stop="95")
    assert (await broker.submit(stop, time_left)).status is OrderStatus.OPEN
    assert (venue.posted[0]["type"], venue.posted[0]["time_in_force"]) == ("stop", "gtc")
    venue.move_to("94")
    found = await broker.find("tb7-pr-1")
    assert found is not None
    assert (found.status, found.average_price) == (OrderStatus.FILLED, Decimal(94))


async def test_orders_of_fractions_of_shares_live_for_a_day_as_the_venue_wants_it(
    broker: AlpacaBroker, venue: AlpacaStandIn
) -> None:
    await broker.submit(an_intent(side=Side.SELL, kind=OrderType.STOP, quantity="0.5", stop="95"), time_left)
    assert venue.posted[0]["time_in_force"] == "day"


async def test_the_fee_of_a_coin_is_kept_of_what_is_received(venue: AlpacaStandIn) -> None:
    broker = AlpacaBroker(a_live_config("alpaca", "BTCUSD"))
    await broker.connect()
    bought = await broker.submit(an_intent(), time_left)
    sold = await broker.submit(an_intent("tb7-ex-1", side=Side.SELL), time_left)
    await broker.aclose()
    assert (bought.filled, bought.base_fee, bought.commission) == (Decimal(2), Decimal("0.005"), Decimal("0.5"))
    assert (sold.base_fee, sold.commission) == (0, Decimal("0.5"))


async def test_a_stop_of_a_coin_has_a_limit_beyond_it(venue: AlpacaStandIn) -> None:
    broker = AlpacaBroker(a_live_config("alpaca", "BTCUSD"))
    await broker.connect()
    await broker.submit(an_intent(side=Side.SELL, kind=OrderType.STOP, stop="95"), time_left)
    await broker.aclose()
    sent = venue.posted[0]
    assert (sent["type"], sent["stop_price"], sent["limit_price"]) == ("stop_limit", "95", "90")
    assert sent["time_in_force"] == "gtc"


async def test_a_canceled_order_keeps_what_it_had_filled(broker: AlpacaBroker, venue: AlpacaStandIn) -> None:
    await broker.submit(an_intent(kind=OrderType.LIMIT, limit="90"), time_left)
    venue.fill("tb7-en-1", "1", "90")
    report = await broker.cancel("tb7-en-1")
    assert report is not None
    assert (report.status, report.filled) == (OrderStatus.CANCELED, Decimal(1))
    assert await broker.cancel("tb7-en-1") == await broker.find("tb7-en-1")


async def test_an_order_that_the_venue_does_not_know_is_none(broker: AlpacaBroker) -> None:
    assert await broker.find("tb7-en-9") is None
    assert await broker.cancel("tb7-en-9") is None


async def test_another_process_finds_the_order_by_its_name(broker: AlpacaBroker, venue: AlpacaStandIn) -> None:
    sent = await broker.submit(an_intent(kind=OrderType.LIMIT, limit="90"), time_left)
    after_restart = AlpacaBroker(a_live_config("alpaca", "AAPL"))
    await after_restart.connect()
    assert await after_restart.find("tb7-en-1") == sent
    await after_restart.aclose()


async def test_an_expired_order_is_canceled_and_one_that_the_exchange_turned_down_rejected(
    broker: AlpacaBroker, venue: AlpacaStandIn
) -> None:
    for name, status in (("tb7-en-1", "expired"), ("tb7-en-2", "rejected"), ("tb7-en-3", "pending_cancel")):
        await broker.submit(an_intent(name, kind=OrderType.LIMIT, limit="90"), time_left)
        venue.finish(name, status)
    found = [await broker.find(f"tb7-en-{number}") for number in (1, 2, 3)]
    assert [report and report.status for report in found] == [
        OrderStatus.CANCELED,
        OrderStatus.REJECTED,
        OrderStatus.OPEN,
    ]


async def test_what_the_account_can_not_pay_is_rejected_with_the_venues_reason(
    broker: AlpacaBroker, venue: AlpacaStandIn
) -> None:
    venue.buying_power = Decimal(1)
    report = await broker.submit(an_intent(), time_left)
    assert (report.status, report.reason) == (OrderStatus.REJECTED, "insufficient buying power")
    assert not venue.orders


async def test_a_name_that_was_used_before_gives_the_order_that_is_there(
    broker: AlpacaBroker, venue: AlpacaStandIn
) -> None:
    first = await broker.submit(an_intent(), time_left)
    assert await broker.submit(an_intent(), time_left) == first
    assert len(venue.orders) == 1


@pytest.mark.parametrize("fault", ["accept_then_hang", "accept_then_500", "garbage"])
async def test_an_order_whose_answer_is_lost_is_unknown_and_then_found(
    broker: AlpacaBroker, venue: AlpacaStandIn, fault: str
) -> None:
    venue.faults.append(fault)
    with pytest.raises(UnknownOutcomeError):
        await broker.submit(an_intent(), time_left)
    found = await broker.find("tb7-en-1")
    assert found is not None
    assert found.status is OrderStatus.FILLED
    assert len(venue.orders) == 1


async def test_an_order_that_was_turned_away_unread_was_not_sent(broker: AlpacaBroker, venue: AlpacaStandIn) -> None:
    venue.faults.append("429")
    with pytest.raises(NotSentError):
        await broker.submit(an_intent(), time_left)
    assert await broker.find("tb7-en-1") is None


@pytest.mark.parametrize("fault", ["hang", "500", "503"])
async def test_an_order_without_an_answer_is_unknown_even_if_it_never_arrived(
    broker: AlpacaBroker, venue: AlpacaStandIn, fault: str
) -> None:
    venue.faults.append(fault)
    with pytest.raises(UnknownOutcomeError):
        await broker.submit(an_intent(), time_left)
    assert await broker.find("tb7-en-1") is None


async def test_without_a_connection_the_order_was_not_sent_and_questions_are_for_later(
    broker: AlpacaBroker, venue: AlpacaStandIn
) -> None:
    await venue.stop()
    with pytest.raises(NotSentError):
        await broker.submit(an_intent(), time_left)
    for question in (broker.find("tb7-en-1"), broker.cancel("tb7-en-1"), broker.orders("tb7-", LONG_AGO)):
        with pytest.raises(VenueUnavailableError):
            await question


@pytest.mark.parametrize("fault", ["hang", "429", "500"])
async def test_questions_that_get_no_answer_are_for_later(
    broker: AlpacaBroker, venue: AlpacaStandIn, fault: str
) -> None:
    venue.reading_fault = fault
    for question in (broker.find("tb7-en-1"), broker.orders("tb7-", LONG_AGO), broker.holdings(), broker.connect()):
        with pytest.raises(VenueUnavailableError):
            await question


async def test_a_process_whose_lease_ended_sends_nothing(broker: AlpacaBroker, venue: AlpacaStandIn) -> None:
    with pytest.raises(FencedError, match="tb7-en-1 was held back"):
        await broker.submit(an_intent(), lambda: -0.5)
    assert ("POST", "/v2/orders") not in venue.requests


async def test_orders_of_others_are_neither_listed_nor_touched(broker: AlpacaBroker, venue: AlpacaStandIn) -> None:
    venue.place_foreign_order()
    venue.place_foreign_order("tb70-en-1")
    await broker.submit(an_intent(kind=OrderType.LIMIT, limit="90"), time_left)
    assert [report.client_order_id for report in await broker.orders("tb7-", LONG_AGO)] == ["tb7-en-1"]
    assert venue.named("somebody-else")["status"] == "new"


async def test_orders_lists_what_is_open_sent_since_or_was_seen_open(
    broker: AlpacaBroker, venue: AlpacaStandIn
) -> None:
    for name in ("tb7-en-1", "tb7-en-2"):
        await broker.submit(an_intent(name, kind=OrderType.LIMIT, limit="90"), time_left)
    later = datetime.now(UTC) + timedelta(hours=1)
    assert {report.client_order_id for report in await broker.orders("tb7-", later)} == {"tb7-en-1", "tb7-en-2"}
    venue.fill("tb7-en-1", "2", "90")
    by_name = {report.client_order_id: report.status for report in await broker.orders("tb7-", later)}
    assert by_name == {"tb7-en-1": OrderStatus.FILLED, "tb7-en-2": OrderStatus.OPEN}
    assert {report.client_order_id for report in await broker.orders("tb7-", later)} == {"tb7-en-2"}
    assert len(await broker.orders("tb7-", LONG_AGO)) == 2


async def test_more_orders_than_a_page_holds_are_all_listed(broker: AlpacaBroker, venue: AlpacaStandIn) -> None:
    for number in range(1100):
        venue.place_foreign_order(f"tb7-en-{number}")
    assert len(await broker.orders("tb7-", LONG_AGO)) == 1100


async def test_the_clock_of_the_venue_is_measured(venue: AlpacaStandIn) -> None:
    venue.clock_ahead = timedelta(seconds=7)
    broker = AlpacaBroker(a_live_config("alpaca", "AAPL"))
    assert broker.clock_skew is None
    await broker.connect()
    await broker.aclose()
    assert broker.clock_skew == pytest.approx(7, abs=1)


async def test_keys_that_the_venue_refuses_are_named_by_their_variables_and_never_shown(
    venue: AlpacaStandIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("BOT_KEYS_API_SECRET", "a-wrong-secret-value")
    broker = AlpacaBroker(a_live_config("alpaca", "AAPL"))
    with pytest.raises(InvalidBotError, match="BOT_KEYS_API_KEY and BOT_KEYS_API_SECRET") as raised:
        await broker.connect()
    await broker.aclose()
    said = f"{raised.value!r} {raised.value.__cause__!r} {vars(broker)} {caplog.text}"
    assert KEY not in said
    assert "a-wrong-secret-value" not in said


async def test_without_keys_the_variables_to_set_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ALPACA_API_KEY", "ALPACA_SECRET_KEY", "BOT_KEYS_API_KEY", "BOT_KEYS_API_SECRET"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InvalidBotError, match=r"BOT_KEYS_API_KEY and BOT_KEYS_API_SECRET.*ALPACA_SECRET_KEY"):
        AlpacaBroker(a_live_config("alpaca", "AAPL"))


async def test_an_unknown_symbol_and_a_blocked_account_are_the_rows_fault(venue: AlpacaStandIn) -> None:
    stranger = AlpacaBroker(a_live_config("alpaca", "NOSUCH"))
    with pytest.raises(InvalidBotError, match="NOSUCH"):
        await stranger.connect()
    venue.account["trading_blocked"] = True
    with pytest.raises(InvalidBotError, match="trading_blocked"):
        await stranger.connect()
    await stranger.aclose()


async def test_the_account_names_the_money_and_the_paper_account_is_another(venue: AlpacaStandIn) -> None:
    accounts = [AlpacaBroker(a_live_config("alpaca", "AAPL", testnet=paper)).account for paper in (False, True)]
    assert accounts == ["alpaca:bot-keys", "alpaca-paper:bot-keys"]


async def test_a_broker_that_is_not_connected_says_so(venue: AlpacaStandIn) -> None:
    broker = AlpacaBroker(a_live_config("alpaca", "AAPL"))
    with pytest.raises(TransientError, match="not connected"):
        await broker.submit(an_intent(), time_left)
