"""Bars from Yahoo's chart service (v8), polled. Prices as quoted: adjusted for splits, not for dividends.

Yahoo appends the last price as a row of its own, and stamps bars of days, weeks and months with the exchange's hours.
Such rows are dropped, and such bars get the date that they have there: at 00:00 UTC, the first or Monday.
"""

import os
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bot_core.models.errors import InvalidBotError, TransientError
from bot_runtime.domain.bar import Bar, from_epoch_ms
from bot_runtime.feeds.intervals import canonical_interval, interval_seconds, is_closed, open_of
from bot_runtime.feeds.json_client import JsonClient, RefusedThereError, whole_second
from bot_runtime.feeds.market_source import MarketKey
from bot_runtime.feeds.pacer import Pacer

URL_VARIABLE = "TRADINGBOT_YAHOO_URL"
ADDRESS = "https://query1.finance.yahoo.com"
PACE_SECONDS = 1.0
_NAMES = {"1m": "1m", "2m": "2m", "5m": "5m", "15m": "15m", "30m": "30m", "90m": "90m", "1h": "1h",
          "1d": "1d", "1w": "1wk", "1M": "1mo"}  # fmt: skip
# How far back Yahoo goes, and how much it gives at once, in days; daily and longer bars: everything.
_REACH = {"1m": (29, 7), "1h": (729, 729)}
_REACH_OF_MINUTES = (59, 59)
_ALL_DAYS = 200 * 365
_DAY_SECONDS = 86_400
# The answer for a span before the first bar.
_NOTHING_THERE = "Data doesn't exist for startDate"
_DOLLARS = ("USDT", "USDC", "BUSD", "FDUSD")
_SHORTEST_PAIR = 6
_CURRENCIES = frozenset({"EUR", "GBP", "AUD", "NZD", "CAD", "CHF", "JPY"})


def yahoo_symbol(symbol: str) -> str:
    """Return Yahoo's name: BTCUSDT is BTC-USD there, EURUSD is EURUSD=X, and AAPL or what is Yahoo's own stays."""
    for dollar in _DOLLARS:
        if symbol.endswith(dollar) and len(symbol) > len(dollar) + 1:
            return f"{symbol.removesuffix(dollar)}-USD"
    if symbol.endswith("USD") and len(symbol) >= _SHORTEST_PAIR and symbol.isalnum():
        base = symbol.removesuffix("USD")
        return f"{symbol}=X" if base in _CURRENCIES else f"{base}-USD"
    return symbol


class YahooSource:
    def __init__(self, key: MarketKey, pacer: Pacer) -> None:
        self.key = key
        self.continuous = False
        self._interval = canonical_interval(key.interval)
        if self._interval not in _NAMES:
            raise InvalidBotError(
                f"data.interval: {key.interval!r} is no interval of Yahoo; allowed: {', '.join(_NAMES)}"
            )
        self._client = JsonClient("Yahoo", os.environ.get(URL_VARIABLE) or ADDRESS, pacer)

    @property
    def clock_skew(self) -> float | None:
        return self._client.clock.skew

    def now(self) -> datetime:
        return self._client.clock.now()

    async def connect(self) -> None:
        now = datetime.now(UTC)
        meta = (await self._ask(now - timedelta(days=1), now)).get("meta") or {}
        self.continuous = meta.get("instrumentType") == "CRYPTOCURRENCY"

    async def closed_bars(self, start: datetime, limit: int) -> list[Bar]:  # noqa: ARG002 - by time alone
        days, at_once = self._reach()
        now = self.now()
        start = max(start, now - timedelta(days=days)) if days < _ALL_DAYS else start
        while True:
            end = min(now + timedelta(days=1), start + timedelta(days=at_once))
            asked = self.now()
            bars = [bar for bar in self._bars(await self._ask(start, end)) if bar.time >= start]
            closed = [bar for bar in bars if is_closed(bar.time, self._interval, asked)]
            if closed or end >= now:
                return closed
            start = end

    def stream(self) -> AsyncIterator[Bar] | None:
        return None

    async def aclose(self) -> None:
        await self._client.aclose()

    def _reach(self) -> tuple[int, int]:
        if interval_seconds(self._interval) >= _DAY_SECONDS:
            return (_ALL_DAYS, _ALL_DAYS)
        return _REACH.get(self._interval, _REACH_OF_MINUTES)

    async def _ask(self, start: datetime, end: datetime) -> Mapping[str, Any]:
        # A bar of a day is stamped with its hours: the span begins a day early, to hold the first one.
        early = timedelta(days=1) if interval_seconds(self._interval) >= _DAY_SECONDS else timedelta()
        params: dict[str, str | int] = {"interval": _NAMES[self._interval], "includePrePost": "false"}
        params |= {"period1": whole_second(start - early), "period2": whole_second(end)}
        try:
            answer = await self._client.get(f"/v8/finance/chart/{self.key.symbol}", params)
        except RefusedThereError as error:
            if error.status == HTTPStatus.BAD_REQUEST and _NOTHING_THERE in error.text:
                return {}
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            raise InvalidBotError(
                f"symbol: {self.key.symbol!r} is unknown to Yahoo, or has no bars of {self.key.interval}; allowed: "
                f"a symbol such as AAPL or BTC-USD, here or in data.symbol ({error})"
            ) from error
        try:
            result: Mapping[str, Any] = answer["chart"]["result"][0]
        except (LookupError, TypeError) as error:
            raise TransientError(f"Yahoo: unreadable answer for {self.key.symbol}: {str(answer)[:200]}") from error
        return result

    def _bars(self, result: Mapping[str, Any]) -> list[Bar]:
        meta = result.get("meta") or {}
        if not result.get("timestamp"):
            return []
        try:
            quote = result["indicators"]["quote"][0]
            columns = [quote.get(name) or [] for name in ("open", "high", "low", "close", "volume")]
            rows = list(zip(result["timestamp"], *columns, strict=True))
            if rows[-1][0] == meta.get("regularMarketTime") and self._within_a_day:
                rows.pop()
            found: dict[datetime, Bar] = {}
            for stamp, *values in rows:
                if None not in values:
                    time = self._open(int(stamp), meta)
                    found.setdefault(time, Bar(time, *map(float, values)))
        except (LookupError, TypeError, ValueError) as error:
            raise TransientError(f"Yahoo: unreadable bars of {self.key.symbol}: {error}") from error
        return sorted(found.values())

    @property
    def _within_a_day(self) -> bool:
        return interval_seconds(self._interval) < _DAY_SECONDS

    def _open(self, stamp: int, meta: Mapping[str, Any]) -> datetime:
        time = from_epoch_ms(stamp * 1000)
        if self._within_a_day:
            return time
        try:
            there = time.astimezone(ZoneInfo(str(meta.get("exchangeTimezoneName") or "UTC")))
        except (ZoneInfoNotFoundError, ValueError):
            there = time + timedelta(seconds=float(meta.get("gmtoffset") or 0))
        return open_of(there.replace(tzinfo=UTC), self._interval)
