"""A live node of nautilus_trader with its sandbox venue and one strategy that has taken in 500 bars of history.

It has no data client: on this machine there is no venue that it knows. That makes it start faster and idle cheaper.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from nautilus_strategy import VENUE, RsiBbAtr, RsiBbAtrConfig, bar_type, instrument
from nautilus_trader.adapters.sandbox.config import SandboxExecutionClientConfig
from nautilus_trader.adapters.sandbox.factory import SandboxLiveExecClientFactory
from nautilus_trader.config import LiveExecEngineConfig, LoggingConfig, TradingNodeConfig
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.data import Bar
from nautilus_trader.model.instruments import CurrencyPair
from reading import columns_of


def bars_of(path: str, pair: CurrencyPair) -> list[Bar]:
    times, *columns = columns_of(path)
    return [
        Bar(
            bar_type(pair),
            *(pair.make_price(price) for price in prices),
            pair.make_qty(volume),
            (time + 60_000) * 1_000_000,
            (time + 60_000) * 1_000_000,
        )
        for time, *prices, volume in zip(times, *columns, strict=True)
    ]


def main(path: str) -> None:
    pair = instrument("ETH")
    history = bars_of(path, pair)

    def take_in(strategy: RsiBbAtr) -> None:
        warm_up(strategy, history)
        Path("ready").touch()

    sandbox = SandboxExecutionClientConfig(
        venue=str(VENUE), starting_balances=["10000 USDT"], account_type="CASH", oms_type="NETTING"
    )
    node = TradingNode(
        TradingNodeConfig(
            trader_id="BENCH-001",
            timeout_post_stop=0.1,
            logging=LoggingConfig(log_level="WARNING"),
            exec_engine=LiveExecEngineConfig(reconciliation=False),
            exec_clients={str(VENUE): sandbox},
        )
    )
    node.add_exec_client_factory(str(VENUE), SandboxLiveExecClientFactory)
    node.cache.add_instrument(pair)
    node.trader.add_strategy(RsiBbAtr(RsiBbAtrConfig(bars=bar_type(pair)), take_in))
    node.build()
    try:
        node.run()
    finally:
        node.dispose()


def warm_up(strategy: RsiBbAtr, history: Sequence[Bar]) -> None:
    for bar in history:
        strategy.cache.add_bar(bar)
        close = bar.close.as_double()
        strategy.rsi.update_raw(close)
        strategy.atr.handle_bar(bar)
        strategy.bands.update_raw(close, close, close)


if __name__ == "__main__":
    main(sys.argv[1])
