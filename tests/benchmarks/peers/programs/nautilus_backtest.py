"""nautilus_trader's low-level backtest, bars in memory; with a number, so many strategies on 20 instruments instead."""

import sys
import time

import pandas as pd
from nautilus_strategy import VENUE, RsiBbAtr, RsiBbAtrConfig, bar_type, instrument
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, RiskEngineConfig
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import Bar
from nautilus_trader.model.enums import AccountType, OmsType
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Money
from nautilus_trader.persistence.wranglers import BarDataWrangler
from reading import peak_mib, report, resident_mib

COINS = ("ETH", "BTC", "BNB", "SOL", "LTC", "ADA", "XRP", "DOT", "DOGE", "AVAX", "LINK", "UNI", "ATOM", "XLM", "ETC",
         "FIL", "TRX", "EOS", "AAVE", "NEO")  # fmt: skip


def an_engine() -> BacktestEngine:
    config = BacktestEngineConfig(
        logging=LoggingConfig(bypass_logging=True),
        risk_engine=RiskEngineConfig(max_order_submit_rate="1000000/00:00:01"),  # all bars of a minute come at once
        run_analysis=False,
    )
    engine = BacktestEngine(config)
    engine.add_venue(VENUE, OmsType.NETTING, AccountType.CASH, [Money(10_000, USDT)])
    return engine


def bars_of(path: str, pair: CurrencyPair, count: int | None = None) -> list[Bar]:
    frame = pd.read_csv(path, nrows=count)
    frame["timestamp"] = pd.to_datetime(frame["timestamp"] + 60_000, unit="ms", utc=True)  # it is known at its close
    return BarDataWrangler(bar_type(pair), pair).process(frame.set_index("timestamp"))


def backtest(path: str) -> None:
    engine, pair = an_engine(), instrument("ETH")
    engine.add_instrument(pair)
    engine.add_data(bars_of(path, pair))
    strategy = RsiBbAtr(RsiBbAtrConfig(bars=bar_type(pair)))
    engine.add_strategy(strategy)
    since = time.perf_counter()
    engine.run()
    report(seconds=time.perf_counter() - since, peak=peak_mib(), trades=strategy.trades)


def many(path: str, count: int, history: int = 500) -> None:
    """Tell what is resident after so many bars of each instrument."""
    engine, pairs = an_engine(), [instrument(coin) for coin in COINS]
    for pair in pairs:
        engine.add_instrument(pair)
        engine.add_data(bars_of(path, pair, history))
    for number in range(count):
        pair = pairs[number % len(pairs)]
        config = RsiBbAtrConfig(bars=bar_type(pair), share=0.1 / count, order_id_tag=f"{number:04}")
        engine.add_strategy(RsiBbAtr(config))
    engine.run()
    report(resident=resident_mib(), trades=sum(strategy.trades for strategy in engine.trader.strategies()))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        many(sys.argv[1], int(sys.argv[2]))
    else:
        backtest(sys.argv[1])
