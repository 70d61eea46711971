import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from bot_core.models.errors import InvalidBotError
from bot_runtime.brokers.base import VenueUnavailableError
from bot_runtime.brokers.ccxt_abilities import CARRIES_IDS, FOUND_BY_ID, NO_DASHES, STOPS_IN_THE_BOOK, unfit
from bot_runtime.brokers.ccxt_errors import Meaning, meaning, reason
from bot_runtime.brokers.ccxt_known import KnownReports
from bot_runtime.brokers.ccxt_market import find_market, market_rules
from bot_runtime.brokers.ccxt_orders import OrderBook
from bot_runtime.brokers.ccxt_pages import MOST_PAGES, PAGE, every_page
from bot_runtime.brokers.ccxt_reports import Pricing, build_report
from bot_runtime.brokers.credentials import find_credentials
from bot_runtime.domain.order import OrderStatus
from bot_runtime.venues.ccxt_import import ccxt_errors, exchange_class

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
PRICING = Pricing("BTC", "USD", Decimal("0.001"), lambda coin: {"BNB": Decimal(500)}.get(coin, Decimal(0)))

PAIRS = {
    "XXBTZUSD": {
        "altname": "XBTUSD", "wsname": "XBT/USD", "base": "XXBT", "quote": "ZUSD", "pair_decimals": 1,
        "lot_decimals": 8, "costmin": "0.5", "ordermin": "0.0001", "tick_size": "0.1", "status": "online",
        "fees": [[0, 0.26]], "fees_maker": [[0, 0.16]], "leverage_buy": [], "leverage_sell": [],
    },
    "DOTEUR": {
        "altname": "DOTEUR", "wsname": "DOT/EUR", "base": "DOT", "quote": "ZEUR", "pair_decimals": 4,
        "lot_decimals": 8, "costmin": "0.45", "ordermin": "1.5", "tick_size": "0.0001", "status": "cancel_only",
        "fees": [[0, 0.26]], "fees_maker": [[0, 0.16]], "leverage_buy": [], "leverage_sell": [],
    },
}  # fmt: skip
OPEN = {
    "cl_ord_id": "tb7-en-1", "status": "open", "opentm": 1709294400.5, "vol": "0.5", "vol_exec": "0.2",
    "cost": "12000", "fee": "31.2", "price": "60000", "descr": {
        "pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "60000.0",
        "order": "buy 0.5 XBTUSD @ limit 60000",
    },
}  # fmt: skip
CLOSED = OPEN | {"cl_ord_id": "by-hand", "status": "canceled", "closetm": 1709294500.5}
TRADE = {
    "ordertxid": "OPEN-1", "pair": "XXBTZUSD", "time": 1709294401.5, "type": "buy", "ordertype": "limit",
    "price": "60000", "cost": "12000", "fee": "31.2", "vol": "0.2", "trade_id": 77,
}  # fmt: skip


@pytest.fixture
async def kraken() -> Iterator[Any]:
    answers = {
        "AssetPairs": PAIRS,
        "Assets": {},
        "OpenOrders": {"open": {"OPEN-1": OPEN}},
        "ClosedOrders": {"closed": {"CLOSED-1": CLOSED}},
        "QueryTrades": {"TRADE-1": TRADE},
        "QueryOrders": {"OPEN-1": OPEN},
    }
    asked: list[str] = []

    class Offline(exchange_class("kraken")):  # type: ignore[misc]
        async def fetch(self, url: str, *_: Any) -> Any:
            name = url.rpartition("/")[2].partition("?")[0]
            asked.append(name)
            return {"error": [], "result": answers[name]}

    exchange = Offline({"apiKey": "x", "secret": "eHh4", "enableRateLimit": False})
    exchange.asked = asked
    exchange.has["fetchCurrencies"] = False
    await exchange.load_markets()
    return exchange


