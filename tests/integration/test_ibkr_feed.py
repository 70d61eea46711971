from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ib_async import BarData

from bot_core.models.errors import InvalidBotError, TransientError
from bot_runtime.domain.bar import Bar
from bot_runtime.feeds import ibkr
from bot_runtime.feeds.hub import MarketHub
from bot_runtime.feeds.ibkr import IbkrSource
from bot_runtime.feeds.intervals import open_of
from bot_runtime.feeds.market_source import MarketKey
from bot_runtime.feeds.pacer import Pacer
from bot_runtime.feeds.registry import build_feed
from bot_runtime.venues import ibkr_session
from bot_runtime.venues.ibkr_session import Gateway
from support.ibkr import GatewayStandIn
from support.live_feeds import take
from support.nowhere import CLOSED_PORT


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> GatewayStandIn:
    stand_in = GatewayStandIn()
    monkeypatch.setattr(ibkr_session, "IB", stand_in.make)
    monkeypatch.setattr(ibkr_session, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(ibkr_session, "_FIRST_RETRY", 0.0)
    monkeypatch.setattr(ibkr, "HISTORY_SECONDS", 0.2)
    monkeypatch.setattr(ibkr, "PACE_SECONDS", 0.0)
    return stand_in


def a_source(symbol: str = "AAPL", interval: str = "1h") -> IbkrSource:
    return IbkrSource(MarketKey("ibkr", symbol, interval), Gateway("127.0.0.1", 4001, 1), Pacer(0.0))


@pytest.fixture
async def source(gateway: GatewayStandIn) -> AsyncIterator[IbkrSource]:
    made = a_source()
    await made.connect()
    yield made
    await made.aclose()


def hours_ago(count: int) -> datetime:
    return open_of(datetime.now(UTC), "1h") - timedelta(hours=count)


def put(gateway: GatewayStandIn, time: datetime, stamp: str = "", volume: float = 500.0) -> None:
    date: Any = stamp or str(int(time.timestamp()))
    gateway.bars[time] = BarData(date=date, open=10.0, high=12.0, low=9.0, close=11.0, volume=volume)


async def test_closed_bars_are_given_in_order_and_the_one_that_is_open_is_not(
    source: IbkrSource, gateway: GatewayStandIn
) -> None:
    for back in (0, 1, 2, 3):
        put(gateway, hours_ago(back))
    bars = await source.closed_bars(hours_ago(2), 10)
    assert [bar.time for bar in bars] == [hours_ago(2), hours_ago(1)]
    assert bars[0] == Bar(hours_ago(2), 10.0, 12.0, 9.0, 11.0, 500.0)
    assert source.clock_skew == pytest.approx(0, abs=1.5)


async def test_a_long_rest_of_the_market_is_passed_over(source: IbkrSource, gateway: GatewayStandIn) -> None:
    late = hours_ago(1)
    put(gateway, late)
    bars = await source.closed_bars(late - timedelta(days=70), 5)
    assert [bar.time for bar in bars] == [late]
    assert len(gateway.asked_bars) > 1


async def test_bars_of_days_and_longer_have_the_date_of_their_beginning(gateway: GatewayStandIn) -> None:
    friday = datetime(2026, 3, 6, tzinfo=UTC)
    for interval, opened in (("1d", friday), ("1w", friday - timedelta(days=4)), ("1M", friday.replace(day=1))):
        source = a_source(interval=interval)
        gateway.bars.clear()
        put(gateway, friday, "20260306")
        assert [bar.time for bar in await source.closed_bars(friday - timedelta(days=40), 5)] == [opened]
        await source.aclose()


async def test_a_pair_is_read_by_its_midpoints_and_has_no_volume(gateway: GatewayStandIn) -> None:
    put(gateway, hours_ago(1), volume=-1.0)
    source = a_source("EURUSD")
    (bar,) = await source.closed_bars(hours_ago(2), 5)
    await source.aclose()
    assert bar.volume == 0
    assert gateway.asked_bars[-1][2:] == ("1 hour", "MIDPOINT")


async def test_a_feed_shares_the_connection_and_delivers_its_bars(
    gateway: GatewayStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for back in range(20, 0, -1):
        put(gateway, hours_ago(back))
    hub = MarketHub()
    feeds = [build_feed({"data_source": "ibkr", "interval": "1h"}, symbol, hub=hub) for symbol in ("AAPL", "EURUSD")]
    for feed in feeds:
        bars = feed.bars(hours_ago(4))
        assert [bar.time for bar in await take(bars, 3)] == [hours_ago(3), hours_ago(2), hours_ago(1)]
    assert gateway.connections == 1
    for feed in feeds:
        await feed.aclose()
    assert gateway.clients == []


async def test_no_data_is_no_error_but_a_refusal_and_a_failure_are(source: IbkrSource, gateway: GatewayStandIn) -> None:
    gateway.bar_error = (162, "Historical Market Data Service error message:HMDS query returned no data: AAPL")
    assert await source.closed_bars(hours_ago(2), 5) == []
    gateway.bar_error = (162, "Historical Market Data Service error message:API historical data query cancelled")
    with pytest.raises(TransientError, match="162"):
        await source.closed_bars(hours_ago(2), 5)
    gateway.bar_error = (354, "Requested market data is not subscribed.")
    with pytest.raises(InvalidBotError, match="not subscribed"):
        await source.closed_bars(hours_ago(2), 5)


async def test_an_unanswered_question_is_for_later_and_leaves_the_connection_to_the_brokers(
    source: IbkrSource, gateway: GatewayStandIn
) -> None:
    gateway.silent = True
    with pytest.raises(TransientError, match="no bars"):
        await source.closed_bars(hours_ago(2), 5)
    assert gateway.connections == len(gateway.clients) == 1


async def test_an_interval_and_a_symbol_that_the_venue_has_not_got_are_refused(gateway: GatewayStandIn) -> None:
    with pytest.raises(InvalidBotError, match="allowed: 1m, 2m"):
        a_source(interval="90m")
    stranger = a_source("NOSUCH")
    with pytest.raises(InvalidBotError, match="NOSUCH"):
        await stranger.connect()
    await stranger.aclose()


async def test_of_the_rows_own_address_only_the_client_id_is_heeded(gateway: GatewayStandIn) -> None:
    section = {"data_source": "ibkr", "interval": "1h", "host": "elsewhere.example", "port": 1, "client_id": 9}
    put(gateway, hours_ago(1))
    feed = build_feed(section, "AAPL", hub=MarketHub())
    await feed.newest()
    (client,) = gateway.clients
    assert (client.host, client.port, client.clientId) == ("127.0.0.1", CLOSED_PORT, 9)
    await feed.aclose()
