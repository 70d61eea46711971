"""A market of a crypto exchange, by the client of ccxt that the process shares; Binance's also as a stream.

A bar is closed by the exchange's clock, which is read before the bars are. It trades nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from difflib import get_close_matches
from email.utils import parsedate_to_datetime
from typing import Any

from bot_core.models.errors import InvalidBotError, TransientError
from bot_runtime.domain.bar import Bar, epoch_ms, from_epoch_ms
from bot_runtime.feeds.binance_stream import closed_klines
from bot_runtime.feeds.intervals import canonical_interval, interval_seconds, is_closed
from bot_runtime.feeds.market_source import MarketKey
from bot_runtime.feeds.venue_clock import VenueClock
from bot_runtime.venues.ccxt_client import BINANCE_FAMILY, ClientHandle, public_client
from bot_runtime.venues.ccxt_import import ccxt_errors

CLOCK_SECONDS = 300.0
# Some exchanges answer for a span from the start alone: how many empty ones are gone through at once.
_MOST_SPANS = 20
_LONGEST_REASON = 300


class CcxtSource:
    """Polled, or streamed where `streamed` says so."""

    continuous = True

    def __init__(self, key: MarketKey, exchange_id: str, *, testnet: bool, streamed: bool) -> None:
        self.key = key
        self._exchange_id = exchange_id
        self._testnet = testnet
        self._streamed = streamed
        self._timeframe = canonical_interval(key.interval)
        self._clock = VenueClock()
        self._handle: ClientHandle | None = None
        self._market: dict[str, Any] = {}
        self._connecting = asyncio.Lock()

    @property
    def clock_skew(self) -> float | None:
        return self._clock.skew

    def now(self) -> datetime:
        return self._clock.now()

    async def connect(self) -> None:
        async with self._connecting:
            if self._handle is None:
                self._handle = await public_client(self._exchange_id, testnet=self._testnet)
            exchange = self._handle.exchange
            with _translated(self.key):
                if not await self._handle.load_market(self.key.symbol.replace("/", "")):
                    await exchange.load_markets(reload=True)  # to name those that are near
            self._market = find_market(exchange, self.key.symbol, "symbol")
            allowed = exchange.timeframes or {}
            if self._timeframe not in allowed:
                raise InvalidBotError(
                    f"data.interval: {self.key.interval!r} is no interval of {self._exchange_id}; "
                    f"allowed: {', '.join(allowed) or 'none, it has no bars'}"
                )
            await self._read_clock(exchange)

    async def closed_bars(self, start: datetime, limit: int) -> list[Bar]:
        if self._handle is None:
            await self.connect()
        assert self._handle is not None  # noqa: S101 - connect has set it
        exchange = self._handle.exchange
        await self._read_clock(exchange)
        span = timedelta(seconds=limit * interval_seconds(self.key.interval))
        for _ in range(1 if self._exchange_id in BINANCE_FAMILY else _MOST_SPANS):
            now = self.now()  # before the question: what closes while it is under way counts next time
            with _translated(self.key):
                rows = await exchange.fetch_ohlcv(self._market["symbol"], self._timeframe, epoch_ms(start), limit)
                bars = [_bar(row) for row in rows if None not in row]
            if rows or start + span > now:
                break
            start += span
        return sorted(bar for bar in bars if bar.time >= start and is_closed(bar.time, self.key.interval, now))

    def stream(self) -> AsyncIterator[Bar] | None:
        if not self._streamed:
            return None
        return closed_klines(
            self._exchange_id,
            testnet=self._testnet,
            market_id=self._market["id"],
            interval=self._timeframe,
            heard=self._clock.heard,
        )

    async def aclose(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            await handle.aclose()

    async def _read_clock(self, exchange: Any) -> None:
        if self._clock.age is not None and self._clock.age < CLOCK_SECONDS:
            return
        asked = self._clock.mark()
        if exchange.has.get("fetchTime"):
            with _translated(self.key):
                self._clock.read(from_epoch_ms(int(await exchange.fetch_time())), asked)
            return
        stamp = (exchange.last_response_headers or {}).get("Date")  # of an answer in the past: never too late
        if stamp:
            self._clock.read(parsedate_to_datetime(stamp), asked)


def find_market(exchange: Any, symbol: str, key: str) -> dict[str, Any]:
    """Return the spot market of a symbol such as BTCUSDT or BTC/USDT. Raise InvalidBotError where there is none."""
    spot = [market for market in exchange.markets.values() if market.get("spot")]
    for market in spot:
        if symbol in {market["symbol"], market["id"], f"{market['base']}{market['quote']}"}:
            found: dict[str, Any] = market
            return found
    names = [f"{market['base']}{market['quote']}" for market in spot]
    near = get_close_matches(symbol, names, n=5, cutoff=0.5) or sorted(names)[:5]
    raise InvalidBotError(
        f"{key}: {symbol!r} is no spot market of {exchange.id}; allowed: its {len(names)} markets, "
        f"such as {', '.join(near)}"
    )


def _bar(row: list[Any]) -> Bar:
    return Bar(from_epoch_ms(int(row[0])), *map(float, row[1:6]))


@contextmanager
def _translated(key: MarketKey) -> Iterator[None]:
    errors = ccxt_errors()
    try:
        yield
    except (errors.BadSymbol, errors.NotSupported, errors.AuthenticationError) as error:
        raise InvalidBotError(f"{key}: the venue refuses: {_reason(error)}") from error
    except errors.BaseError as error:
        raise TransientError(f"{key}: {_reason(error)}") from error
    except (LookupError, TypeError, ValueError, AttributeError, OSError) as error:
        raise TransientError(f"{key}: unreadable answer: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:_LONGEST_REASON]
