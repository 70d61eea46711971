"""`tradingbot bots trial` against a service that runs bots, and against nobody."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from bot_core.schema import bots, events, leases, orders, state, trades, users
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_core.store.upgrade import upgrade
from bot_runtime.cli.bots_trial import TRIAL_USER
from bot_runtime.samples import trial_document
from support.bots import insert_bot
from support.service import Service

TABLES = (bots, users, events, trades, orders, state, leases)


@pytest.fixture
def url(tmp_path: Path) -> str:
    found = f"sqlite:///{tmp_path / 'bots.db'}"
    upgrade(found)
    return found


def start_trial(url: str, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bot_runtime", "bots", "trial", "--timeout", str(seconds)]
    environment = os.environ | {"DATABASE_URL": url}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


async def counted(database: Database) -> dict[str, int]:
    async with database.read() as connection:
        return {table.name: await connection.scalar(select(func.count()).select_from(table)) or 0 for table in TABLES}


async def test_it_sees_a_bot_trade_and_leaves_no_row(tmp_path: Path, url: str, in_database: Callable[..., Any]) -> None:
    with Service(tmp_path, url, "serve", "--poll-interval", "0.5"):
        done = start_trial(url, 90)
        said, complained = done.communicate(timeout=180)
    assert done.returncode == 0, said + complained
    assert [line.split(" ", 2)[2] for line in said.splitlines()] == [
        "is in the table", "runs", "has closed a trade", "is removed",
    ]  # fmt: skip
    assert set((await in_database(counted)).values()) == {0}


async def test_where_nobody_runs_bots_it_says_so_and_touches_no_other_row(
    url: str, in_database: Callable[..., Any]
) -> None:
    other = await in_database(insert_bot)
    done = start_trial(url, 1)
    said, complained = done.communicate(timeout=90)
    assert done.returncode == 1
    assert "closed no trade within 1 s: nobody has started it" in complained
    assert "is removed" in said

    async def rows(database: Database) -> list[tuple[int, str]]:
        return [(row.id, row.status) for row in await BotStore(database, actor="test").all()]

    assert await in_database(rows) == [(other, "enabled")]


async def test_stopped_in_the_middle_it_cleans_up(url: str, in_database: Callable[..., Any]) -> None:
    trial = start_trial(url, 300)
    assert trial.stdout is not None
    assert "is in the table" in trial.stdout.readline()
    trial.send_signal(signal.SIGTERM)
    _, complained = trial.communicate(timeout=90)
    assert (trial.returncode, complained.strip()) == (1, "interrupted")
    assert (await in_database(counted))["trading_bots"] == 0


async def test_what_a_killed_trial_left_is_removed_by_the_next_but_not_a_trial_beside_it(
    url: str, in_database: Callable[..., Any]
) -> None:
    async def left_over(database: Database) -> tuple[int, int]:
        store = BotStore(database, actor="test")
        user = await store.user(TRIAL_USER)
        old, beside = [await store.insert(trial_document(), user) for _ in range(2)]
        async with database.write() as connection:
            long_ago = func.datetime("now", "-1 hour")
            await connection.execute(update(bots).where(bots.c.id == old).values(created_at=long_ago))
        return old, beside

    old, beside = await in_database(left_over)
    trial = start_trial(url, 1)
    said, _ = trial.communicate(timeout=90)
    assert f"bot {old} is removed" in said

    async def rows(database: Database) -> list[int]:
        return [row.id for row in await BotStore(database, actor="test").all()]

    assert await in_database(rows) == [beside]
    assert (await in_database(counted))["usr_users"] == 1


@pytest.fixture
def in_database(url: str) -> Callable[..., Any]:
    async def run(work: Callable[[Database], Any]) -> Any:
        database = Database(url)
        try:
            return await work(database)
        finally:
            await database.aclose()

    return run
