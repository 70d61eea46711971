from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from bot_core.models.errors import InvalidBotError
from bot_runtime.brokers import ibkr
from bot_runtime.brokers.base import FencedError, NotSentError, UnknownOutcomeError, VenueUnavailableError
from bot_runtime.brokers.ibkr import IbkrBroker
from bot_runtime.domain.bar import epoch_ms
from bot_runtime.domain.order import OrderReport, OrderStatus, OrderType, Purpose, Side, client_order_id
from bot_runtime.venues import ibkr_session
from support.ibkr import GatewayStandIn
from support.live import a_live_config, an_intent, time_left

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> GatewayStandIn:
    stand_in = GatewayStandIn()
    monkeypatch.setattr(ibkr_session, "IB", stand_in.make)
    monkeypatch.setattr(ibkr_session, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(ibkr_session, "_FIRST_RETRY", 0.0)
    monkeypatch.setattr(ibkr, "ACKNOWLEDGE_SECONDS", 0.2)
    monkeypatch.setattr(ibkr, "CANCEL_SECONDS", 0.2)
    for name in ("HOST", "PORT", "PAPER_PORT", "CLIENT_ID", "ACCOUNT", "TIMEZONE"):
        monkeypatch.delenv(f"IBKR_{name}", raising=False)
    return stand_in


@pytest.fixture
async def broker(gateway: GatewayStandIn) -> AsyncIterator[IbkrBroker]:
    made = IbkrBroker(a_live_config("ibkr", "AAPL"))
    await made.connect()
    yield made
    await made.aclose()


async def found(broker: IbkrBroker, name: str = "tb7-en-1") -> OrderReport:
    report = await broker.find(name)
    assert report is not None
    return report


async def test_rules_are_whole_shares_and_cents_or_the_ticks_of_a_pair(gateway: GatewayStandIn) -> None:
    rules = {}
    for symbol in ("AAPL", "BRKB", "EURUSD"):
        broker = IbkrBroker(a_live_config("ibkr", symbol))
        rules[symbol] = await broker.connect()
        await broker.aclose()
    assert rules["AAPL"] == rules["BRKB"]
    assert rules["AAPL"].quantity(Decimal("1.9")) == Decimal(1)
    assert rules["AAPL"].price(Decimal("100.019")) == Decimal("100.01")
    assert rules["AAPL"].refusal(Decimal(0), Decimal(100)) is not None
    assert rules["EURUSD"].price(Decimal("1.10509")) == Decimal("1.10505")


async def test_a_market_order_fills_and_carries_our_name_as_its_reference(
    broker: IbkrBroker, gateway: GatewayStandIn
) -> None:
    await broker.submit(an_intent(), time_left)
    report = await found(broker)
    assert (report.status, report.filled, report.average_price) == (OrderStatus.FILLED, Decimal(2), Decimal(100))
    assert (report.quantity, report.commission, report.base_fee) == (Decimal(2), Decimal(1), 0)
    assert gateway.references() == ["tb7-en-1"]
    assert gateway.book[0].order.tif == "DAY"
    assert await broker.holdings() == Decimal(2)


async def test_a_limit_order_waits_and_fills_in_parts_that_add_up(broker: IbkrBroker, gateway: GatewayStandIn) -> None:
    report = await broker.submit(an_intent(kind=OrderType.LIMIT, quantity="4", limit="90"), time_left)
    assert (report.status, report.filled, report.average_price) == (OrderStatus.OPEN, 0, None)
    assert (gateway.book[0].order.tif, gateway.book[0].order.lmtPrice) == ("GTC", 90.0)
    gateway.fill("tb7-en-1", 1, 90.0)
    gateway.fill("tb7-en-1", 1, 88.0)
    part = await found(broker)
    assert (part.status, part.filled, part.average_price) == (OrderStatus.OPEN, Decimal(2), Decimal(89))
    gateway.fill("tb7-en-1", 2, 88.0)
    whole = await found(broker)
    assert (whole.status, whole.filled, whole.average_price) == (OrderStatus.FILLED, Decimal(4), Decimal("88.5"))
    assert whole.commission == Decimal(3)


async def test_a_stop_order_waits_for_its_price(broker: IbkrBroker, gateway: GatewayStandIn) -> None:
    stop = an_intent("tb7-pr-1", side=Side.SELL, kind=OrderType.STOP, stop="95")
    assert (await broker.submit(stop, time_left)).status is OrderStatus.OPEN
    assert (gateway.book[0].order.auxPrice, gateway.book[0].order.tif) == (95.0, "GTC")
    gateway.move_to(94.0)
    report = await found(broker, "tb7-pr-1")
    assert (report.status, report.average_price) == (OrderStatus.FILLED, Decimal(94))


async def test_an_order_outside_trading_hours_is_open_until_it_fills(
    broker: IbkrBroker, gateway: GatewayStandIn
) -> None:
    gateway.market_open = False
    assert (await broker.submit(an_intent(), time_left)).status is OrderStatus.OPEN
    assert (await found(broker)).status is OrderStatus.OPEN
    gateway.fill("tb7-en-1", 2, 101.0)
    assert (await found(broker)).status is OrderStatus.FILLED


async def test_a_note_that_the_venue_adjusted_an_order_does_not_make_it_canceled(
    broker: IbkrBroker, gateway: GatewayStandIn
) -> None:
    gateway.faults.append("tif_preset")
    report = await broker.submit(an_intent(kind=OrderType.LIMIT, limit="90"), time_left)
    assert report.status is OrderStatus.OPEN
    assert (await found(broker)).status is OrderStatus.OPEN


async def test_a_canceled_order_keeps_what_it_had_filled(broker: IbkrBroker, gateway: GatewayStandIn) -> None:
    await broker.submit(an_intent(kind=OrderType.LIMIT, limit="90"), time_left)
    gateway.fill("tb7-en-1", 1, 90.0)
    report = await broker.cancel("tb7-en-1")
    assert report is not None
    assert (report.status, report.filled, report.quantity) == (OrderStatus.CANCELED, Decimal(1), Decimal(2))
    assert await broker.cancel("tb7-en-1") == report


async def test_a_cancel_that_comes_too_late_gives_the_fill(
    broker: IbkrBroker, gateway: GatewayStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    await broker.submit(an_intent(kind=OrderType.LIMIT, limit="90"), time_left)
    cancel = gateway.cancel

    def filled_first(client: Any, number: int) -> None:
        gateway.fill("tb7-en-1", 2, 90.0)
        cancel(client, number)

    monkeypatch.setattr(gateway, "cancel", filled_first)
    report = await broker.cancel("tb7-en-1")
    assert report is not None
    assert (report.status, report.filled) == (OrderStatus.FILLED, Decimal(2))


async def test_an_order_that_the_venue_does_not_know_is_none(broker: IbkrBroker) -> None:
    name = client_order_id(7, Purpose.ENTRY, datetime.now(UTC))
    assert await broker.find(name) is None
    assert await broker.cancel(name) is None


async def test_an_order_that_may_be_of_a_day_that_the_gateway_forgot_is_not_called_unknown(
    broker: IbkrBroker, gateway: GatewayStandIn
) -> None:
    bar = datetime.now(UTC) - timedelta(days=2)
    name = client_order_id(7, Purpose.ENTRY, bar)
    await broker.submit(an_intent(name), time_left)
    assert (await found(broker, name)).status is OrderStatus.FILLED
    gateway.forget()
    gateway.drop_connections()
    with pytest.raises(VenueUnavailableError, match="of an earlier day"):
        await broker.find(name)


@pytest.mark.parametrize(
    ("interval", "hours_ago", "known"), [("1h", 2, True), ("1h", 30, False), ("1d", 30, True), ("1d", 60, False)]
)
async def test_the_memory_of_a_gateway_begins_at_midnight_of_its_zone(
    interval: str, hours_ago: int, known: bool
) -> None:
    now = datetime(2026, 3, 4, 12, tzinfo=UTC)
    memory = ibkr.GatewayMemory(interval, {"IBKR_TIMEZONE": "UTC"})
    assert memory.holds(f"tb7-en-{epoch_ms(now - timedelta(hours=hours_ago))}", now) is known


async def test_another_process_finds_open_and_finished_orders_by_name(
    broker: IbkrBroker, gateway: GatewayStandIn
) -> None:
    await broker.submit(an_intent("tb7-en-1"), time_left)
    await broker.submit(an_intent("tb7-en-2", kind=OrderType.LIMIT, limit="90"), time_left)
    done, waiting = await found(broker), await found(broker, "tb7-en-2")
    gateway.drop_connections()
    after_restart = IbkrBroker(a_live_config("ibkr", "AAPL", connection_params={"client_id": 2}))
    await after_restart.connect()
    assert await found(after_restart) == done
    assert (await found(after_restart, "tb7-en-2")).broker_order_id == waiting.broker_order_id
    await after_restart.aclose()


async def test_an_order_of_another_client_id_can_not_be_canceled_and_the_id_to_use_is_named(
    broker: IbkrBroker, gateway: GatewayStandIn
) -> None:
    await broker.submit(an_intent(kind=OrderType.LIMIT, limit="90"), time_left)
    other = IbkrBroker(a_live_config("ibkr", "AAPL", connection_params={"client_id": 2}))
    await other.connect()
    with pytest.raises(InvalidBotError, match="client id 1"):
        await other.cancel("tb7-en-1")
    await other.aclose()
    assert gateway.named("tb7-en-1").status == "Submitted"


async def test_a_refused_order_is_rejected_with_the_venues_reason(broker: IbkrBroker, gateway: GatewayStandIn) -> None:
    gateway.faults.append("reject")
    report = await broker.submit(an_intent(), time_left)
    assert report.status is OrderStatus.REJECTED
    assert "insufficient funds" in report.reason
    assert (await found(broker)).status is OrderStatus.REJECTED


async def test_a_gateway_that_is_read_only_rejects_with_its_own_words(
    broker: IbkrBroker, gateway: GatewayStandIn
) -> None:
    gateway.faults.append("read_only")
    report = await broker.submit(an_intent(), time_left)
    assert report.status is OrderStatus.REJECTED
    assert "Read-Only" in report.reason


async def test_a_number_that_the_gateway_has_seen_before_means_that_nothing_was_sent(
    broker: IbkrBroker, gateway: GatewayStandIn
) -> None:
    gateway.faults.append("duplicate_id")
    with pytest.raises(NotSentError):
        await broker.submit(an_intent("tb7-en-1"), time_left)
    assert await broker.find("tb7-en-1") is None
    await broker.submit(an_intent("tb7-en-1"), time_left)
    assert gateway.references() == ["tb7-en-1"]


async def test_a_name_that_was_used_before_gives_the_order_that_is_there(
    broker: IbkrBroker, gateway: GatewayStandIn
) -> None:
    await broker.submit(an_intent(), time_left)
    gateway.drop_connections()
    again = await broker.submit(an_intent(), time_left)
    assert again.status is OrderStatus.FILLED
    assert gateway.references() == ["tb7-en-1"]


@pytest.mark.parametrize("fault", ["accept_silently", "accept_then_drop"])
async def test_an_order_whose_answer_is_lost_is_unknown_and_then_found(
    broker: IbkrBroker, gateway: GatewayStandIn, fault: str
) -> None:
    gateway.faults.append(fault)
    with pytest.raises(UnknownOutcomeError):
        await broker.submit(an_intent(kind=OrderType.LIMIT, limit="90"), time_left)
    assert (await found(broker)).status is OrderStatus.OPEN
    assert gateway.references() == ["tb7-en-1"]


@pytest.mark.parametrize("fault", ["silence", "drop"])
async def test_an_order_without_an_answer_is_unknown_even_if_it_never_arrived(
    broker: IbkrBroker, gateway: GatewayStandIn, fault: str
) -> None:
    gateway.faults.append(fault)
    with pytest.raises(UnknownOutcomeError):
        await broker.submit(an_intent(), time_left)
    assert await broker.find("tb7-en-1") is None
    assert await broker.orders("tb7-", LONG_AGO) == []


async def test_without_a_gateway_the_order_was_not_sent_and_questions_are_for_later(
    broker: IbkrBroker, gateway: GatewayStandIn
) -> None:
    gateway.down = True
    gateway.drop_connections()
    with pytest.raises(NotSentError, match=r"127\.0\.0\.1:4001"):
        await broker.submit(an_intent(), time_left)
    for question in (broker.find("x"), broker.cancel("x"), broker.orders("x", LONG_AGO), broker.holdings()):
        with pytest.raises(VenueUnavailableError):
            await question
    gateway.down = False
    assert (await broker.submit(an_intent(), time_left)).client_order_id == "tb7-en-1"


async def test_a_gateway_that_lost_the_venue_gets_no_order_until_it_has_it_again(
    broker: IbkrBroker, gateway: GatewayStandIn
) -> None:
    gateway.tell_all(1100, "Connectivity between IB and Trader Workstation has been lost.")
    with pytest.raises(NotSentError, match="lost its connection"):
        await broker.submit(an_intent(), time_left)
    with pytest.raises(VenueUnavailableError):
        await broker.find("tb7-en-1")
    gateway.tell_all(1101, "Connectivity between IB and Trader Workstation has been restored - data lost.")
    await broker.submit(an_intent(), time_left)
    assert gateway.references() == ["tb7-en-1"]


async def test_an_unanswered_question_is_for_later_and_begins_with_a_new_connection(
    broker: IbkrBroker, gateway: GatewayStandIn
) -> None:
    gateway.silent = True
    with pytest.raises(VenueUnavailableError, match="no answer"):
        await broker.find("tb7-en-1")
    gateway.silent = False
    assert await broker.find("tb7-en-1") is None
    assert gateway.connections == 2


async def test_a_process_whose_lease_ended_sends_nothing(broker: IbkrBroker, gateway: GatewayStandIn) -> None:
    with pytest.raises(FencedError, match="tb7-en-1 was held back"):
        await broker.submit(an_intent(), lambda: -0.5)
    assert gateway.references() == []


async def test_orders_of_others_are_neither_listed_nor_touched(broker: IbkrBroker, gateway: GatewayStandIn) -> None:
    gateway.place_foreign_order()
    gateway.place_foreign_order("")
    gateway.place_foreign_order("tb70-en-1")
    await broker.submit(an_intent("tb7-en-1", kind=OrderType.LIMIT, limit="90"), time_left)
    await broker.submit(an_intent("tb7-en-2"), time_left)
    await broker.cancel("tb7-en-1")
    listed = {report.client_order_id: report.status for report in await broker.orders("tb7-", LONG_AGO)}
    assert listed == {"tb7-en-1": OrderStatus.CANCELED, "tb7-en-2": OrderStatus.FILLED}
    assert {placed.status for placed in gateway.book if placed.order.clientId == 99} == {"Submitted"}


async def test_orders_since_a_time_leaves_out_what_was_over_before(broker: IbkrBroker, gateway: GatewayStandIn) -> None:
    await broker.submit(an_intent("tb7-en-1"), time_left)
    await broker.submit(an_intent("tb7-en-2", kind=OrderType.LIMIT, limit="90"), time_left)
    later = datetime.now(UTC) + timedelta(hours=1)
    assert [report.client_order_id for report in await broker.orders("tb7-", later)] == ["tb7-en-2"]


async def test_a_filled_order_stays_open_until_its_commission_came_or_is_long_overdue(
    gateway: GatewayStandIn,
) -> None:
    ahead = timedelta(0)
    broker = IbkrBroker(a_live_config("ibkr", "AAPL", commission=0.001), lambda: datetime.now(UTC) + ahead)
    await broker.connect()
    gateway.commission = None
    for name in ("tb7-en-1", "tb7-en-2"):
        await broker.submit(an_intent(name), time_left)
        assert (await found(broker, name)).status is OrderStatus.OPEN
    placed = gateway.named("tb7-en-1")
    gateway.charge(placed, placed.executions[0])
    assert (await found(broker)).status is OrderStatus.FILLED
    ahead = timedelta(minutes=1)
    overdue = await found(broker, "tb7-en-2")
    assert (overdue.status, overdue.commission) == (OrderStatus.FILLED, Decimal("0.2"))
    await broker.aclose()


async def test_a_commission_in_another_currency_is_reckoned_from_the_rows_rate(
    broker: IbkrBroker, gateway: GatewayStandIn
) -> None:
    gateway.commission_currency = "CHF"
    await broker.submit(an_intent(), time_left)
    assert (await found(broker)).commission == Decimal("0.2")


async def test_bots_of_a_process_share_one_connection_which_the_last_one_closes(gateway: GatewayStandIn) -> None:
    brokers = [IbkrBroker(a_live_config("ibkr", symbol)) for symbol in ("AAPL", "BRKB")]
    for broker in brokers:
        await broker.connect()
    assert gateway.connections == 1
    await brokers[0].aclose()
    assert len(gateway.clients) == 1
    await brokers[1].aclose()
    assert gateway.clients == []


async def test_where_to_connect_comes_from_the_environment_and_only_the_client_id_from_the_row(
    gateway: GatewayStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IBKR_HOST", "gateway.example")
    monkeypatch.setenv("IBKR_PORT", "4444")
    given = {"host": "elsewhere.example", "port": 1, "client_id": 12}
    broker = IbkrBroker(a_live_config("ibkr", "AAPL", connection_params=given))
    await broker.connect()
    (client,) = gateway.clients
    assert (client.host, client.port, client.clientId) == ("gateway.example", 4444, 12)
    assert broker.account == "ibkr:gateway.example:4444"
    await broker.aclose()


@pytest.mark.parametrize(
    ("name", "value"), [("IBKR_PORT", "no"), ("IBKR_PORT", "70000"), ("IBKR_CLIENT_ID", "0"), ("IBKR_TIMEZONE", "Mars")]
)
async def test_a_setting_that_is_not_allowed_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidBotError, match=rf"{value!r}.*allowed"):
        IbkrBroker(a_live_config("ibkr", "AAPL"))


async def test_a_client_id_that_is_in_use_is_said_and_tried_again(gateway: GatewayStandIn) -> None:
    gateway.refused_clients.add(1)
    broker = IbkrBroker(a_live_config("ibkr", "AAPL"))
    with pytest.raises(VenueUnavailableError, match="client id is already in use"):
        await broker.connect()
    gateway.refused_clients.clear()
    await broker.connect()
    await broker.aclose()


@pytest.mark.parametrize(("account", "testnet"), [("DU1234567", False), ("U1234567", True)])
async def test_a_login_of_the_other_kind_of_account_is_never_traded(
    gateway: GatewayStandIn, account: str, testnet: bool
) -> None:
    gateway.accounts = [account]
    broker = IbkrBroker(a_live_config("ibkr", "AAPL", testnet=testnet))
    with pytest.raises(InvalidBotError, match=r"broker\.testnet"):
        await broker.connect()
    await broker.aclose()


async def test_of_several_accounts_one_must_be_named(gateway: GatewayStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway.accounts = ["U1", "U2"]
    broker = IbkrBroker(a_live_config("ibkr", "AAPL"))
    with pytest.raises(InvalidBotError, match="IBKR_ACCOUNT"):
        await broker.connect()
    monkeypatch.setenv("IBKR_ACCOUNT", "U2")
    await broker.connect()
    await broker.submit(an_intent(), time_left)
    assert gateway.book[0].order.account == "U2"
    await broker.aclose()


async def test_an_unknown_symbol_is_the_rows_fault(gateway: GatewayStandIn) -> None:
    broker = IbkrBroker(a_live_config("ibkr", "NOSUCH"))
    with pytest.raises(InvalidBotError, match="NOSUCH"):
        await broker.connect()
    await broker.aclose()


async def test_what_is_held_of_a_pair_can_not_be_told(gateway: GatewayStandIn) -> None:
    broker = IbkrBroker(a_live_config("ibkr", "EURUSD"))
    await broker.connect()
    assert await broker.holdings() is None
    await broker.aclose()


async def test_the_clock_of_the_venue_is_measured(gateway: GatewayStandIn) -> None:
    gateway.clock_ahead = timedelta(seconds=7)
    broker = IbkrBroker(a_live_config("ibkr", "AAPL"))
    await broker.connect()
    await broker.aclose()
    assert broker.clock_skew == pytest.approx(7, abs=1)


async def test_a_gateway_that_is_away_is_not_asked_again_at_once(
    gateway: GatewayStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ibkr_session, "_FIRST_RETRY", 60.0)
    gateway.down = True
    broker = IbkrBroker(a_live_config("ibkr", "AAPL"))
    for _ in range(3):
        with pytest.raises(VenueUnavailableError, match="no connection"):
            await broker.connect()
    await broker.aclose()
    assert gateway.attempts == 1
