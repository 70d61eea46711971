import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from bot_core.models.errors import InvalidBotError, TransientError
from bot_runtime.domain.bar import Bar
from bot_runtime.feeds import json_client
from bot_runtime.feeds.hub import MarketHub
from bot_runtime.feeds.pacer import Pacer
from bot_runtime.feeds.registry import build_feed
from bot_runtime.feeds.yahoo import yahoo_symbol
from support.data_services import DataServices, yahoo_result
from support.exchange.market_data import market_data_of
from support.exchange.venue import Venue
from support.live_feeds import NOW, eventually, hurried, take

HOUR = timedelta(hours=1)
END = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
async def services(monkeypatch):
    market = market_data_of(Venue())
    market.hold(NOW)
    async with DataServices(market) as services:
        monkeypatch.setenv("TRADINGBOT_YAHOO_URL", services.url)
        monkeypatch.setenv("TRADINGBOT_COINGECKO_URL", services.url)
        yield services


@pytest.fixture
async def feed():
    feeds = []
    hub = MarketHub(sleep=hurried)

    def made(source, symbol="BTCUSDT", interval="1h", **data):
        section = {"data_source": source, "interval": interval, **data}
        feeds.append(build_feed(section, symbol, hub=hub))
        return feeds[-1]

    yield made
    for opened in feeds:
        await opened.aclose()


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def row(time, price=10.0, volume=5.0):
    return (at(time), price, price, price, price, volume)


async def yahoo_bars(services, feed, rows, interval, **meta):
    services.results["AAPL"] = yahoo_result(rows, **meta)
    return [f"{bar.time:%Y-%m-%d %H:%M}" for bar in await feed("yahoo", "AAPL", interval).history(END, 10)]


@pytest.mark.parametrize(
    ("symbol", "name"),
    [("BTCUSDT", "BTC-USD"), ("ETHUSDC", "ETH-USD"), ("SOLFDUSD", "SOL-USD"), ("BTCUSD", "BTC-USD"),
     ("EURUSD", "EURUSD=X"), ("AAPL", "AAPL"), ("BTC-USD", "BTC-USD"), ("EURUSD=X", "EURUSD=X"), ("USDT", "USDT")],
)  # fmt: skip
def test_symbols_get_the_names_that_yahoo_has_for_them(symbol, name):
    assert yahoo_symbol(symbol) == name


async def test_the_last_price_that_yahoo_appends_is_no_bar(services, feed):
    services.market.hold(at("2024-03-05T23:00:00"))
    rows = [row("2024-03-05T19:30"), row("2024-03-05T20:30"), row("2024-03-05T21:00")]
    assert await yahoo_bars(services, feed, rows, "1h", regularMarketTime=int(rows[-1][0].timestamp())) == [
        "2024-03-05 19:30",
        "2024-03-05 20:30",
    ]


async def test_rows_without_prices_are_missing_and_not_made_up(services, feed):
    rows = [row("2024-03-05T08:00"), row("2024-03-05T09:00", price=None), row("2024-03-05T10:00")]
    assert await yahoo_bars(services, feed, rows, "1h") == ["2024-03-05 08:00", "2024-03-05 10:00"]


@pytest.mark.parametrize(
    ("interval", "stamps", "opens"),
    [
        # Clocks in New York change on 10 March: sessions open at 14:30 UTC before it, at 13:30 after it.
        ("1d", ["2024-03-08T14:30", "2024-03-11T13:30", "2024-03-12T13:30"],
         ["2024-03-08", "2024-03-11", "2024-03-12"]),
        ("1w", ["2024-03-04T05:00", "2024-03-11T04:00", "2024-03-18T04:00"],
         ["2024-03-04", "2024-03-11", "2024-03-18"]),
        ("1M", ["2024-02-01T05:00", "2024-03-01T05:00", "2024-04-01T04:00"],
         ["2024-02-01", "2024-03-01", "2024-04-01"]),
    ],
)  # fmt: skip
async def test_long_bars_have_the_date_of_their_exchange(services, feed, interval, stamps, opens):
    services.market.hold(at("2024-05-01T00:00:00"))
    rows = [row(stamp) for stamp in stamps]
    bars = await yahoo_bars(services, feed, rows, interval, zone="America/New_York")
    assert bars == [f"{text} 00:00" for text in opens]


async def test_the_row_of_today_does_not_replace_the_bar_of_its_week(services, feed):
    services.market.hold(at("2024-03-11T00:30:00"))
    rows = [row("2024-03-04T05:00", price=7.0), row("2024-03-08T21:00", price=8.0)]
    services.results["AAPL"] = yahoo_result(rows, zone="America/New_York")
    (bar,) = await feed("yahoo", "AAPL", "1w").history(END, 5)
    assert bar == Bar(at("2024-03-04"), 7.0, 7.0, 7.0, 7.0, 5.0)