async def test_a_symbol_finds_its_market_by_whatever_name_the_exchange_has_for_it(kraken: Any) -> None:
    markets = kraken.markets.values()
    assert find_market(markets, "BTCUSD", "kraken")["symbol"] == "BTC/USD"
    assert find_market(markets, "XXBTZUSD", "kraken")["symbol"] == "BTC/USD"
    with pytest.raises(InvalidBotError, match="'DOTEUR' is not open for trading at kraken"):
        find_market(markets, "DOTEUR", "kraken")
    with pytest.raises(InvalidBotError, match="'BTCUSDC' is no market of kraken; near: BTCUSD"):
        find_market(markets, "BTCUSDC", "kraken")


async def test_the_rules_of_a_market_are_read_from_whatever_precision_the_exchange_uses(kraken: Any) -> None:
    rules = market_rules(kraken.markets["BTC/USD"], kraken.precisionMode)
    assert (rules.quantity_step, rules.price_step) == (Decimal("1E-8"), Decimal("0.1"))
    assert (rules.min_quantity, rules.min_notional) == (Decimal("0.0001"), Decimal("0.5"))
    places = {"precision": {"amount": 3, "price": 2}, "limits": {}}
    assert market_rules(places, 2).quantity_step == Decimal("0.001")
    assert market_rules(places, 3).quantity_step == Decimal("0.00000001")


@pytest.mark.parametrize(
    ("market", "most"),
    [
        ({"limits": {"amount": {"max": 9000}}}, "9000"),
        ({"limits": {"amount": {"max": 9000}, "market": {"min": 0, "max": 120.5}}}, "120.5"),
        ({"info": {"filters": [{"filterType": "MARKET_LOT_SIZE", "maxQty": "99.5"}]}}, "99.5"),
        ({"info": {"filters": [{"filterType": "MARKET_LOT_SIZE", "maxQty": "0.00"}]}}, None),
        ({"info": {"filters": [{"filterType": "NOTIONAL"}]}, "limits": {"amount": {"max": None}}}, None),
        ({"info": []}, None),
    ],
)
def test_one_order_holds_no_more_than_the_market_takes_at_once(market: dict[str, Any], most: str | None) -> None:
    rules = market_rules({"precision": {"amount": 2}} | market, 2)
    assert rules.max_quantity == (None if most is None else Decimal(most))
    assert rules.quantity(Decimal("10000.019")) == Decimal(most or "10000.01")
    assert rules.quantity(Decimal("1.019")) == Decimal("1.01")


def test_a_market_of_futures_is_no_spot_market() -> None:
    future = {"id": "BTCUSDT", "base": "BTC", "quote": "USDT", "spot": False, "active": True}
    with pytest.raises(InvalidBotError, match="is no spot market of bybit"):
        find_market([future], "BTCUSDT", "bybit")
    spot = future | {"spot": True, "id": "BTC-USDT"}
    assert find_market([spot, future], "BTCUSDT", "bybit") is spot


async def test_where_an_id_can_not_be_asked_for_the_lists_are_looked_through(kraken: Any) -> None:
    book = OrderBook(kraken, "BTC/USD")
    order = await book.find("tb7-en-1", NOW)
    assert order is not None
    assert (order["id"], book.our_id(order)) == ("OPEN-1", "tb7-en-1")
    assert await book.find("tb7-en-2", NOW) is None
    assert {book.our_id(each) for each in await book.all(NOW, NOW)} == {"tb7-en-1", "by-hand"}
    assert {"OpenOrders", "ClosedOrders"} <= set(kraken.asked)


async def test_an_order_of_another_exchange_becomes_the_same_kind_of_report(kraken: Any) -> None:
    book = OrderBook(kraken, "BTC/USD")
    order = await book.find("tb7-en-1", NOW)
    assert order is not None
    trades = [kraken.parse_trade(TRADE | {"id": "TRADE-1"})]
    report = build_report(order, trades, PRICING, NOW, "tb7-en-1")
    assert (report.status, report.quantity, report.filled) == (OrderStatus.OPEN, Decimal("0.5"), Decimal("0.2"))
    assert (report.average_price, report.commission, report.base_fee) == (60000, Decimal("31.2"), 0)


