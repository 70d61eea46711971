"""The same strategy in backtrader: its own indicators, bars in memory, orders at the next open."""

import sys
import time
from datetime import UTC, datetime

import backtrader as bt
from reading import Columns, columns_of, peak_mib, report


class Memory(bt.feed.DataBase):
    """Bars from memory. What loading them takes is not counted: the strategy is made when they are loaded."""

    params = (("columns", None),)

    def start(self) -> None:
        super().start()
        self._rows = zip(*self.p.columns, strict=True)

    def _load(self) -> bool:
        row = next(self._rows, None)
        if row is None:
            return False
        stamp, *values = row
        self.lines.datetime[0] = bt.date2num(datetime.fromtimestamp(stamp / 1000, UTC))
        for line, value in zip(
            (self.l.open, self.l.high, self.l.low, self.l.close, self.l.volume), values, strict=True
        ):
            line[0] = value
        self.lines.openinterest[0] = 0.0
        return True


class RsiBbAtr(bt.Strategy):
    params = (("cooldown", 5), ("multiplier", 2.0))

    def __init__(self) -> None:
        self.since = time.perf_counter()
        self.seconds = 0.0
        self.trades = 0
        self.rsi = bt.indicators.RSI_Safe(self.data.close, period=14)
        self.bands = bt.indicators.BollingerBands(self.data.close, period=20, devfactor=2.0)
        self.atr = bt.indicators.AverageTrueRange(self.data, period=14)
        self.last_signal = -self.p.cooldown
        self.order = None
        self.highest = self.stop_at = self.entry_atr = 0.0

    def notify_order(self, order: bt.Order) -> None:
        if order.alive():
            return
        if order.status == order.Completed and order.isbuy():
            self.highest, self.stop_at = order.executed.price, float("-inf")
        elif order.status == order.Completed:
            self.trades += 1
        self.order = None

    def next(self) -> None:
        if self.order is not None:
            return
        close = self.data.close[0]
        if self.position.size:
            self.highest = max(self.highest, self.data.high[0])
            self.stop_at = max(self.stop_at, self.highest - self.p.multiplier * self.entry_atr)
            if close <= self.stop_at:
                self.order = self.close()
        elif len(self) - self.last_signal >= self.p.cooldown and (
            self.rsi[0] <= 30 or close <= self.bands.lines.bot[0]
        ):
            self.last_signal, self.entry_atr = len(self), self.atr[0]
            self.order = self.buy(size=self.broker.getcash() * 0.1 / close)

    def stop(self) -> None:
        self.seconds = time.perf_counter() - self.since


def run(columns: Columns) -> RsiBbAtr:
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(Memory(columns=columns, timeframe=bt.TimeFrame.Minutes))
    cerebro.addstrategy(RsiBbAtr)
    cerebro.broker.setcash(10_000.0)
    cerebro.broker.setcommission(commission=0.001)
    strategy: RsiBbAtr = cerebro.run()[0]
    return strategy


if __name__ == "__main__":
    found = run(columns_of(sys.argv[1]))
    report(seconds=found.seconds, peak=peak_mib(), trades=found.trades)
