from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot_core.models.errors import InvalidBotError, TransientError
from bot_runtime.domain.bar import Bar
from bot_runtime.feeds.alpaca import AlpacaSource
from bot_runtime.feeds.hub import MarketHub
from bot_runtime.feeds.intervals import open_of
from bot_runtime.feeds.market_source import MarketKey
from bot_runtime.feeds.registry import build_feed
from support.alpaca import KEY, SECRET, AlpacaStandIn
from support.live_feeds import take


@pytest.fixture
async def venue(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AlpacaStandIn]:
    stand_in = AlpacaStandIn()
    await stand_in.start()
    monkeypatch.setenv("TRADINGBOT_ALPACA_DATA_URL", stand_in.url)
    monkeypatch.setenv("ALPACA_API_KEY", KEY)
    monkeypatch.setenv("ALPACA_SECRET_KEY", SECRET)
    yield stand_in
    await stand_in.stop()


def a_row(time: datetime, close: float = 10.0) -> dict[str, Any]:
    stamp = time.isoformat().replace("+00:00", "Z")
    return {"t": stamp, "o": 9.5, "h": 11, "l": 9, "c": close, "v": 1200, "n": 7, "vw": 10.1}


def hours_ago(count: int) -> datetime:
    return open_of(datetime.now(UTC), "1h") - timedelta(hours=count)


@pytest.mark.parametrize(("symbol", "continuous"), [("AAPL", False), ("BTC/USD", True)])
async def test_closed_bars_are_given_in_order_and_the_one_that_is_open_is_not(
    venue: AlpacaStandIn, symbol: str, continuous: bool
) -> None:
    venue.bars[symbol] = [a_row(hours_ago(back), close=10.0 + back / 100) for back in (3, 2, 1, 0)]
    source = AlpacaSource(MarketKey("alpaca", symbol, "1h"))
    await source.connect()
    bars = await source.closed_bars(hours_ago(2), 10)
    await source.aclose()
    assert [bar.time for bar in bars] == [hours_ago(2), hours_ago(1)]
    assert bars[0] == Bar(hours_ago(2), 9.5, 11.0, 9.0, 10.02, 1200.0)
    assert source.continuous is continuous
    assert source.clock_skew == pytest.approx(0, abs=2)


async def test_more_bars_than_a_page_holds_are_put_together(venue: AlpacaStandIn) -> None:
    venue.bars["AAPL"] = [a_row(hours_ago(back)) for back in range(50, 0, -1)]
    venue.page_size = 7
    source = AlpacaSource(MarketKey("alpaca", "AAPL", "1h"))
    bars = await source.closed_bars(hours_ago(40), 30)
    await source.aclose()
    assert [bar.time for bar in bars] == [hours_ago(back) for back in range(40, 10, -1)]


async def test_a_feed_of_a_share_delivers_its_bars(venue: AlpacaStandIn) -> None:
    venue.bars["AAPL"] = [a_row(hours_ago(back)) for back in range(20, 0, -1)]
    feed = build_feed({"data_source": "alpaca", "interval": "1h"}, "AAPL", hub=MarketHub())
    assert await feed.newest() == hours_ago(1)
    assert [bar.time for bar in await feed.history(hours_ago(1), 3)] == [hours_ago(3), hours_ago(2), hours_ago(1)]
    bars = feed.bars(hours_ago(4))
    assert [bar.time for bar in await take(bars, 3)] == [hours_ago(3), hours_ago(2), hours_ago(1)]
    await feed.aclose()


async def test_a_coin_needs_no_keys_and_a_share_names_those_that_are_missing(
    venue: AlpacaStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALPACA_SECRET_KEY")
    source = AlpacaSource(MarketKey("alpaca", "BTC/USD", "1h"))
    await source.aclose()
    with pytest.raises(InvalidBotError, match="ALPACA_API_KEY and ALPACA_SECRET_KEY"):
        AlpacaSource(MarketKey("alpaca", "AAPL", "1h"))


async def test_an_interval_that_the_venue_has_not_got_is_refused(venue: AlpacaStandIn) -> None:
    for interval in ("90m", "2d", "30s"):
        with pytest.raises(InvalidBotError, match="allowed: 1m to 59m"):
            AlpacaSource(MarketKey("alpaca", "AAPL", interval))


async def test_a_symbol_without_bars_is_the_rows_fault(venue: AlpacaStandIn) -> None:
    source = AlpacaSource(MarketKey("alpaca", "NOSUCH", "1h"))
    with pytest.raises(InvalidBotError, match="NOSUCH"):
        await source.connect()
    await source.aclose()


async def test_a_venue_that_fails_is_for_later_and_refused_keys_are_not(
    venue: AlpacaStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = AlpacaSource(MarketKey("alpaca", "AAPL", "1h"))
    venue.reading_fault = "429"
    with pytest.raises(TransientError, match="429"):
        await source.closed_bars(hours_ago(2), 5)
    await source.aclose()
    monkeypatch.setenv("ALPACA_SECRET_KEY", "a-wrong-secret-value")
    stranger = AlpacaSource(MarketKey("alpaca", "AAPL", "1h"))
    with pytest.raises(InvalidBotError, match="ALPACA_SECRET_KEY") as raised:
        await stranger.closed_bars(hours_ago(2), 5)
    await stranger.aclose()
    assert "a-wrong-secret-value" not in str(raised.value)


@pytest.mark.parametrize(
    ("symbol", "section", "market"),
    [("BTCUSD", {}, "BTC/USD"), ("AAPL", {}, "AAPL"), ("BRKB", {"symbol": "BRK.B"}, "BRK.B"), ("AUSD", {}, "AUSD")],
)
async def test_the_markets_name_is_the_venues(
    venue: AlpacaStandIn, symbol: str, section: dict[str, str], market: str
) -> None:
    feed: Any = build_feed({"data_source": "alpaca", "interval": "1h", **section}, symbol, hub=MarketHub())
    assert feed.key == MarketKey("alpaca", market, "1h")