@pytest.mark.parametrize(("exchange_id", "written"), [("okx", "tb7ZenZ1"), ("bybit", "tb7-en-1")])
def test_ids_are_written_as_the_exchange_takes_them_and_read_back(exchange_id: str, written: str) -> None:
    book = OrderBook(exchange_class(exchange_id)({}), "BTC/USDT")
    assert book.sent_id("tb7-en-1") == written
    assert book.our_id({"clientOrderId": written}) == "tb7-en-1"


def test_an_exchange_whose_orders_can_not_carry_ids_is_not_traded_live() -> None:
    assert unfit("binance") is None
    assert "18 characters" in str(unfit("kraken"))
    assert "client order ids" in str(unfit("bitbank"))
    assert FOUND_BY_ID | STOPS_IN_THE_BOOK | NO_DASHES <= CARRIES_IDS
    assert not any(unfit(exchange_id) for exchange_id in CARRIES_IDS)


@pytest.mark.parametrize(
    ("exchange_id", "why"),
    [
        ("gate", "what to spend"),
        ("coinbase", "what to spend"),
        ("gemini", "no market orders"),
        ("bitfinex", "numbers or UUIDs"),
        ("bitstamp", "every order that is over"),
    ],
)
def test_an_exchange_is_not_traded_live_where_orders_might_be_wrong_or_lost(exchange_id: str, why: str) -> None:
    assert why in str(unfit(exchange_id))


def offline(exchange_id: str, answers: dict[str, Any]) -> Any:
    """An exchange of ccxt with one market, whose requests are kept and answered by the end of their path."""
    asked: list[str] = []

    class Offline(exchange_class(exchange_id)):  # type: ignore[misc]
        async def fetch(self, url: str, _method: str = "GET", _headers: Any = None, body: Any = None) -> Any:
            asked.append(f"{url} {body or ''}")
            return next((answer for name, answer in answers.items() if name in url), {})

    exchange = Offline({"apiKey": "x", "secret": "eHh4", "password": "x", "enableRateLimit": False})
    exchange.asked = asked
    step = {4: (0.0001, 0.01), 2: (4, 2)}[exchange.precisionMode]
    market = {
        "id": "BTCUSDT", "symbol": "BTC/USDT", "base": "BTC", "quote": "USDT", "baseId": "BTC", "quoteId": "USDT",
        "type": "spot", "spot": True, "swap": False, "contract": False, "active": True, "info": {},
        "precision": {"amount": step[0], "price": step[1]}, "limits": {"amount": {}, "price": {}, "cost": {}},
    }  # fmt: skip
    exchange.set_markets([exchange.safe_market_structure(market)])
    exchange.options["createMarketBuyOrderRequiresPrice"] = True
    return exchange


MARKET_BUYERS = ["okx", "mexc", "hashkey", "weex", "deepcoin", "foxbit", "btcturk", "whitebit", "latoken"]


@pytest.mark.parametrize("exchange_id", MARKET_BUYERS)
async def test_a_market_order_to_buy_carries_the_quantity_and_our_id(exchange_id: str) -> None:
    exchange = offline(exchange_id, {})
    name = OrderBook(exchange, "BTC/USDT").sent_id("tb7-en-1")
    with contextlib.suppress(Exception):  # the answer is no order; what was asked counts
        await exchange.create_order("BTC/USDT", "market", "buy", 0.0123, None, {"clientOrderId": name})
    assert "0.0123" in exchange.asked[-1]
    assert name in exchange.asked[-1]
    assert not any(word in exchange.asked[-1] for word in ("quoteOrderQty", "quote_ccy", "cost", "funds"))


