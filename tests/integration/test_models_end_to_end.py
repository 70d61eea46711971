import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bot_core.store.database import Database
from bot_runtime.domain.bar import Bar
from bot_runtime.ml.regimes import Regimes
from support.bars import made_up_bars
from support.bots import a_document, an_instance, books, insert_bot, run_to_the_end, surroundings
from support.models import stump, write_boosters, write_cnn, write_hmm, write_trained_classifier, write_trained_lstm

FEATURES = ["log_return", {"name": "rsi", "period": 5}]
BARS = made_up_bars(300, seed=3, interval=3600)


def _onnx(folder: Path) -> dict[str, Any]:
    write_trained_classifier(folder / "up.onnx", BARS, FEATURES, 3)
    return {"model_path": "up.onnx", "features": FEATURES, "window": 3, "entry_threshold": 0.52, "exit_threshold": 0.5}


def _hmm_lstm(folder: Path) -> dict[str, Any]:
    write_hmm(folder / "hmm.json", ["log_return"], [[0.0], [0.0]], [[1e-6], [1e-4]])
    write_trained_lstm(folder / "lstm.onnx", BARS, FEATURES, 5, Regimes("hmm.json"))
    return {"hmm_model_path": "hmm.json", "lstm_model_path": "lstm.onnx", "prediction_threshold": 0.0003}


def _cnn_xgboost(folder: Path) -> dict[str, Any]:
    write_cnn(folder / "cnn.onnx", 10, pooled=2, features=FEATURES)
    write_boosters(folder / "xgb", [stump(3, 45.0, 1.5, -1.5)], 4)
    return {"cnn_model_path": "cnn.onnx", "xgb_models_dir": "xgb"}


KINDS = {"ONNXStrategy": _onnx, "HMMLSTMStrategy": _hmm_lstm, "CNNXGBoostStrategy": _cnn_xgboost}
ALL = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Any]]:
    monkeypatch.setenv("TRADINGBOT_MODELS", str(tmp_path))
    return lambda kind: a_document(strategy={"type": kind, "parameters": KINDS[kind](tmp_path)})


def written(bars: list[Bar], path: Path) -> Path:
    rows = ["timestamp,open,high,low,close,volume"]
    rows += [",".join([bar.time.isoformat(), *map(repr, bar[1:])]) for bar in bars]
    path.write_text("\n".join(rows))
    return path


@ALL
def test_a_model_trades_in_a_backtest_of_the_command_line(
    kind: str, document: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "bot.json").write_text(json.dumps(document(kind)))
    bars = written(BARS, tmp_path / "bars.csv")
    words = [sys.executable, "-m", "bot_runtime", "backtest", str(tmp_path / "bot.json"), "--bars", str(bars), "--json"]
    done = subprocess.run(words, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["trades"]) > 3


@ALL
async def test_a_model_trades_in_a_bot_and_a_restart_changes_nothing(
    kind: str, document: Callable[[str], dict[str, Any]], sqlite_url: str
) -> None:
    database = Database(sqlite_url)
    try:
        whole, parted = [await insert_bot(database, document(kind)) for _ in range(2)]
        await run_to_the_end(await an_instance(surroundings(database), whole))
        around = surroundings(database)
        instance = await an_instance(around, parted)
        instance.start(lambda _id, _died_of: None)
        async with asyncio.timeout(60):
            while instance.board.bars < 150:
                await asyncio.sleep(0)
        await instance.stop()
        await run_to_the_end(await an_instance(around, parted))
        first, second = await books(database, whole), await books(database, parted)
    finally:
        await database.aclose()
    assert len(first["trading_trades"]) > 3
    names = {(trade["strategy_name"], trade["entry_logic_name"]) for trade in first["trading_trades"]}
    assert names == {(kind, kind)}
    assert [(t["entry_time"], t["exit_time"], t["exit_reason"]) for t in first["trading_trades"]] == [
        (t["entry_time"], t["exit_time"], t["exit_reason"]) for t in second["trading_trades"]
    ]
    assert first["money"] == second["money"]


async def test_a_model_that_is_missing_stops_its_bot_alone_and_the_row_says_why(
    document: Callable[[str], dict[str, Any]], sqlite_url: str, tmp_path: Path
) -> None:
    database = Database(sqlite_url)
    try:
        bad, good = [await insert_bot(database, document("ONNXStrategy")) for _ in range(2)]
        around = surroundings(database)
        (tmp_path / "up.onnx").rename(tmp_path / "gone.onnx")
        instance = await an_instance(around, bad)
        await run_to_the_end(instance)
        (tmp_path / "gone.onnx").rename(tmp_path / "up.onnx")
        await run_to_the_end(await an_instance(around, good))
        row = await around.store.get(bad)
    finally:
        await database.aclose()
    assert row is not None
    assert row.status == "error"
    assert "model_path: 'up.onnx' is not in the folder of models" in row.extra_metadata["last_error"]
