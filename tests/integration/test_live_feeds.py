import asyncio
from datetime import timedelta

import pytest
import structlog
from structlog.testing import LogCapture

from bot_core.models.errors import InvalidBotError, TransientError
from bot_runtime.domain.bar import Bar, from_epoch_ms
from bot_runtime.feeds import ccxt_source, freshness
from bot_runtime.feeds.hub import MarketHub
from bot_runtime.feeds.registry import build_feed
from bot_runtime.feeds.shared_market import Patience
from support.exchange.faults import Fault, FaultKind
from support.live_feeds import NOW, SYMBOL, eventually, hurried, live_world, take

MINUTE = timedelta(minutes=1)
NEWEST = NOW.replace(minute=59, hour=11, second=0)


@pytest.fixture
async def world(monkeypatch):
    async with live_world(monkeypatch) as world:
        yield world


@pytest.fixture
async def polled(monkeypatch):
    """A process whose waiting takes no time, so that it polls at once."""
    monkeypatch.setattr(ccxt_source, "CLOCK_SECONDS", 0.0)
    async with live_world(monkeypatch, hub=MarketHub(sleep=hurried)) as world:
        yield world


def minutes(world, first, count):
    return [world.market.bar(SYMBOL, "1m", first + index * MINUTE) for index in range(count)]


async def subscribed(world, count=1):
    await eventually(lambda: len(world.market.subscriptions) >= count, "the subscription")


async def test_closed_bars_come_by_the_stream_as_they_close(world):
    feed = world.feed()
    assert await feed.newest() == NEWEST
    bars = feed.bars(NEWEST)
    await subscribed(world)
    asked = world.asked()
    await world.market.advance(180)
    assert await take(bars, 3) == minutes(world, NEWEST + MINUTE, 3)
    assert world.asked() == asked
    assert feed.live
    assert not feed.finite
    assert feed.trouble() is None


async def test_the_open_bar_is_never_taken_for_a_closed_one(world):
    feed = world.feed()
    assert await feed.newest() == NEWEST
    assert (await feed.history(NOW + timedelta(days=1), 3)) == minutes(world, NEWEST - 2 * MINUTE, 3)


async def test_closed_is_judged_by_the_clock_of_the_venue(world):
    world.market.hold(NEWEST + timedelta(seconds=50))
    feed = world.feed()
    assert await feed.newest() == NEWEST - MINUTE
    assert feed.clock_skew is not None
    assert feed.clock_skew < -86_400


async def test_bars_since_the_cursor_are_back_filled_before_live_ones(world):
    feed = world.feed()
    start = NEWEST - 3000 * MINUTE
    bars = feed.bars(start)
    found = await take(bars, 3000)
    await subscribed(world)
    await world.market.advance(60)
    assert [*found, *await take(bars, 1)] == minutes(world, start + MINUTE, 3001)


async def test_repeated_and_late_events_are_delivered_once_and_in_order(world):
    world.market.repeat = True
    feed = world.feed()
    await feed.newest()
    bars = feed.bars(NEWEST)
    await subscribed(world)
    await world.market.advance(300)
    assert await take(bars, 5) == minutes(world, NEWEST + MINUTE, 5)


async def test_a_closing_event_that_is_lost_is_back_filled(world):
    feed = world.feed()
    await feed.newest()
    bars = feed.bars(NEWEST)
    await subscribed(world)
    asked = world.asked()
    world.market.skip_closed = 2
    await world.market.advance(180)
    assert await take(bars, 3) == minutes(world, NEWEST + MINUTE, 3)
    assert world.asked() == asked + 1


async def test_after_a_cut_the_stream_is_opened_again_and_nothing_is_lost(world):
    feed = world.feed()
    await feed.newest()
    bars = feed.bars(NEWEST)
    await subscribed(world)
    await world.market.drop()
    await eventually(lambda: not world.market.sockets, "the cut")
    await world.market.advance(120)
    await subscribed(world, 2)
    await world.market.advance(60)
    assert await take(bars, 3) == minutes(world, NEWEST + MINUTE, 3)
    assert world.market.sockets_opened == 2


async def test_a_venue_that_was_away_is_read_on_where_it_was_left(world):
    feed = world.feed()
    await feed.newest()
    bars = feed.bars(NEWEST)
    await subscribed(world)
    await world.exchange.stop()
    world.market.hold(NOW + 3 * MINUTE)
    await world.exchange.start()
    await subscribed(world, 2)
    await world.market.advance(60)
    assert await take(bars, 4) == minutes(world, NEWEST + MINUTE, 4)