@pytest.mark.parametrize("unified", [True, False])
async def test_an_account_of_bybit_that_takes_sums_to_spend_is_refused_its_market_orders(unified: bool) -> None:
    exchange = offline("bybit", {})
    exchange.options |= {"enableUnifiedMargin": unified, "enableUnifiedAccount": unified}
    order = exchange.create_order("BTC/USDT", "market", "buy", 0.0123, None, {"clientOrderId": "tb7-en-1"})
    if unified:
        with contextlib.suppress(Exception):  # the answer is no order
            await order
        assert '"marketUnit":"baseCoin","qty":"0.0123"' in exchange.asked[-1]
        return
    with pytest.raises(ccxt_errors().InvalidOrder) as caught:
        await order
    assert meaning(caught.value, binance=False) is Meaning.REJECTED
    assert not exchange.asked


async def test_lists_that_can_be_narrowed_are_asked_for_one_id() -> None:
    nothing = {"retCode": 0, "result": {"list": []}}
    exchange = offline("bybit", {"/v5/order": nothing})
    exchange.options |= {"enableUnifiedMargin": True, "enableUnifiedAccount": True}
    assert await OrderBook(exchange, "BTC/USDT").find("tb7-en-1", NOW) is None
    assert [url.partition("/v5/order/")[2].partition("?")[0] for url in exchange.asked] == ["realtime", "history"]
    assert all("orderLinkId=tb7-en-1" in url for url in exchange.asked)


class Listing:
    """Orders at the times 1, 2, 3 and so on, listed in pages as exchanges do."""

    def __init__(self, count: int, *, newest_first: bool = False, until: bool = True, since: bool = True) -> None:
        self._times = range(1, count + 1)
        self._newest_first, self._until, self._since = newest_first, until, since
        self.asked = 0

    async def __call__(self, _symbol: str, since: int, limit: int, params: dict[str, Any]) -> list[dict[str, Any]]:
        self.asked += 1
        end = params.get("until", len(self._times)) if self._until else len(self._times)
        times = [time for time in self._times if (time >= since or not self._since) and time <= end]
        page = times[-limit:] if self._newest_first else times[:limit]
        return [{"id": str(time), "timestamp": time} for time in page]


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("count", [0, PAGE - 1, PAGE, PAGE + 1, PAGE * 5 + 7])
async def test_a_list_is_read_to_its_end_from_whichever_end_it_begins(newest_first: bool, count: int) -> None:
    orders = await every_page(Listing(count, newest_first=newest_first), "BTC/USDT", 0, "bitmex")
    assert sorted(int(order["id"]) for order in orders) == list(range(1, count + 1))


async def test_open_orders_beyond_the_first_page_are_found_where_ids_can_not_be_asked_for(kraken: Any) -> None:
    listing = Listing(PAGE * 2)

    async def named(*asked: Any) -> list[dict[str, Any]]:
        return [order | {"clientOrderId": f"tb7-en-{order['id']}"} for order in await listing(*asked)]

    kraken.fetch_open_orders = named
    order = await OrderBook(kraken, "BTC/USD").find(f"tb7-en-{PAGE * 2}", NOW)
    assert order is not None
    kraken.fetch_open_orders = Listing(PAGE * 2, newest_first=True, until=False)
    with pytest.raises(VenueUnavailableError):
        await OrderBook(kraken, "BTC/USD").find("tb7-en-1", NOW)


@pytest.mark.parametrize(
    ("listing", "most"),
    [
        (Listing(PAGE * 3, newest_first=True, until=False), 3),
        (Listing(PAGE * 3, newest_first=False, until=False, since=False), 2),
        (Listing(PAGE * (MOST_PAGES + 1)), MOST_PAGES),
    ],
    ids=["no way back", "no way on", "too long"],
)
async def test_a_list_whose_end_is_not_reached_is_no_answer(listing: Listing, most: int) -> None:
    with pytest.raises(VenueUnavailableError, match="bitmex: its list of BTC/USDT orders can't be read to its end"):
        await every_page(listing, "BTC/USDT", 0, "bitmex")
    assert listing.asked == most


def a_trade(number: str, amount: str, price: str, fee: str, coin: str) -> dict[str, Any]:
    cost = {"cost": float(fee), "currency": coin}
    return {"id": number, "amount": float(amount), "price": float(price), "fee": cost, "timestamp": 1709294401500}


