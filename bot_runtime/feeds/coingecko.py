"""Bars from CoinGecko's public OHLC service, polled. They carry no volume: it is 0, and the feed says so.

CoinGecko gives candles of 30 minutes for one day and of 4 hours for up to 30 days, stamped with their close, from a
cache of some 15 minutes. So the last candle of an answer is never taken: it may have been open when it was cached.
Bars of 1h and 1d are made of whole groups of candles; where one is missing, there is no bar.
"""

import os
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from itertools import groupby
from typing import Any

from bot_core.models.errors import InvalidBotError, TransientError
from bot_runtime.domain.bar import Bar, from_epoch_ms
from bot_runtime.feeds.intervals import interval_seconds, open_of
from bot_runtime.feeds.json_client import JsonClient, RefusedThereError
from bot_runtime.feeds.market_source import MarketKey
from bot_runtime.feeds.pacer import Pacer

URL_VARIABLE = "TRADINGBOT_COINGECKO_URL"
ADDRESS = "https://api.coingecko.com"
PACE_SECONDS = 6.0
#: Coins whose CoinGecko id is known here; others need `data.coin_id`.
COINS = {
    "ADA": "cardano", "AVAX": "avalanche-2", "BCH": "bitcoin-cash", "BNB": "binancecoin", "BTC": "bitcoin",
    "DOGE": "dogecoin", "DOT": "polkadot", "ETC": "ethereum-classic", "ETH": "ethereum", "LINK": "chainlink",
    "LTC": "litecoin", "NEAR": "near", "SOL": "solana", "TRX": "tron", "UNI": "uniswap", "XLM": "stellar",
    "XMR": "monero", "XRP": "ripple",
}  # fmt: skip
_QUOTES = {"USDT": "usd", "USDC": "usd", "BUSD": "usd", "FDUSD": "usd", "USD": "usd", "EUR": "eur", "GBP": "gbp",
           "BTC": "btc", "ETH": "eth"}  # fmt: skip
# The candles that an interval is made of, and the spans in days for which CoinGecko gives them.
_MADE_OF = {"30m": "30m", "1h": "30m", "4h": "4h", "1d": "4h"}
_SPANS = {"30m": (1,), "4h": (7, 14, 30)}


def coin_and_quote(symbol: str, coin_id: str | None) -> tuple[str, str]:
    """Return CoinGecko's id of the coin and the currency that it is priced in. Raise InvalidBotError."""
    for name, quote in _QUOTES.items():
        base = symbol.removesuffix(name)
        if base and base != symbol and (coin_id or base in COINS):
            return coin_id or COINS[base], quote
    raise InvalidBotError(
        f"data.coin_id: is missing, and {symbol!r} is no pair whose coin is known; allowed: the id in the address of "
        f"the coin's page at CoinGecko, such as bitcoin, or a symbol of {', '.join(COINS)} and {', '.join(_QUOTES)}"
    )


class CoinGeckoSource:
    continuous = True

    def __init__(self, key: MarketKey, coin: str, quote: str, pacer: Pacer) -> None:
        self.key = key
        self._coin, self._quote = coin, quote
        if key.interval not in _MADE_OF:
            raise InvalidBotError(
                f"data.interval: {key.interval!r} is no interval of CoinGecko; allowed: {', '.join(_MADE_OF)}"
            )
        self._candle = _MADE_OF[key.interval]
        self._client = JsonClient("CoinGecko", os.environ.get(URL_VARIABLE) or ADDRESS, pacer)

    @property
    def clock_skew(self) -> float | None:
        return self._client.clock.skew

    def now(self) -> datetime:
        return self._client.clock.now()

    async def connect(self) -> None:
        """Read the clock; whether the coin is known shows when its bars are asked for."""
        await self._client.get("/api/v3/ping", {})

    async def closed_bars(self, start: datetime, limit: int) -> list[Bar]:  # noqa: ARG002 - it gives what it gives
        spans = _SPANS[self._candle]
        days = next((days for days in spans if start > self.now() - timedelta(days=days)), spans[-1])
        try:
            rows = await self._client.get(
                f"/api/v3/coins/{self._coin}/ohlc", {"vs_currency": self._quote, "days": days}
            )
        except RefusedThereError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            raise InvalidBotError(
                f"data.coin_id: {self._coin!r} is unknown to CoinGecko; allowed: the id in the address of the coin's "
                f"page there, such as bitcoin ({error})"
            ) from error
        return [bar for bar in self._joined(self._candles(rows)) if bar.time >= start]

    def stream(self) -> AsyncIterator[Bar] | None:
        return None

    async def aclose(self) -> None:
        await self._client.aclose()

    def _candles(self, rows: Any) -> list[Bar]:
        step = timedelta(seconds=interval_seconds(self._candle))
        try:
            candles = [Bar(from_epoch_ms(int(row[0])) - step, *map(float, (*row[1:5], 0))) for row in rows]
        except (LookupError, TypeError, ValueError) as error:
            raise TransientError(f"CoinGecko: unreadable bars of {self._coin}: {str(rows)[:200]}") from error
        now = self.now()
        whole = [bar for bar in candles[:-1] if bar.time == open_of(bar.time, self._candle) and bar.time + step <= now]
        return sorted(whole)

    def _joined(self, candles: Sequence[Bar]) -> list[Bar]:
        parts = interval_seconds(self.key.interval) // interval_seconds(self._candle)
        groups = groupby(candles, key=lambda bar: open_of(bar.time, self.key.interval))
        return [_join(time, bars) for time, group in groups if len(bars := list(group)) == parts]


def _join(time: datetime, bars: Sequence[Bar]) -> Bar:
    high, low = max(bar.high for bar in bars), min(bar.low for bar in bars)
    return Bar(time, bars[0].open, high, low, bars[-1].close, sum(bar.volume for bar in bars))
