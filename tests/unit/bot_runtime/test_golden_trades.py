import json
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest

from bot_core.models.strategy import parse_strategy
from bot_runtime.engine.backtest import run_backtest
from bot_runtime.feeds.csv_bars import read_csv_bars
from bot_runtime.strategies.registry import build_sizing, build_strategy

SHARED = Path(__file__).parents[3].parent / "shared"
GOLDEN = SHARED / "golden"
INTERVALS = {"1m": 60, "5m": 300, "30m": 1800}


MISSING = pytest.param(None, marks=pytest.mark.skip(reason=f"NO GOLDEN TRADES CHECKED: none in {GOLDEN}"))
RUNS = [pytest.param(path, id=path.stem) for path in sorted(GOLDEN.glob("*.json"))] or [MISSING]


# Its note says "zero falls back to 30". By the readings a threshold of 0 is 0, so that it never trades: as it is
# written the document asks for nothing, and the file holds the trades of a document that asks for 30.
READ_AS_THE_DEFAULT = "ETH_BTC-5m__RSIBBEntryMixin__TimeBasedExitMixin__1"


@cache
def bars_of(dataset):
    return read_csv_bars(SHARED / "market" / f"{dataset}.csv", INTERVALS[dataset.split("-")[1]])


@pytest.mark.parametrize("path", RUNS)
def test_trades_equal_the_golden_ones(path):
    golden = json.loads(path.read_text())
    if path.stem == READ_AS_THE_DEFAULT:
        assert run(golden)["trades"] == []
        entry = golden["config"]["parameters"]["entry_logic"]["params"]
        assert entry["rsi_oversold"] == 0
        entry["rsi_oversold"] = 30
    result = run(golden)
    assert [exact(trade) for trade in result["trades"]] == [exact(trade) for trade in golden["trades"]]
    for trade, expected in zip(result["trades"], golden["trades"], strict=True):
        assert trade["entry_price"] == pytest.approx(expected["entry_price"], rel=1e-9)
        assert trade["exit_price"] == pytest.approx(expected["exit_price"], rel=1e-9)
        assert trade["size"] == pytest.approx(expected["size"], rel=1e-8)
        assert trade["net_pnl"] == pytest.approx(expected["net_pnl"], rel=1e-6)
        assert trade["commission"] == pytest.approx(expected["commission"], rel=1e-6)
    assert exact(result["open_position"]) == exact(golden["open_position"])
    assert result["final_value"] == pytest.approx(golden["final_value"], rel=1e-8)


def run(golden):
    config, problems, _ = parse_strategy(golden["config"])
    assert config is not None, problems
    strategy = build_strategy(config)
    assert strategy.first_bar == golden["first_bar"]
    return run_backtest(
        strategy,
        bars_of(golden["dataset"]),
        position_size=build_sizing(config),
        cash=Decimal(str(golden["cash"])),
        commission=Decimal(str(golden["commission"])),
    ).to_json()


def exact(trade):
    if trade is None:
        return None
    times = {name: trade.get(name) for name in ("signal_time", "entry_time", "exit_time", "direction")}
    return {**times, "reason": (trade.get("exit_reason") or "").partition(":")[0]}
