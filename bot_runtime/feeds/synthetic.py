"""Made-up market data: any bar of an endless series, at once, from its index alone. Pure; no clock, no loop.

Log prices run as a Brownian bridge through each block of bars, between anchors that are hashed from the block's
number; anchors are sums of slow swings, so prices wander and stay in bounds. Within a block volatility comes in
clusters, moves have some momentum, and half of its stretches trend. Volume rises with the size of the move.
"""

import math
import random
from functools import lru_cache
from typing import NamedTuple

BLOCK = 1024
_STRETCH = 32
_HOURLY_VOLATILITY = 0.006
_MOMENTUM = 0.25
_TREND_CHANCE = 0.5
_TREND_STRENGTH = 0.5
# Slow swings: every so many blocks a new value, of this weight in volatilities of one block.
_SWINGS = ((1, 0.5), (5, 1.0), (23, 1.5))
_BASE_PRICES = {"BTC": 42_000.0, "ETH": 2_300.0, "BNB": 310.0, "SOL": 95.0, "LTC": 72.0, "ADA": 0.6, "XRP": 0.62}
_DECIMALS = 8


class Quote(NamedTuple):
    """Prices and volume of one bar."""

    open: float
    high: float
    low: float
    close: float
    volume: float


class SyntheticMarket:
    """One series, a function of seed, symbol and interval."""

    def __init__(self, seed: int, symbol: str, interval_seconds: int) -> None:
        self._name = f"{seed}/{symbol}/{interval_seconds}"
        self._volatility = _HOURLY_VOLATILITY * math.sqrt(interval_seconds / 3600)
        self._base = math.log(_base_price(symbol))
        self._block = lru_cache(maxsize=4)(self._make_block)

    def quote(self, index: int) -> Quote:
        """The bar with this index, from 0."""
        block, place = divmod(index, BLOCK)
        return self._block(block)[place]

    def _make_block(self, block: int) -> tuple[Quote, ...]:
        rng = random.Random(f"{self._name}/block/{block}")  # noqa: S311 - made-up prices, not secrets
        volatilities, steps = self._steps(rng)
        path = _bridge(self._anchor(block), self._anchor(block + 1), steps)
        return tuple(
            _quote(rng, path[place], path[place + 1], volatilities[place], self._volatility) for place in range(BLOCK)
        )

    def _steps(self, rng: random.Random) -> tuple[list[float], list[float]]:
        """Volatility and raw log return of each bar of a block."""
        volatilities: list[float] = []
        steps: list[float] = []
        step = 0.0
        for _ in range(BLOCK // _STRETCH):
            volatility = self._volatility * math.exp(rng.gauss(-0.1, 0.45))
            trend = rng.choice((-1, 1)) * _TREND_STRENGTH if rng.random() < _TREND_CHANCE else 0.0
            for _ in range(_STRETCH):
                step = _MOMENTUM * step + volatility * (rng.gauss(0.0, 1.0) + trend * (1 - _MOMENTUM))
                volatilities.append(volatility)
                steps.append(step)
        return volatilities, steps

    def _anchor(self, block: int) -> float:
        """Log price at the start of a block."""
        swing = sum(weight * self._swing(block, blocks) for blocks, weight in _SWINGS)
        return self._base + swing * self._volatility * math.sqrt(BLOCK)

    def _swing(self, block: int, blocks: int) -> float:
        number, place = divmod(block, blocks)
        share = (1 - math.cos(math.pi * place / blocks)) / 2
        here, there = (
            random.Random(f"{self._name}/swing/{blocks}/{knot}").gauss(0.0, 1.0)  # noqa: S311 - made-up prices
            for knot in (number, number + 1)
        )
        return here + (there - here) * share


def _base_price(symbol: str) -> float:
    for coin, price in _BASE_PRICES.items():
        if symbol.upper().startswith(coin):
            return price
    return 10 ** random.Random(f"price of {symbol}").uniform(0.0, 2.5)  # noqa: S311 - made-up prices


def _bridge(start: float, end: float, steps: list[float]) -> list[float]:
    """A path of len(steps) + 1 points from `start` to `end` with the roughness of `steps`."""
    drift = (end - start - math.fsum(steps)) / len(steps)
    path = [start]
    for step in steps:
        path.append(path[-1] + step + drift)
    return path


def _quote(rng: random.Random, before: float, after: float, volatility: float, usual: float) -> Quote:
    open_, close = math.exp(before), math.exp(after)
    high = max(open_, close) * math.exp(abs(rng.gauss(0.0, 0.4)) * volatility)
    low = min(open_, close) * math.exp(-abs(rng.gauss(0.0, 0.4)) * volatility)
    move = abs(after - before) / usual
    volume = 1e6 / open_ * (0.5 + move) * math.exp(rng.gauss(0.0, 0.35))
    return Quote(*(round(value, _DECIMALS) for value in (open_, high, low, close, volume)))
