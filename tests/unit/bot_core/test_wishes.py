import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, text, update

from bot_core.models.bot import desired_state
from bot_core.models.brake import TableState
from bot_core.schema import bots
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_core.store.upgrade import upgrade
from bot_core.store.wishes import read_wishes

ROWS: list[tuple[str, Any, Any]] = [
    ("enabled", {}, {}),
    ("running", {"enabled": False}, {}),
    ("running", {"risk": {"enabled": False}}, {}),
    ("running", {"overrides": {"enabled": True}, "enabled": False}, {}),
    ("running", {"modules": {"enabled": False}}, {}),
    (" DISABLED ", {}, {}),
    ("stopping", {}, {}),
    ("stopped", {}, {"stopped_by": "request"}),
    ("stopped", {}, {"stopped_by": "shutdown"}),
    ("Stopped", {}, {"stopped_by": "request"}),
    ("error", json.dumps({"enabled": False}), {}),
    ("error", "rubbish", None),
    ("restarting", [1, 2], {}),
]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite:///{tmp_path / 'bots.db'}"
    upgrade(url)
    found = Database(url)
    yield found
    await found.aclose()


async def test_the_cheap_reading_says_of_every_row_what_the_whole_row_says(database: Database) -> None:
    store = BotStore(database, actor="test")
    for status, config, metadata in ROWS:
        bot_id = await store.insert({}, await store.user("trader@example.com"))
        async with database.write() as connection:
            values = {"status": status, "config": config, "extra_metadata": metadata}
            await connection.execute(update(bots).where(bots.c.id == bot_id).values(values))
    wishes = await read_wishes(database)
    assert wishes.wanted == {row.id for row in await store.all() if desired_state(row).run}
    assert 0 < len(wishes.wanted) < len(ROWS)
    assert wishes.table is TableState.FILLED


async def test_an_empty_and_a_missing_table_are_answers(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(delete(bots))
    assert (await read_wishes(database)).table is TableState.EMPTY
    async with database.write() as connection:
        await connection.execute(text("ALTER TABLE trading_bots RENAME TO elsewhere"))
    assert (await read_wishes(database)).table is TableState.MISSING
