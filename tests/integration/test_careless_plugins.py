import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.bars import made_up_bars, strategy_document
from support.bots import a_document

PLUGIN = """
from __future__ import annotations

import dataclasses
import sys


@dataclasses.dataclass(frozen=True)
class Note:
    text: str = "a file may hold dataclasses"


class _Rule:
    indicators = ()
    lookback = 1
    memory = 0
    parameters = ()

    def __init__(self, config):
        pass

    def at_signal(self, view):
        return {}

    def opened(self, position, at_signal):
        pass

    def closed(self):
        pass

    def dump_state(self):
        return {}

    def load_state(self, state):
        pass


class FalseEntry(_Rule):
    name = "FalseEntry"

    def evaluate(self, view):
        return view.close() < 0


class LeavingEntry(_Rule):
    name = "LeavingEntry"

    def evaluate(self, view):
        sys.exit(4)


ENTRIES = (FalseEntry, LeavingEntry)
"""


@pytest.fixture
def places(tmp_path: Path) -> Path:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "careless.py").write_text(PLUGIN)
    rows = ["timestamp,open,high,low,close,volume"]
    rows += [",".join([bar.time.isoformat(), *map(repr, bar[1:])]) for bar in made_up_bars(300, interval=3600)]
    (tmp_path / "bars.csv").write_text("\n".join(rows))
    (tmp_path / "documents").mkdir()
    for number, entry in enumerate(("RSIOrBBEntryMixin", "FalseEntry", "LeavingEntry", "RSIBBEntryMixin")):
        document = a_document(strategy=strategy_document(entry))
        (tmp_path / "documents" / f"{number}.json").write_text(json.dumps(document))
    return tmp_path


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_careless_rule_ends_its_own_run_and_json_stays_json(places: Path, jobs: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bot_runtime", "backtest", places / "documents", "--bars", places / "bars.csv",
         "--json", "--jobs", str(jobs)],
        env=os.environ | {"TRADINGBOT_PLUGINS": str(places / "plugins")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    runs = json.loads(done.stdout)
    assert ["trades" in run for run in runs] == [True, False, False, True]
    assert "FalseEntry answered False; allowed: the reason of a signal as a text, or None" in done.stderr
    assert "SystemExit" in done.stderr
