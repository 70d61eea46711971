"""The decisions of RSI, Bollinger bands and ATR as a plain loop over floats: what Python itself takes. No framework."""

import math
import sys
import time
from collections.abc import Iterator, Sequence

from reading import columns_of, peak_mib, report

PERIOD, BAND, OVERSOLD, DEVIATIONS, COOLDOWN, MULTIPLIER = 14, 20, 30.0, 2.0, 5, 2.0
COMMISSION, SHARE, CASH = 0.001, 0.1, 10_000.0
FIRST = BAND + 1


def indicators(
    high: Sequence[float], low: Sequence[float], close: Sequence[float]
) -> Iterator[tuple[float, float, float]]:
    """Yield RSI, lower band and ATR of each bar from `FIRST` on: Wilder's averages and a sliding variance."""
    changes = [close[index] - close[index - 1] for index in range(1, PERIOD + 1)]
    gain = sum(max(change, 0.0) for change in changes) / PERIOD
    loss = sum(max(-change, 0.0) for change in changes) / PERIOD
    atr = sum(true_range(high, low, close, index) for index in range(1, PERIOD + 1)) / PERIOD
    mean = sum(close[:BAND]) / BAND
    squares = sum((price - mean) ** 2 for price in close[:BAND])
    kept = PERIOD - 1
    for index in range(PERIOD + 1, len(close)):
        price = close[index]
        change = price - close[index - 1]
        gain = (gain * kept + (change if change > 0 else 0.0)) / PERIOD
        loss = (loss * kept - (change if change < 0 else 0.0)) / PERIOD
        atr = (atr * kept + true_range(high, low, close, index)) / PERIOD
        if index < BAND:
            continue
        gone, before = close[index - BAND], mean
        mean += (price - gone) / BAND
        squares += (price - gone) * (price - mean + gone - before)
        if index >= FIRST:
            width = math.sqrt(squares / BAND) if squares > 0 else 0.0
            moved = gain + loss
            yield 100 * gain / moved if moved else 0.0, mean - DEVIATIONS * width, atr


def true_range(high: Sequence[float], low: Sequence[float], close: Sequence[float], index: int) -> float:
    before = close[index - 1]
    top, bottom = high[index], low[index]
    return (max(before, top)) - (min(before, bottom))


def run(
    time_: Sequence[int], open_: Sequence[float], high: Sequence[float], low: Sequence[float], close: Sequence[float]
) -> list[tuple[int, int, float]]:
    """Return the times of entry and exit of each trade, and what it earned."""
    trades = []
    cash, size, entry_price, entry_time = CASH, 0.0, 0.0, 0
    highest = stop = entry_atr = wanted = 0.0
    last_signal, buys, sells = -COOLDOWN, False, False
    for index, (rsi, lower, atr) in enumerate(indicators(high, low, close), FIRST):
        price = open_[index]
        if buys:
            size, entry_price, entry_time, buys = wanted, price, time_[index], False
            cash -= size * price * (1 + COMMISSION)
            highest = price
            stop = -math.inf
        elif sells:
            cash += size * price * (1 - COMMISSION)
            paid = COMMISSION * size * (price + entry_price)
            trades.append((entry_time, time_[index], size * (price - entry_price) - paid))
            size, sells = 0.0, False
        price = close[index]
        if size:
            highest = max(highest, high[index])
            stop = max(stop, highest - MULTIPLIER * entry_atr)
            sells = price <= stop
        elif index - last_signal >= COOLDOWN and (rsi <= OVERSOLD or price <= lower):
            last_signal, entry_atr, buys, wanted = index, atr, True, cash * SHARE / price
    return trades


if __name__ == "__main__":
    columns = [column.tolist() for column in columns_of(sys.argv[1])]
    since = time.perf_counter()
    trades = run(*columns[:5])
    seconds = time.perf_counter() - since
    report(seconds=seconds, peak=peak_mib(), trades=[(entered, left) for entered, left, _ in trades])