async def test_while_no_socket_opens_the_venue_is_polled(polled):
    polled.market.refusing = True
    feed = polled.feed()
    await feed.newest()
    bars = feed.bars(NEWEST)
    await polled.market.advance(120)
    assert await take(bars, 2) == minutes(polled, NEWEST + MINUTE, 2)
    polled.market.refusing = False
    await subscribed(polled)


async def test_a_silent_socket_is_given_up_when_a_bar_closed_without_it(polled):
    feed = polled.feed()
    await feed.newest()
    bars = feed.bars(NEWEST)
    await subscribed(polled)
    polled.market.silent = True
    await polled.market.advance(60)
    assert await take(bars, 1) == minutes(polled, NEWEST + MINUTE, 1)
    await polled.market.advance(60)
    assert await take(bars, 1) == minutes(polled, NEWEST + 2 * MINUTE, 1)
    await subscribed(polled, 2)


async def test_a_forced_rest_transport_opens_no_socket(polled):
    feed = polled.feed(transport="rest")
    await feed.newest()
    bars = feed.bars(NEWEST)
    await polled.market.advance(120)
    assert await take(bars, 2) == minutes(polled, NEWEST + MINUTE, 2)
    assert polled.market.sockets_opened == 0


@pytest.mark.parametrize(
    "fault",
    [
        Fault(FaultKind.ERROR_BEFORE, "GET /api/v3/klines", 3, status=502),
        Fault(FaultKind.ERROR_BEFORE, "GET /api/v3/klines", 3, status=429, code=-1003, retry_after=1),
        Fault(FaultKind.RESET_BEFORE, "GET /api/v3/klines", 3),
        Fault(FaultKind.MALFORMED_AFTER, "GET /api/v3/klines", 3),
    ],
    ids=["502", "429", "reset", "malformed"],
)
async def test_errors_of_the_venue_delay_bars_and_lose_none(polled, fault):
    feed = polled.feed(transport="rest")
    await feed.newest()
    bars = feed.bars(NEWEST)
    polled.exchange.faults.plan(fault)
    await polled.market.advance(180)
    assert await take(bars, 3) == minutes(polled, NEWEST + MINUTE, 3)
    assert not polled.exchange.faults.listed()


async def test_history_says_that_the_venue_does_not_answer(polled):
    polled.exchange.faults.plan(Fault(FaultKind.ERROR_BEFORE, "GET /api/v3/klines", None, status=503))
    feed = polled.feed()
    with pytest.raises(TransientError, match=f"{SYMBOL} 1m of binance"):
        await feed.history(NOW, 10)
    polled.exchange.faults.clear()
    bars = feed.bars(NEWEST - MINUTE)
    assert await take(bars, 1) == minutes(polled, NEWEST, 1)


async def test_an_unknown_symbol_or_interval_is_an_invalid_bot_and_says_what_is_allowed(world):
    with pytest.raises(InvalidBotError, match=r"'BTCUSDC' is no spot market of binance; allowed: .*BTCUSDT"):
        await world.feed(symbol="BTCUSDC").newest()
    with pytest.raises(InvalidBotError, match=r"'7m' is no interval of binance; allowed: 1s, 1m"):
        await anext(world.feed("7m").bars(None))


async def test_a_feed_without_bars_is_stale_says_since_when_once_and_heals(polled, monkeypatch):
    logs = LogCapture()
    every_level = structlog.make_filtering_bound_logger(0)
    monkeypatch.setattr(freshness, "_log", structlog.wrap_logger(None, [logs], every_level))
    feed = polled.feed(transport="rest")
    await feed.newest()
    polled.exchange.faults.plan(Fault(FaultKind.ERROR_BEFORE, "GET /api/v3/klines", None, status=503))
    polled.market.hold(NEWEST + 3 * MINUTE + timedelta(seconds=25))
    asked = polled.asked()
    await eventually(lambda: polled.asked() > asked + 3, "more attempts")
    assert feed.trouble() is None
    polled.market.hold(NEWEST + 3 * MINUTE + timedelta(seconds=40))
    await eventually(feed.trouble, "the feed being stale")
    assert "is stale: no closed bar since 2024-03-05T12:00:00Z: " in feed.trouble()
    assert "503" in feed.trouble()
    asked = polled.asked()
    await eventually(lambda: polled.asked() > asked + 5, "more attempts")
    polled.exchange.faults.clear()
    await eventually(lambda: feed.trouble() is None, "healing")
    assert [line["event"] for line in logs.entries] == ["feed_stale", "feed_healed"]


