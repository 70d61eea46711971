"""A plugin that blocks the event loop, as careless code does: while the file that it is told of is there."""

import json
from pathlib import Path
from typing import Any

from support.bars import strategy_document

PLUGIN = """
import time
from pathlib import Path

FLAG = Path({flag})


class BlockingEntry:
    name = "BlockingEntry"
    parameters = ()
    indicators = ()
    lookback = 1
    memory = 0

    def __init__(self, config):
        pass

    def evaluate(self, view):
        while FLAG.exists():
            time.sleep(0.05)
        return None

    def dump_state(self):
        return {{}}

    def load_state(self, state):
        pass


ENTRIES = (BlockingEntry,)
"""


def write_blocking_plugin(folder: Path, flag: Path | str) -> Path:
    """A folder for TRADINGBOT_PLUGINS."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "blocking.py").write_text(PLUGIN.format(flag=json.dumps(str(flag))))
    return folder


def blocking_strategy() -> dict[str, Any]:
    return strategy_document("BlockingEntry")
