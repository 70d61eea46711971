"""What a picture of a run shows, and thinning it to what a screen can show. Must not draw."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bot_runtime.domain.position import Position
from bot_runtime.domain.trade import Trade
from bot_runtime.engine.equity import Equity
from bot_runtime.engine.performance import trade_return
from bot_runtime.indicators.base import Floats, Integers


@dataclass(frozen=True, slots=True)
class Chart:
    """`figures` are a name, a value and a remark each, ready to be read."""

    title: str
    figures: tuple[tuple[str, str, str], ...]
    opening_cash: float
    equity: Equity
    trades: tuple[Trade, ...]
    open_position: Position | None


class Series(NamedTuple):
    """One element a bucket of bars: the time of its first bar, the lowest and the highest of its values."""

    time: Integers
    low: Floats
    high: Floats


def marked(trades: Sequence[Trade], most: int) -> Sequence[Trade]:
    """At most so many trades, as many of the best as of the worst, in the order in which they were given."""
    if len(trades) <= most:
        return trades
    order = np.argsort([trade_return(trade) for trade in trades], kind="stable")
    half = most // 2
    return [trades[place] for place in np.sort(np.concatenate((order[:half], order[len(order) - half :])))]


def thinned(time: Integers, values: Floats, buckets: int) -> Series:
    """Keep at most so many buckets of equally many bars; every extreme survives. Values alone where they are few."""
    if len(time) <= buckets:
        return Series(time, values, values)
    size = -(-len(time) // buckets)
    starts = np.arange(0, len(time), size)
    return Series(time[starts], np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts))