async def test_twenty_bots_share_one_socket_and_one_history(world):
    feeds = [world.feed() for _ in range(20)]
    starts = await asyncio.gather(*(feed.newest() for feed in feeds))
    histories = await asyncio.gather(*(feed.history(start, 600) for feed, start in zip(feeds, starts, strict=True)))
    streams = [feed.bars(start) for feed, start in zip(feeds, starts, strict=True)]
    await subscribed(world)
    await world.market.advance(120)
    found = await asyncio.gather(*(take(stream, 2) for stream in streams))
    assert all(history == minutes(world, NEWEST - 599 * MINUTE, 600) for history in histories)
    assert all(bars == minutes(world, NEWEST + MINUTE, 2) for bars in found)
    assert (world.market.sockets_opened, world.asked("/api/v3/exchangeInfo"), len(world.hub.markets)) == (1, 1, 1)
    assert world.asked() == 2


async def test_bots_that_were_away_as_long_share_what_they_fetch(world):
    start = NEWEST - 5000 * MINUTE
    alone = world.feed()
    await take(alone.bars(start), 5000)
    asked = world.asked()
    await alone.aclose()
    streams = [world.feed().bars(start) for _ in range(20)]
    found = await asyncio.gather(*(take(stream, 5000, timeout=60) for stream in streams))
    assert all(bars == found[0] for bars in found)
    assert world.asked() == 2 * asked


async def test_the_last_bot_out_closes_the_subscription(world):
    first, second = world.feed(), world.feed()
    await first.newest()
    await second.newest()
    await subscribed(world)
    await first.aclose()
    assert len(world.market.sockets) == 1
    await second.aclose()
    await eventually(lambda: not world.market.sockets, "the end of the subscription")
    assert world.hub.markets == ()


async def test_a_bot_that_is_built_again_joins_without_a_request(world):
    other, crashed = world.feed(), world.feed()
    await other.history(await other.newest(), 300)
    bars = crashed.bars(await crashed.newest())
    await subscribed(world)
    await world.market.advance(60)
    (bar,) = await take(bars, 1)
    await bars.aclose()
    await crashed.aclose()
    await world.market.advance(60)
    asked = world.asked()
    again = world.feed()
    assert await again.history(bar.time, 300) == minutes(world, bar.time - 299 * MINUTE, 300)
    assert await take(again.bars(bar.time), 1) == minutes(world, bar.time + MINUTE, 1)
    assert (world.asked(), world.market.sockets_opened) == (asked, 1)


async def test_a_slow_bot_delays_nobody_and_misses_nothing(world):
    slow, quick = world.feed(), world.feed()
    start = await slow.newest()
    await quick.newest()
    slowly, quickly = slow.bars(start), quick.bars(start)
    await subscribed(world)
    for _ in range(40):
        await world.market.advance(3600)
        await take(quickly, 60)
    assert await take(slowly, 2400) == minutes(world, NEWEST + MINUTE, 2400)


async def test_waiting_for_a_bar_is_cancelled_at_once(world):
    feed = world.feed()
    bars = feed.bars(await feed.newest())
    task = asyncio.ensure_future(anext(bars))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await bars.aclose()


async def test_history_of_a_young_market_is_what_there_is_and_is_not_asked_for_again(world):
    world.market.listed = NEWEST - 150 * MINUTE
    feed = world.feed()
    assert len(await feed.history(NEWEST, 1000)) == 151
    asked = world.asked()
    assert asked <= 4
    assert len(await feed.history(NEWEST, 1000)) == 151
    assert world.asked() == asked


@pytest.mark.parametrize(
    ("interval", "opens"),
    [("1M", ["2023-12-01", "2024-01-01", "2024-02-01", "2024-03-01"]),
     ("1W", ["2024-02-12", "2024-02-19", "2024-02-26", "2024-03-04"])],
)  # fmt: skip
async def test_months_and_weeks_close_by_the_calendar(world, interval, opens):
    feed = world.feed(interval)
    newest = await feed.newest()
    history = await feed.history(newest, 3)
    assert [f"{bar.time:%Y-%m-%d}" for bar in history] == opens[:3]
    bars = feed.bars(newest)
    await subscribed(world)
    await world.market.advance(31 * 86_400)
    (bar,) = await take(bars, 1)
    assert f"{bar.time:%Y-%m-%d}" == opens[3]


