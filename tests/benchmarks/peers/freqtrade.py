"""freqtrade as a user would configure it, but for the addresses of its exchange: ours, which speaks as Binance does."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.environments import PROGRAMS, python_of
from benchmarks.processes import Watched, watched
from benchmarks.report import PROJECT

ONE_PAIR = ("ETH/USDT",)
MORE_PAIRS = 20
_COINS = [f"COIN{number}" for number in range(1, MORE_PAIRS + 1)]


@contextmanager
def exchange(folder: Path) -> Iterator[str]:
    """The address of an exchange with some coins more than the tests need."""
    command = [sys.executable, PROGRAMS / "exchange.py", *_COINS]
    environment = {"PYTHONPATH": str(PROJECT / "tests")}
    with watched(command, os.environ | environment, folder / "exchange" / "log") as process:
        process.until(lambda: process.log.read_text().endswith("\n"))
        yield process.log.read_text().strip()


def with_more_pairs() -> tuple[str, ...]:
    return (*ONE_PAIR, *(f"{coin}/USDT" for coin in _COINS))


def configuration(path: Path, url: str, pairs: Sequence[str]) -> Path:
    """Write one for a dry run; everything that is not named has freqtrade's default, the websocket too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rest = dict.fromkeys(("public", "private"), f"{url}/api/v3")
    streams = {"ws": {"spot": f"{url.replace('http', 'ws', 1)}/ws"}}
    prices = {"price_side": "same", "use_order_book": False}
    document = {
        "dry_run": True,
        "initial_state": "running",
        "stake_currency": "USDT",
        "stake_amount": 1000,
        "dry_run_wallet": 10_000_000,
        "max_open_trades": 1,
        "timeframe": "1m",
        "entry_pricing": prices,
        "exit_pricing": prices,
        "exchange": {
            "name": "binance",
            "pair_whitelist": list(pairs),
            "ccxt_config": {"urls": {"api": rest | streams}, "options": {"fetchMarkets": {"types": ["spot"]}}},
        },
        "pairlists": [{"method": "StaticPairList"}],
    }
    path.write_text(json.dumps(document))
    return path


@contextmanager
def dry_run(folder: Path, url: str, pairs: Sequence[str] = ONE_PAIR) -> Iterator[Watched]:
    """A bot that is ready when its strategy has seen the history of every pair: then there is a file `ready`."""
    (folder / "user").mkdir(parents=True)
    command = [
        python_of("freqtrade"), "-m", "freqtrade", "trade",
        "--config", configuration(folder / "config.json", url, pairs),
        "--userdir", folder / "user",
        "--strategy-path", PROGRAMS / "freqtrade_strategies", "--strategy", "RsiBbAtrTelling",
        "--db-url", f"sqlite:///{folder}/trades.sqlite",
    ]  # fmt: skip
    with watched(command, {}, folder / "log") as process:
        yield process