def an_order(**changes: Any) -> dict[str, Any]:
    order = {"id": "9", "status": "closed", "side": "buy", "amount": 1.0, "filled": 1.0, "timestamp": 1709294400000}
    return order | {"cost": 50.0, "average": 50.0} | changes


def test_fees_count_by_the_coin_in_which_they_were_paid() -> None:
    trades = [
        a_trade("1", "0.25", "40", "0.001", "BTC"),
        a_trade("2", "0.75", "60", "0.5", "USD"),
        a_trade("2", "0.75", "60", "0.5", "USD"),
    ]
    report = build_report(an_order(), trades, PRICING, NOW, "x")
    assert (report.filled, report.average_price) == (1, 55)
    assert (report.base_fee, report.commission) == (Decimal("0.001"), Decimal("0.555"))
    third = build_report(an_order(), [a_trade("1", "1", "50", "0.01", "BNB")], PRICING, NOW, "x")
    assert (third.base_fee, third.commission) == (0, 5)
    sold = build_report(an_order(side="sell"), [a_trade("1", "1", "50", "0.001", "BTC")], PRICING, NOW, "x")
    assert (sold.base_fee, sold.commission) == (0, Decimal("0.05"))


def test_an_order_waits_for_its_fills_and_is_estimated_when_they_never_come() -> None:
    soon = datetime.fromtimestamp(1709294400, UTC) + timedelta(seconds=4)
    waiting = build_report(an_order(), [], PRICING, soon, "x")
    assert (waiting.status, waiting.filled, waiting.average_price) == (OrderStatus.OPEN, 1, 50)
    given_up = build_report(an_order(), [], PRICING, soon + timedelta(seconds=1), "x")
    assert (given_up.status, given_up.commission) == (OrderStatus.FILLED, Decimal("0.05"))
    assert given_up.base_fee == Decimal("0.001")


def test_a_report_is_known_until_the_order_changes_and_the_oldest_is_forgotten_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bot_runtime.brokers.ccxt_known._MOST", 2)
    known = KnownReports()
    orders = [an_order(id=str(number)) for number in range(3)]
    for order in orders:
        known.keep(order, build_report(order, [], PRICING, NOW, f"x-{order['id']}"))
    assert [report and report.client_order_id for report in map(known.of, orders)] == [None, "x-1", "x-2"]
    assert known.of(orders[2] | {"filled": 0.5}) is None
    assert known.of(orders[2] | {"status": "canceled"}) is None


@pytest.mark.parametrize(
    ("said", "filled", "status"),
    [
        ("open", 0.0, OrderStatus.OPEN),
        (None, 0.0, OrderStatus.OPEN),
        ("canceling", 0.0, OrderStatus.OPEN),
        ("canceled", 0.0, OrderStatus.CANCELED),
        ("expired", 0.0, OrderStatus.CANCELED),
        ("rejected", 0.0, OrderStatus.REJECTED),
        ("closed", 0.0, OrderStatus.CANCELED),
    ],
)
def test_every_status_of_ccxt_has_a_meaning(said: str | None, filled: float, status: OrderStatus) -> None:
    order = an_order(status=said, filled=filled, cost=0.0, average=None)
    assert build_report(order, [], PRICING, NOW, "x").status is status


