"""Reconcile one bot whose row changes, again and again: real stores and plans, a cluster in memory."""

import asyncio
import sys
from contextlib import aclosing
from importlib.util import module_from_spec, spec_from_file_location
from itertools import count
from pathlib import Path
from types import ModuleType

from benchmarks.report import PROJECT
from bot_core.store.database import Database
from support.operator_builders import a_document


def the_tests_operator() -> ModuleType:
    """Where the operator's own tests put a whole one together."""
    spec = spec_from_file_location("operator_world", PROJECT / "tests/unit/bot_operator/conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def main(url: str) -> None:
    """Until the process is ended."""
    async with aclosing(Database(url)) as database:
        world = the_tests_operator().World(database)
        bot_id = await world.a_running_bot()
        Path("ready").touch()
        for number in count():
            resources = {"requests": {"cpu": "50m", "memory": f"{100 + number % 900}Mi"}}
            await world.change(bot_id, config=a_document(kubernetes={"resources": resources}))
            await world.reconciler.reconcile(bot_id)
            world.cluster.writes.clear()
            world.cluster.events.clear()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
