"""Live feeds from what a `data` section says: which market it means, over which transport. Asks no venue anything."""

from collections.abc import Mapping
from typing import Any

from bot_core.models.errors import InvalidBotError
from bot_core.models.problem import Notice
from bot_runtime.feeds.binance_stream import ADDRESSES
from bot_runtime.feeds.ccxt_source import CcxtSource
from bot_runtime.feeds.coingecko import PACE_SECONDS as COINGECKO_PACE
from bot_runtime.feeds.coingecko import CoinGeckoSource, coin_and_quote
from bot_runtime.feeds.hub import MarketHub
from bot_runtime.feeds.intervals import canonical_interval
from bot_runtime.feeds.live_feed import LiveFeed
from bot_runtime.feeds.market_source import MarketKey
from bot_runtime.feeds.yahoo import PACE_SECONDS as YAHOO_PACE
from bot_runtime.feeds.yahoo import YahooSource, yahoo_symbol

_TRANSPORTS = ("rest", "websocket")
_NO_VOLUME = Notice("data.data_source", "CoinGecko's bars carry no volume: rules that ask for volume see 0")


def exchange_feed(exchange: str, data: Mapping[str, Any], symbol: str, hub: MarketHub | None = None) -> LiveFeed:
    """Build the feed of a market of a crypto exchange, named as ccxt names it."""
    testnet = bool(data.get("testnet"))
    streams = (exchange, testnet) in ADDRESSES
    transport = data.get("transport")
    if transport not in {None, *_TRANSPORTS}:
        raise InvalidBotError(f"data.transport: {transport!r} is no transport; allowed: {', '.join(_TRANSPORTS)}")
    if transport == "websocket" and not streams:
        raise InvalidBotError(
            f"data.transport: 'websocket' is not there for {exchange}: no closed bars come by its stream; allowed: rest"
        )
    streamed = streams and transport != "rest"
    venue = exchange + ("-testnet" if testnet else "") + ("" if streamed == streams else " by rest")
    key = MarketKey(venue, str(data.get("symbol") or symbol), _interval(data))
    return LiveFeed(key, lambda _: CcxtSource(key, exchange, testnet=testnet, streamed=streamed), hub=hub)


def yahoo_feed(data: Mapping[str, Any], symbol: str, hub: MarketHub | None = None) -> LiveFeed:
    """Build a feed of Yahoo's; `data.symbol` is a name of Yahoo's, the bot's symbol is translated into one."""
    key = MarketKey("yahoo", str(data.get("symbol") or yahoo_symbol(symbol)), _interval(data))
    return LiveFeed(key, lambda pacer: YahooSource(key, pacer), pace_seconds=YAHOO_PACE, hub=hub)


def coingecko_feed(data: Mapping[str, Any], symbol: str, hub: MarketHub | None = None) -> LiveFeed:
    """Build a feed of CoinGecko's."""
    coin, quote = coin_and_quote(str(data.get("symbol") or symbol), data.get("coin_id"))
    key = MarketKey("coingecko", f"{coin}/{quote}", _interval(data))
    return LiveFeed(
        key,
        lambda pacer: CoinGeckoSource(key, coin, quote, pacer),
        pace_seconds=COINGECKO_PACE,
        hub=hub,
        notices=(_NO_VOLUME,),
    )


def _interval(data: Mapping[str, Any]) -> str:
    return canonical_interval(data.get("interval", "1h"))
