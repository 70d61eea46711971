"""freqtrade's own backtesting of the strategy, bars in memory: `store BARS FOLDER`, then `run CONFIG FOLDER`."""

import shutil
import sys
import time
from pathlib import Path

import pandas as pd
from freqtrade.configuration import setup_utils_configuration
from freqtrade.data.history import get_datahandler
from freqtrade.enums import CandleType, RunMode
from freqtrade.optimize.backtesting import Backtesting
from reading import peak_mib, report

PAIR = "ETH/USDT"


def store(bars: str, folder: Path) -> None:
    """Turn the bars into what `freqtrade download-data` would have written."""
    frame = pd.read_csv(bars).rename(columns={"timestamp": "date"})
    frame["date"] = pd.to_datetime(frame["date"], unit="ms", utc=True)
    get_datahandler(folder, "feather").ohlcv_store(PAIR, "1m", frame, CandleType.SPOT)


def backtest(configuration: str, data: Path, home: Path) -> None:
    arguments = {
        "config": [configuration], "datadir": str(data), "user_data_dir": str(home), "strategy": "RsiBbAtr",
        "strategy_path": str(Path(__file__).with_name("freqtrade_strategies")), "fee": 0.001, "export": "none",
        "backtest_cache": "none",
    }  # fmt: skip
    backtesting = Backtesting(setup_utils_configuration(arguments, RunMode.BACKTEST))
    columns, timerange = backtesting.load_bt_data()
    strategy = backtesting.strategylist[0]
    since = time.perf_counter()
    backtesting.backtest_one_strategy(strategy, columns, timerange)
    seconds = time.perf_counter() - since
    trades = len(backtesting.all_bt_content[strategy.get_strategy_name()]["results"])
    report(seconds=seconds, peak=peak_mib(), trades=trades)


if __name__ == "__main__":
    what, source, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    if what == "store":
        shutil.rmtree(data)
        data.mkdir()
        store(source, data)
    else:
        backtest(source, data, folder)