async def test_a_bar_that_the_venue_never_had_is_missing_and_counted(world, monkeypatch):
    row = world.market._row
    gone = NEWEST + 2 * MINUTE
    klines = world.market.klines
    monkeypatch.setattr(
        world.market, "klines", lambda *args: [r for r in klines(*args) if r[0] != row(SYMBOL, "1m", gone)[0]]
    )
    feed = world.feed()
    bars = feed.bars(await feed.newest())
    await subscribed(world)
    await world.market.advance(60)
    world.market.skip_closed = 1
    await world.market.advance(120)
    found = await take(bars, 2)
    assert [bar.time for bar in found] == [NEWEST + MINUTE, NEWEST + 3 * MINUTE]
    assert [notice.message for notice in feed.notices] == ["1 bars are missing at the venue, none was made up"]


async def test_polls_wait_for_the_close_and_a_little_by_chance(monkeypatch):
    waits = []

    async def remembered(seconds):
        waits.append(seconds)
        await asyncio.sleep(0 if seconds == 0 else 3600)

    hub = MarketHub(sleep=remembered, patience=Patience(poll=100.0, spread=2.0))
    async with live_world(monkeypatch, hub=hub) as world:
        await world.feed(transport="rest").newest()
        await eventually(lambda: any(seconds > 40 for seconds in waits), "the wait for the next close")
    wait = next(seconds for seconds in waits if seconds > 40)
    assert 50 + 100 - 5 <= wait <= 50 + 102


async def test_bars_may_be_scripted_and_lead_the_price_of_the_venue(world):
    scripted = [Bar(NEWEST + index * MINUTE, 100.0, 120.0, 90.0, 110.0 + index, 1.0) for index in range(3)]
    world.market.script(SYMBOL, "1m", scripted)
    world.market.moves_prices = True
    feed = world.feed()
    assert await feed.history(NOW, 1) == scripted[:1]
    bars = feed.bars(NEWEST)
    await subscribed(world)
    await world.market.advance(120)
    assert await take(bars, 2) == scripted[1:]
    assert world.exchange.venue.prices[SYMBOL] == 112


async def test_the_old_name_websocket_means_the_stream_of_binance(world):
    feed = world.feed(data_source="websocket")
    assert feed.key == world.feed().key
    assert await feed.newest() == NEWEST
    await subscribed(world)


async def test_the_testnet_is_a_market_of_its_own(world):
    real, test = world.feed(), world.feed(testnet=True)
    assert await real.newest() == await test.newest()
    await subscribed(world, 2)
    assert [market.source.key.venue for market in world.hub.markets] == ["binance", "binance-testnet"]
    assert test._market.source._handle.exchange.urls["api"]["public"].startswith("https://testnet.binance.vision")


async def test_a_symbol_of_the_data_section_is_read_in_place_of_the_bots(world):
    feed = build_feed({"data_source": "binance", "interval": "1m", "symbol": "ETH/USDT"}, "LTCUSDT", hub=world.hub)
    world.feeds.append(feed)
    assert (await feed.history(NOW, 1))[0] == world.market.bar("ETHUSDT", "1m", NEWEST)


async def test_an_exchange_that_answers_for_a_span_alone_is_asked_span_after_span(world, monkeypatch):
    monkeypatch.setattr(ccxt_source, "BINANCE_FAMILY", frozenset())
    klines = world.market.klines
    asked = []

    def of_a_span(symbol, interval, params):
        start = from_epoch_ms(int(params["startTime"]))
        asked.append(start)
        last = start + int(params["limit"]) * MINUTE
        return [row for row in klines(symbol, interval, params) if from_epoch_ms(row[0]) < last]

    monkeypatch.setattr(world.market, "klines", of_a_span)
    world.market.listed = NEWEST - 5 * MINUTE
    feed = world.feed()
    await feed.newest()
    asked.clear()
    found = await take(feed.bars(NEWEST - 2500 * MINUTE), 6)
    assert found == minutes(world, NEWEST - 5 * MINUTE, 6)
    assert len(asked) == 3
