"""Feeds by the name that `data.data_source` gives. Reads the environment for the folder of data files.

Live sources are imported when a bot uses them.
"""

import asyncio
import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bot_core.models.errors import InvalidBotError
from bot_core.models.extensions import Group
from bot_core.models.feed import EXCHANGES, KNOWN_SOURCES
from bot_runtime.feeds.base import Feed, Sleeper
from bot_runtime.feeds.csv_file import CsvFeed
from bot_runtime.feeds.generated import GeneratedFeed
from bot_runtime.feeds.hub import MarketHub
from bot_runtime.plugins import installed_plugins
from bot_runtime.venues.extra import needing_live

DATA_DIR_VARIABLE = "TRADINGBOT_DATA_DIR"


def build_feed(
    data: Mapping[str, Any],
    symbol: str,
    *,
    sleep: Sleeper = asyncio.sleep,
    data_dir: Path | None = None,
    hub: MarketHub | None = None,
) -> Feed:
    """Build the feed that a `data` section asks for. Raise InvalidBotError for one that can't be.

    Relative file paths are below `data_dir`, which is TRADINGBOT_DATA_DIR, or the current folder, when not given.
    Live feeds share the markets of `hub`, which is that of the running loop when not given.
    """
    source = str(data.get("data_source", "")).lower()
    match source:
        case "file":
            folder = data_dir if data_dir is not None else Path(os.environ.get(DATA_DIR_VARIABLE, ""))
            return CsvFeed(data, data_dir=folder, sleep=sleep)
        case "generated":
            return GeneratedFeed(data, symbol, sleep=sleep)
        case _:
            with needing_live(f"data.data_source: {source!r}"):
                live = _live(source, data, symbol, hub)
            return _plugged(source, data, symbol, sleep) if live is None else live


def _live(source: str, data: Mapping[str, Any], symbol: str, hub: MarketHub | None) -> Feed | None:
    markets = importlib.import_module("bot_runtime.feeds.live_markets")
    feed: Feed
    match source:
        case "alpaca" | "ibkr":
            module = importlib.import_module(f"bot_runtime.feeds.{source}")
            feed = getattr(module, f"{source}_feed")(data, symbol, hub)
        case "websocket":  # the old name of Binance's stream
            feed = markets.exchange_feed("binance", {**data, "transport": "websocket"}, symbol, hub)
        case "yahoo":
            feed = markets.yahoo_feed(data, symbol, hub)
        case "coingecko":
            feed = markets.coingecko_feed(data, symbol, hub)
        case _ if source in EXCHANGES:
            feed = markets.exchange_feed(source, data, symbol, hub)
        case _:
            return None
    return feed


def _plugged(source: str, data: Mapping[str, Any], symbol: str, sleep: Sleeper) -> Feed:
    plugins = installed_plugins()
    try:
        feed: Feed = plugins.find(Group.FEEDS, source)(data, symbol, sleep=sleep)
    except LookupError as error:
        available = ", ".join((*KNOWN_SOURCES, *plugins.names(Group.FEEDS)))
        raise InvalidBotError(
            f"data.data_source: {source!r} has no feed; available: {available}, and the exchanges of ccxt"
        ) from error
    return feed
