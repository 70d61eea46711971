import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bot_core.models.extensions import use_extensions
from bot_core.store.database import Database
from bot_runtime import plugins as module
from bot_runtime.plugins import Plugins, install
from support.bars import made_up_bars, strategy_document
from support.bots import a_document, an_instance, books, insert_bot, run_to_the_end, surroundings
from support.plugins import install_wheel, write_folder, write_project

RULES = strategy_document("DipEntry", "HoldExit", {"e_period": 8}, {"x_bars": 4})
STRATEGY = {"type": "EveryTenth", "parameters": {"every": 10}}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Where the wheel is installed, and the folder of files."""
    folder = tmp_path_factory.mktemp("plugins")
    install_wheel(write_project(folder / "project"), folder / "site")
    return folder / "site", write_folder(folder / "files")


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    rows = ["timestamp,open,high,low,close,volume"]
    rows += [",".join([bar.time.isoformat(), *map(repr, bar[1:])]) for bar in made_up_bars(300, interval=3600)]
    path = tmp_path / "bars.csv"
    path.write_text("\n".join(rows))
    return path


@pytest.fixture
def in_this_process(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(places[0]))
    monkeypatch.setenv("TRADINGBOT_PLUGINS", str(places[1]))
    monkeypatch.setattr(module, "_used", [])
    before = use_extensions(Plugins(list))
    install()
    yield
    use_extensions(before)


def tradingbot(places: tuple[Path, Path], *words: Any) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(places[0]), "TRADINGBOT_PLUGINS": str(places[1])}
    command = [sys.executable, "-m", "bot_runtime", *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def backtest(places: tuple[Path, Path], bars: Path, strategy: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    document = bars.with_name("bot.json")
    document.write_text(json.dumps(a_document(strategy=strategy)))
    return tradingbot(places, "backtest", document, "--bars", bars, "--json")


def times_of(found: dict[str, Any]) -> list[tuple[Any, Any]]:
    return [(trade["entry_time"], trade["exit_time"]) for trade in found["trading_trades"]]


def test_rules_of_an_installed_wheel_trade_in_a_backtest(places: tuple[Path, Path], bars: Path) -> None:
    done = backtest(places, bars, RULES)
    assert done.returncode == 0, done.stderr
    trades = json.loads(done.stdout)["trades"]
    assert len(trades) > 5
    assert {trade["exit_reason"] for trade in trades} == {"held_long_enough"}


def test_a_strategy_of_one_file_trades_in_a_backtest(places: tuple[Path, Path], bars: Path) -> None:
    done = backtest(places, bars, STRATEGY)
    assert done.returncode == 0, done.stderr
    trades = json.loads(done.stdout)["trades"]
    assert len(trades) > 20
    assert {trade["exit_reason"] for trade in trades} == {"five_bars"}


def test_broken_plugins_are_named_in_the_log_and_disturb_nothing(places: tuple[Path, Path], bars: Path) -> None:
    done = backtest(places, bars, RULES)
    assert done.stderr.count("plugin_refused") == 2
    assert "a_broken_one.py" in done.stderr
    assert "RSIOrBBEntryMixin is built in, and a plugin can't take its place" in done.stderr
    done = backtest(places, bars, strategy_document("BrokenEntry", "HoldExit"))
    assert done.returncode == 1
    assert "can't be used: plugin BrokenEntry of dip-rules" in done.stderr
    assert "RuntimeError: this plugin is broken" in done.stderr


def test_built_in_rules_trade_as_ever_and_ask_for_no_plugin(places: tuple[Path, Path], bars: Path) -> None:
    done = backtest(places, bars, strategy_document())
    assert done.returncode == 0
    assert "plugin" not in done.stderr
    assert json.loads(done.stdout)["trades"]


def test_the_command_lists_what_was_found_and_what_is_broken(places: tuple[Path, Path]) -> None:
    done = tradingbot(places, "plugins", "--json")
    found = {row["plugin"]: row["trouble"] for row in json.loads(done.stdout)}
    assert done.returncode == 1
    assert [name for name, trouble in found.items() if trouble is None] == [
        "brokers atonce",
        "entries DipEntry",
        "exits HoldExit",
        "strategies EveryTenth",
    ]
    assert sum("broken" in name or "BrokenEntry" in name for name in found) == 2


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("strategy", [RULES, STRATEGY], ids=["wheel", "file"])
async def test_plugins_trade_in_a_bot_and_a_restart_changes_nothing(sqlite_url: str, strategy: dict[str, Any]) -> None:
    database = Database(sqlite_url)
    try:
        whole, parted = [await insert_bot(database, a_document(strategy=strategy)) for _ in range(2)]
        await run_to_the_end(await an_instance(surroundings(database), whole))
        around = surroundings(database)
        instance = await an_instance(around, parted)
        instance.start(lambda _id, _died_of: None)
        async with asyncio.timeout(60):
            while instance.board.bars < 103:  # in the middle of a trade
                await asyncio.sleep(0)
        await instance.stop()
        await run_to_the_end(await an_instance(around, parted))
        first, second = await books(database, whole), await books(database, parted)
    finally:
        await database.aclose()
    assert len(first["trading_trades"]) > 5
    assert {trade["strategy_name"] for trade in first["trading_trades"]} == {strategy["type"]}
    times = [
        [(trade["entry_time"], trade["exit_time"]) for trade in found["trading_trades"]] for found in (first, second)
    ]
    assert times[0] == times[1]
    assert first["money"] == second["money"]


@pytest.mark.usefixtures("in_this_process")
async def test_a_broker_of_a_plugin_fills_the_orders_of_a_bot(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    broker = {"type": "AtOnce", "trading_mode": "paper", "cash": 1000, "commission": 0.01}
    try:
        bot_id = await insert_bot(database, a_document(strategy=STRATEGY, broker=broker))
        await run_to_the_end(await an_instance(surroundings(database), bot_id))
        found = await books(database, bot_id)
    finally:
        await database.aclose()
    closed = [trade for trade in found["trading_trades"] if trade["status"] == "closed"]
    assert len(closed) > 20
    for trade in closed:
        assert trade["exit_time"] - trade["entry_time"] == timedelta(hours=5)
        value = trade["size"] * (trade["entry_price"] + trade["exit_price"])
        assert trade["commission"] == pytest.approx(value * Decimal("0.01"), abs=Decimal("1e-7"))
    assert {order["state"] for order in found["bot_orders"]} == {"filled"}