@pytest.mark.parametrize(
    ("kind", "text", "binance", "meant"),
    [
        ("RequestTimeout", "binance POST https://x", True, Meaning.UNKNOWN),
        ("ExchangeNotAvailable", "binance POST https://x 502 Bad Gateway", True, Meaning.UNKNOWN),
        ("ExchangeError", "odd", False, Meaning.UNKNOWN),
        ("BadResponse", 'binance {"code":-1006,"msg":"unknown"}', True, Meaning.UNKNOWN),
        ("OperationFailed", 'binance {"code":-1008,"msg":"overloaded"}', True, Meaning.NOT_SENT),
        ("OnMaintenance", "kraken", False, Meaning.NOT_SENT),
        ("OnMaintenance", "gemini POST https://x 503 Service Unavailable", False, Meaning.UNKNOWN),
        ("DDoSProtection", "kraken", False, Meaning.NOT_SENT),
        ("InvalidNonce", 'binance {"code":-1021,"msg":"outside"}', True, Meaning.LATE),
        ("InsufficientFunds", 'binance {"code":-2010,"msg":"insufficient"}', True, Meaning.REJECTED),
        ("InvalidOrder", "okx refuses", False, Meaning.REJECTED),
        ("OrderNotFound", "okx", False, Meaning.NO_ORDER),
        ("DuplicateOrderId", "okx", False, Meaning.DUPLICATE),
        ("InvalidOrder", 'binance {"code":-2010,"msg":"Duplicate order sent."}', True, Meaning.DUPLICATE),
        ("DDoSProtection", 'binance {"code":-2015,"msg":"Invalid API-key"}', True, Meaning.KEY),
        ("PermissionDenied", "okx", False, Meaning.KEY),
    ],
)
def test_what_an_error_means_for_an_order(kind: str, text: str, binance: bool, meant: Meaning) -> None:
    assert meaning(getattr(ccxt_errors(), kind)(text), binance=binance) is meant


def test_a_reason_is_short_and_shows_no_address() -> None:
    assert reason(Exception('binance {"code":-1013,"msg":"Filter failure: NOTIONAL"}')) == "Filter failure: NOTIONAL"
    assert "signature" not in reason(Exception("binance GET https://a/b?timestamp=1&signature=abc 502"))
    assert len(reason(Exception("x" * 1000))) == 200


def test_keys_are_found_by_the_secrets_name_then_the_exchanges_then_older_names() -> None:
    every = {
        "BOT_KEYS_API_KEY": "a1", "BOT_KEYS_API_SECRET": "a2", "BINANCE_API_KEY": "b1", "BINANCE_API_SECRET": "b2",
        "BINANCE_KEY": "c1", "BINANCE_SECRET": "c2", "API_KEY": "d1", "API_SECRET": "d2",
    }  # fmt: skip
    for name in ("a", "b", "c", "d"):
        found = find_credentials("binance", "bot-keys", testnet=False, environment=every)
        assert (found.key, found.secret) == (f"{name}1", f"{name}2")
        every = dict(list(every.items())[2:])
    with pytest.raises(InvalidBotError, match=r"BINANCE_TESTNET_API_KEY and .*BINANCE_PAPER_KEY and") as caught:
        find_credentials("binance", "bot-keys", testnet=True, environment={"BINANCE_TESTNET_API_KEY": "half-a-pair"})
    assert "half-a-pair" not in str(caught.value)


@pytest.mark.parametrize(
    "keys",
    [
        ("API_KEY", "API_SECRET"),
        ("BOT_KEYS_API_KEY", "BOT_KEYS_API_SECRET"),
        ("BINANCE_API_KEY", "BINANCE_API_SECRET"),
        ("BINANCE_KEY", "BINANCE_SECRET"),
    ],
)
def test_a_secret_may_hold_its_keys_under_any_of_the_names(keys: tuple[str, str]) -> None:
    pod = {f"BOT_KEYS_{key}": value for key, value in zip(keys, ("a1", "a2"), strict=True)}
    found = find_credentials(
        "binance", "bot-keys", testnet=False, environment=pod | {"API_KEY": "x", "API_SECRET": "y"}
    )
    assert (found.key, found.secret) == ("a1", "a2")


def test_a_password_belongs_to_the_pair_beside_which_it_is_set() -> None:
    environment = {"MY_KEYS_API_KEY": "a1", "MY_KEYS_API_SECRET": "a2", "MY_KEYS_PASSWORD": "a3", "PASSWORD": "z"}
    found = find_credentials("okx", "my.keys", testnet=False, environment=environment)
    assert found.password == "a3"
    assert not any(value in repr(found) for value in ("a1", "a2", "a3"))
