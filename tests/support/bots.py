"""Rows, documents and a whole bot in this process, for tests of the runtime."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from sqlalchemy import Table, select

from bot_core.models.config import parse_config
from bot_core.schema import bots, orders, positions, state, trades
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_core.store.leases import LeaseStore
from bot_runtime.engine.assembly import Assignment, Surroundings
from bot_runtime.engine.board import FleetBoard
from bot_runtime.engine.bot_engine import Rhythm
from bot_runtime.engine.bot_instance import BotInstance
from bot_runtime.engine.progress import Progress
from support.bars import strategy_document

ENDED = "the data has ended"


def a_document(**changes: Any) -> dict[str, Any]:
    """A paper bot on 300 generated bars, as fast as they come, that trades often."""
    document: dict[str, Any] = {
        "name": "a bot",
        "symbol": "ETHUSDT",
        "broker": {"type": "paper", "trading_mode": "paper", "cash": 10000.0, "commission": 0.001},
        "data": {"data_source": "generated", "interval": "1h", "seed": 3, "speed": 0, "bars": 300},
        "strategy": strategy_document(
            entry_params={"e_rsi_oversold": 40, "e_cooldown_bars": 3}, exit_params={"x_sl_multiplier": 1.0}
        ),
        "notifications": {"position_opened": True, "position_closed": True, "telegram_enabled": True},
    }
    return document | changes


async def insert_bot(database: Database, document: Mapping[str, Any] | None = None) -> int:
    store = BotStore(database, actor="test")
    return await store.insert(document or a_document(), await store.user("trader@example.com"))


def surroundings(database: Database, holder: str = "process-under-test", **changes: Any) -> Surroundings:
    values: dict[str, Any] = {
        "database": database,
        "store": BotStore(database, actor=holder),
        "leases": LeaseStore(database, holder),
        "fleet": FleetBoard(),
        "progress": Progress(),
        "rhythm": Rhythm(beat_seconds=60),
    }
    return Surroundings(**(values | changes))


async def an_instance(around: Surroundings, bot_id: int) -> BotInstance:
    row = await around.store.get(bot_id)
    assert row is not None
    config = parse_config(row.config).config
    assert config is not None
    return BotInstance(around, Assignment.of(row, config, row.config))


async def run_to_the_end(instance: BotInstance, timeout: float = 60) -> None:
    """Run until the data has ended or the bot has; then stop it."""
    instance.start(lambda _id, _died_of: None)
    async with asyncio.timeout(timeout):
        while not instance.done and instance.board.message != ENDED:
            await asyncio.sleep(0)
    await instance.stop()


_VOLATILE = {
    "id",
    "epoch",
    "correlation_id",
    "created_at",
    "updated_at",
    "started_at",
    "last_heartbeat",
    "position_id",
    "extra_metadata",
}


async def books(database: Database, bot_id: int) -> dict[str, Any]:
    """All that must be equal after any number of crashes: trades, positions, orders, balance, state."""

    async def rows(table: Table, *, skip: set[str] = _VOLATILE) -> list[dict[str, Any]]:
        key = table.c.id if table is bots else table.c.bot_id
        async with database.read() as connection:
            found = await connection.execute(select(table).where(key == bot_id).order_by(*table.primary_key))
            return [{k: v for k, v in row.items() if k not in skip} for row in found.mappings()]

    result = {table.name: await rows(table) for table in (trades, positions, orders, state)}
    (row,) = await rows(bots)
    result["money"] = {name: row[name] for name in ("current_balance", "total_pnl")}
    return result


async def cancel(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def the_books(url: str, bot_id: int) -> dict[str, Any]:
    """The same, of a database by its URL and without the document."""
    database = Database(url)
    try:
        found = await books(database, bot_id)
    finally:
        await database.aclose()
    for row in found["bot_state"]:
        del row["config"], row["config_hash"]  # the two runs differ in speed, which is in the document
    return found