async def test_a_young_share_has_the_bars_that_it_has(services, feed):
    services.market.listed = NOW - timedelta(days=30)
    assert len(await feed("yahoo", "AAPL", "1d").history(END, 200)) == 29


async def test_a_closed_stock_exchange_is_no_stale_feed(services, feed):
    opened = feed("yahoo", "AAPL", "30m")
    await opened.newest()
    services.results["AAPL"] = yahoo_result([row("2024-03-05T11:30")])
    services.market.hold(NOW + timedelta(hours=8))
    asked = len(services.requests)
    await eventually(lambda: len(services.requests) > asked + 3, "more requests")
    assert opened.trouble() is None


async def test_what_a_service_does_not_know_is_an_invalid_bot_and_says_what_is_allowed(services, feed):
    with pytest.raises(InvalidBotError, match=r"'XYZ' is unknown to Yahoo.* allowed: a symbol such as AAPL"):
        await feed("yahoo", "XYZ").newest()
    with pytest.raises(InvalidBotError, match="'4h' is no interval of Yahoo; allowed: 1m, 2m"):
        await feed("yahoo", "AAPL", "4h").newest()
    with pytest.raises(InvalidBotError, match="'nocoin' is unknown to CoinGecko; allowed: the id in the address"):
        await feed("coingecko", coin_id="nocoin").newest()
    with pytest.raises(InvalidBotError, match="'5m' is no interval of CoinGecko; allowed: 30m, 1h, 4h, 1d"):
        await feed("coingecko", interval="5m").newest()


@pytest.mark.parametrize(("interval", "candle"), [("1h", "30m"), ("1d", "4h")])
async def test_bars_of_coingecko_are_made_of_whole_groups_of_candles(services, feed, interval, candle):
    opened = feed("coingecko", interval=interval)
    last = (await opened.history(END, 3))[-1]
    step = HOUR if interval == "1h" else timedelta(days=1)
    part = timedelta(minutes=30) if interval == "1h" else timedelta(hours=4)
    parts = [services.market.bar("BTCUSDT", candle, last.time + index * part) for index in range(step // part)]
    assert last.time + step <= NOW
    assert (last.open, last.close) == (parts[0].open, parts[-1].close)
    assert (last.high, last.low) == (max(bar.high for bar in parts), min(bar.low for bar in parts))
    assert last.volume == 0
    assert "carry no volume" in opened.notices[0].message


async def test_a_group_that_lacks_a_candle_is_no_bar(services, feed):
    services.lost = {at("2024-03-05T10:00")}  # the close of a candle
    assert [bar.time.hour for bar in await feed("coingecko").history(END, 3)] == [8, 10, 11]


async def test_a_candle_that_was_open_when_its_answer_was_cached_is_not_taken(services, feed):
    services.cached = timedelta(minutes=12)
    services.market.hold(at("2024-03-05T12:02"))
    (bar,) = await feed("coingecko", interval="30m").history(END, 1)
    assert bar == services.market.bar("BTCUSDT", "30m", at("2024-03-05T11:00"))._replace(volume=0.0)


async def test_a_refusal_holds_back_every_market_of_the_service(services, monkeypatch):
    waits = []

    async def remembered(seconds):
        waits.append(seconds)
        await asyncio.sleep(0)

    pacer = Pacer(1.0, remembered)
    first = json_client.JsonClient("Yahoo", services.url, pacer)
    second = json_client.JsonClient("Yahoo", services.url, pacer)
    services.failing = [429]
    with pytest.raises(TransientError, match="Yahoo: 429 Too Many Requests"):
        await first.get("/api/v3/ping", {})
    await second.get("/api/v3/ping", {})
    assert waits[-1] == pytest.approx(60, abs=1)
    await first.aclose()
    await second.aclose()


async def test_errors_of_a_service_delay_bars_and_lose_none(services, feed):
    opened = feed("coingecko", interval="30m")
    newest = await opened.newest()
    bars = opened.bars(newest)
    services.failing = [500, 502, 503]
    await services.market.advance(3600)
    found = await take(bars, 2)
    assert [bar.time for bar in found] == [newest + HOUR / 2, newest + HOUR]


async def test_requests_to_a_service_leave_one_after_the_other():
    waits = []

    async def remembered(seconds):
        waits.append(round(seconds))
        await asyncio.sleep(0)

    pacer = Pacer(6.0, remembered)
    await asyncio.gather(*(pacer.turn() for _ in range(4)))
    assert waits == [6, 12, 18]
