"""What every feed must do, whatever it reads: run on each of them."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from pyarrow import parquet

from bot_runtime.feeds import ccxt_source
from bot_runtime.feeds.hub import MarketHub
from bot_runtime.feeds.registry import build_feed
from support.data_services import DataServices
from support.live_feeds import NOW, SYMBOL, eventually, hurried, live_world, take

INTERVAL = "30m"
STEP = timedelta(minutes=30)
NEWEST = NOW.replace(hour=11, minute=30, second=0)
COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")
PAST = ["csv", "parquet", "generated"]
LIVE = ["binance stream", "binance by rest", "yahoo", "coingecko"]
END = datetime(2100, 1, 1, tzinfo=UTC)


class Case:
    """A feed over the bars of the made-up market up to NEWEST; `go_on` lets more of them close where it is live."""

    def __init__(self, name, world, hub, folder):
        self.name, self.world, self.hub, self.folder = name, world, hub, folder
        self.feeds = []

    def bars(self, first, count):
        found = [self.world.market.bar(SYMBOL, INTERVAL, first + index * STEP) for index in range(count)]
        return [bar._replace(volume=0.0) for bar in found] if self.name == "coingecko" else found

    def feed(self):
        sections = {
            "csv": {"data_source": "file", "file_path": "bars.csv"},
            "parquet": {"data_source": "file", "file_path": "bars.parquet"},
            "generated": {"data_source": "generated", "speed": 0, "bars": 96},
            "binance stream": {"data_source": "binance"},
            "binance by rest": {"data_source": "binance", "transport": "rest"},
            "yahoo": {"data_source": "yahoo"},
            "coingecko": {"data_source": "coingecko"},
        }
        feed = build_feed(sections[self.name] | {"interval": INTERVAL}, SYMBOL, hub=self.hub, data_dir=self.folder)
        self.feeds.append(feed)
        return feed

    async def go_on(self, bars):
        if self.name == "binance stream":
            await eventually(lambda: self.world.market.subscriptions, "the subscription")
        await self.world.market.advance(bars * STEP.total_seconds())

    def write(self, count):
        rows = self.bars(NEWEST - (count - 1) * STEP, count)
        lines = [",".join(COLUMNS), *(f"{bar.time.isoformat()},{','.join(map(str, bar[1:]))}" for bar in rows)]
        (self.folder / "bars.csv").write_text("\n".join(lines) + "\n")
        columns = dict(zip(COLUMNS, zip(*rows, strict=True), strict=True))
        parquet.write_table(pa.table({name: list(values) for name, values in columns.items()}),
                            self.folder / "bars.parquet")  # fmt: skip


@pytest.fixture
async def make(monkeypatch, tmp_path):
    monkeypatch.setattr(ccxt_source, "CLOCK_SECONDS", 0.0)
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(live_world(monkeypatch))
        services = await stack.enter_async_context(DataServices(world.market))
        monkeypatch.setenv("TRADINGBOT_YAHOO_URL", services.url)
        monkeypatch.setenv("TRADINGBOT_COINGECKO_URL", services.url)
        cases = []

        def made(name):
            hub = MarketHub() if name == "binance stream" else MarketHub(sleep=hurried)
            cases.append(Case(name, world, hub, tmp_path))
            if name in {"csv", "parquet"}:
                cases[-1].write(48)
            return cases[-1]

        yield made
        for case in cases:
            for feed in case.feeds:
                await feed.aclose()


@pytest.fixture(params=[*PAST, *LIVE])
def case(request, make):
    return make(request.param)


async def all_past(case):
    """Every bar of a feed of the past, the last day of a live one."""
    feed = case.feed()
    return await feed.history(END, 40)


async def test_history_is_in_order_without_repetition_and_in_utc(case):
    bars = await all_past(case)
    times = [bar.time for bar in bars]
    assert len(bars) == 40
    assert times == [times[0] + index * STEP for index in range(40)]
    assert all(time.tzinfo is UTC for time in times)
    if case.name != "generated":
        assert bars == case.bars(NEWEST - 39 * STEP, 40)


async def test_history_ends_at_the_cursor_and_is_limited(case):
    bars = await all_past(case)
    feed = case.feed()
    assert await feed.history(bars[20].time, 5) == bars[16:21]
    assert await feed.history(bars[20].time + timedelta(seconds=1), 5) == bars[16:21]


async def test_bars_go_on_after_the_cursor_each_one_once(case):
    bars = await all_past(case)
    feed = case.feed()
    stream = feed.bars(bars[10].time)
    assert await take(stream, 29) == bars[11:]
    await stream.aclose()
    again = feed.bars(bars[30].time + timedelta(seconds=1))
    assert await take(again, 9) == bars[31:]
    await again.aclose()


@pytest.mark.parametrize("name", LIVE)
async def test_a_live_feed_begins_after_its_newest_bar_and_goes_on_as_bars_close(make, name):
    case = make(name)
    feed = case.feed()
    assert feed.live
    assert not feed.finite
    assert await feed.newest() == NEWEST
    assert feed.trouble() is None
    bars = feed.bars(NEWEST)
    await case.go_on(3)
    assert await take(bars, 3) == case.bars(NEWEST + STEP, 3)
    assert await feed.newest() == NEWEST + 3 * STEP


@pytest.mark.parametrize("name", PAST)
async def test_a_feed_of_the_past_begins_at_its_first_bar_and_ends(make, name):
    feed = make(name).feed()
    assert not feed.live
    assert feed.finite
    assert await feed.newest() is None
    assert feed.trouble() is None
    bars = [bar async for bar in feed.bars(None)]
    assert len(bars) in {48, 96}
    assert [bar async for bar in feed.bars(bars[-1].time)] == []


async def test_a_wait_for_a_bar_is_cancelled_at_once_and_the_feed_goes_on(case):
    bars = await all_past(case)
    feed = case.feed()
    stream = feed.bars(bars[-1].time) if feed.live else feed.bars(None)
    task = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await stream.aclose()
    assert await feed.history(bars[5].time, 2) == bars[4:6]


async def test_a_closed_feed_can_be_closed_again(case):
    feed = case.feed()
    await feed.history(NEWEST, 2)
    await feed.aclose()
    await feed.aclose()
