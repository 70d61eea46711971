import json
from decimal import Decimal
from pathlib import Path

import pytest

from bot_core.models.strategy import parse_strategy
from bot_runtime.engine.backtest import run_backtest
from bot_runtime.feeds.csv_bars import read_csv_bars
from bot_runtime.strategies.registry import ENTRIES, EXITS, build_sizing, build_strategy

SHARED = Path(__file__).parents[3].parent / "shared"
GOLDEN = SHARED / "golden"
INTERVALS = {"1m": 60, "5m": 300, "30m": 1800}


def supported_runs():
    for path in sorted(GOLDEN.glob("*.json")):
        _, entry, exit_, *_ = path.stem.split("__")
        if entry in ENTRIES and exit_ in EXITS:
            yield pytest.param(path, id=path.stem)


MISSING = pytest.param(None, marks=pytest.mark.skip(reason=f"NO GOLDEN TRADES CHECKED: none in {GOLDEN}"))
RUNS = list(supported_runs()) or [MISSING]


@pytest.mark.parametrize("path", RUNS)
def test_trades_equal_the_golden_ones(path):
    golden = json.loads(path.read_text())
    config, problems, _ = parse_strategy(golden["config"])
    assert config is not None, problems
    strategy = build_strategy(config)
    assert strategy.first_bar == golden["first_bar"]
    interval = INTERVALS[golden["dataset"].split("-")[1]]
    result = run_backtest(
        strategy,
        read_csv_bars(SHARED / "market" / f"{golden['dataset']}.csv", interval),
        position_size=build_sizing(config),
        cash=Decimal(str(golden["cash"])),
        commission=Decimal(str(golden["commission"])),
    ).to_json()
    assert [exact(trade) for trade in result["trades"]] == [exact(trade) for trade in golden["trades"]]
    for trade, expected in zip(result["trades"], golden["trades"], strict=True):
        assert trade["entry_price"] == pytest.approx(expected["entry_price"], rel=1e-9)
        assert trade["exit_price"] == pytest.approx(expected["exit_price"], rel=1e-9)
        assert trade["size"] == pytest.approx(expected["size"], rel=1e-8)
        assert trade["net_pnl"] == pytest.approx(expected["net_pnl"], rel=1e-6)
        assert trade["commission"] == pytest.approx(expected["commission"], rel=1e-6)
    assert exact(result["open_position"]) == exact(golden["open_position"])
    assert result["final_value"] == pytest.approx(golden["final_value"], rel=1e-8)


def exact(trade):
    names = ("signal_time", "entry_time", "exit_time", "exit_reason", "direction")
    return None if trade is None else {name: trade.get(name) for name in names}
