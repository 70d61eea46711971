"""Bars of US shares and of coins from Alpaca's market data interface (https://docs.alpaca.markets), polled.

Bars of shares need Alpaca's keys in the environment and come from IEX, or from the feed that ALPACA_DATA_FEED names;
prices are adjusted for splits, not for dividends. It trades nothing.
"""

import os
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from bot_core.models.errors import InvalidBotError, TransientError
from bot_runtime.domain.bar import Bar
from bot_runtime.feeds.hub import MarketHub
from bot_runtime.feeds.intervals import canonical_interval, is_closed
from bot_runtime.feeds.live_feed import LiveFeed
from bot_runtime.feeds.market_source import MarketKey
from bot_runtime.feeds.venue_clock import VenueClock
from bot_runtime.venues.alpaca_address import data_url
from bot_runtime.venues.alpaca_http import AlpacaHttp
from bot_runtime.venues.alpaca_symbols import is_crypto, market_symbol
from bot_runtime.venues.credentials import Credentials

KEY_VARIABLES = ("ALPACA_API_KEY", "ALPACA_SECRET_KEY")
FEED_VARIABLE = "ALPACA_DATA_FEED"
_FEEDS = ("iex", "sip", "delayed_sip", "boats", "otc")
_UNITS = {"m": ("Min", 59), "h": ("Hour", 23), "d": ("Day", 1), "w": ("Week", 1), "M": ("Month", 1)}
_ALLOWED = "1m to 59m, 1h to 23h, 1d, 1w, 1M"
_PAGE = 10_000
_LOOK_BACK = timedelta(days=30)
_REFUSED = {400, 404, 422}
_KEYS_REFUSED = {401, 403}


def alpaca_feed(data: Mapping[str, Any], symbol: str, hub: MarketHub | None = None) -> LiveFeed:
    """Build a feed of Alpaca's; `data.symbol` is a name of Alpaca's, such as BRK.B or BTC/USD."""
    name = str(data.get("symbol") or market_symbol(symbol))
    key = MarketKey("alpaca", name, canonical_interval(data.get("interval", "1h")))
    return LiveFeed(key, lambda _: AlpacaSource(key), hub=hub)


class AlpacaSource:
    def __init__(self, key: MarketKey) -> None:
        self.key = key
        self.continuous = is_crypto(key.symbol)
        self._timeframe = _timeframe(key.interval)
        self._feed = _feed()
        self._clock = VenueClock()
        self._http = AlpacaHttp(data_url(), None if self.continuous else _keys())

    @property
    def clock_skew(self) -> float | None:
        return self._clock.skew

    def now(self) -> datetime:
        return self._clock.now()

    async def connect(self) -> None:
        """Raise InvalidBotError for a symbol without a bar in a month."""
        rows, _ = await self._page("1Day", datetime.now(UTC) - _LOOK_BACK, 1, "")
        if not rows:
            raise InvalidBotError(
                f"symbol: {self.key.symbol!r} has no bars at Alpaca; allowed: a US share such as AAPL, or a pair such"
                " as BTC/USD, here or in data.symbol"
            )

    async def closed_bars(self, start: datetime, limit: int) -> list[Bar]:
        found: list[Bar] = []
        token = ""
        while True:
            now = self.now()  # before the question: what closes while it is under way counts next time
            rows, token = await self._page(self._timeframe, start, min(limit - len(found), _PAGE), token)
            bars = [bar for bar in map(self._bar, rows) if bar.time >= start]
            found += [bar for bar in bars if is_closed(bar.time, self.key.interval, now)]
            if not token or len(found) >= limit:
                return sorted(found)

    def stream(self) -> AsyncIterator[Bar] | None:
        return None

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _page(self, timeframe: str, start: datetime, limit: int, token: str) -> tuple[list[Any], str]:
        """Return some of the bars from `start` on, oldest first, and what to ask for the next ones with."""
        query = {"timeframe": timeframe, "start": start.astimezone(UTC).isoformat(), "limit": str(limit), "sort": "asc"}
        query |= {"page_token": token} if token else {}
        if self.continuous:
            document = await self._ask("/v1beta3/crypto/us/bars", query | {"symbols": self.key.symbol})
            rows = (document.get("bars") or {}).get(self.key.symbol)
        else:
            more = {"adjustment": "split", "feed": self._feed}
            document = await self._ask(f"/v2/stocks/{self.key.symbol}/bars", query | more)
            rows = document.get("bars")
        return list(rows or ()), str(document.get("next_page_token") or "")

    async def _ask(self, path: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        asked = self._clock.mark()
        answer = await self._http.request("GET", path, query=query)
        if answer.date:
            self._clock.read(parsedate_to_datetime(answer.date), asked)
        if answer.ok and isinstance(answer.document, Mapping):
            return answer.document
        reason = f"{self.key}: Alpaca says: {answer.message} (HTTP {answer.status})"
        if answer.status in _KEYS_REFUSED:
            raise InvalidBotError(f"{reason}; looked at: {' and '.join(KEY_VARIABLES)}, {FEED_VARIABLE} {self._feed}")
        if answer.status in _REFUSED:
            raise InvalidBotError(f"{reason}; allowed: a symbol such as AAPL or BTC/USD, here or in data.symbol")
        raise TransientError(reason)

    def _bar(self, row: Mapping[str, Any]) -> Bar:
        try:
            values = (float(row[name]) for name in "ohlcv")
            return Bar(datetime.fromisoformat(row["t"]).astimezone(UTC), *values)
        except (LookupError, TypeError, ValueError) as error:
            raise TransientError(f"{self.key}: unreadable bar: {str(row)[:200]}") from error


def _timeframe(interval: str) -> str:
    unit, most = _UNITS.get(interval[-1], ("", 0))
    if not unit or int(interval[:-1]) > most:
        raise InvalidBotError(f"data.interval: {interval!r} is no interval of Alpaca; allowed: {_ALLOWED}")
    return interval[:-1] + unit


def _feed() -> str:
    feed = os.environ.get(FEED_VARIABLE) or "iex"
    if feed not in _FEEDS:
        raise InvalidBotError(f"{FEED_VARIABLE}: {feed!r} is no feed of Alpaca; allowed: {', '.join(_FEEDS)}")
    return feed


def _keys() -> Credentials:
    key, secret = (os.environ.get(name, "") for name in KEY_VARIABLES)
    if not key or not secret:
        raise InvalidBotError(
            f"data.data_source: bars of shares from alpaca need keys; set {' and '.join(KEY_VARIABLES)}"
        )
    return Credentials(" and ".join(KEY_VARIABLES), key, secret)
