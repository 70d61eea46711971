"""A whole StrategyManager in this process on a real database, and what a person would look at."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import func, select, update

from bot_core.models.bot import BotRow
from bot_core.schema import bots, events, trades
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_runtime.engine.board import FleetBoard
from bot_runtime.strategy_manager import StrategyManager
from support.bots import a_document, insert_bot, surroundings

#: Bars that come slowly enough to change something in between.
PACED = {"data_source": "generated", "interval": "1h", "seed": 3, "speed": 50}


class Running:
    """A manager on a database, and what a person would look at."""

    def __init__(self, database: Database, manager: StrategyManager, fleet: FleetBoard) -> None:
        self.database, self.manager, self.fleet = database, manager, fleet
        self.store = BotStore(database, actor="somebody")

    async def row(self, bot_id: int) -> BotRow:
        row = await self.store.get(bot_id)
        assert row is not None
        return row

    async def until(self, condition: Any, what: str, timeout: float = 20) -> None:
        try:
            async with asyncio.timeout(timeout):
                while not await condition():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pytest.fail(f"{what} did not happen; boards: {[b.to_json() for b in self.fleet.bots.values()]}")

    async def until_status(self, bot_id: int, status: str) -> BotRow:
        async def reached() -> bool:
            return (await self.row(bot_id)).status == status

        await self.until(reached, f"status {status} of bot {bot_id}")
        return await self.row(bot_id)

    async def trade_count(self, bot_id: int) -> int:
        async with self.database.read() as connection:
            query = select(func.count()).select_from(trades).where(trades.c.bot_id == bot_id)
            return int(await connection.scalar(query) or 0)

    async def change(self, bot_id: int, **values: Any) -> None:
        async with self.database.write() as connection:
            await connection.execute(update(bots).where(bots.c.id == bot_id).values(values))
        self.manager.wake()


@asynccontextmanager
async def running(
    url: str, *, holder: str = "process-under-test", around: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[Running]:
    database = Database(url, pool_size=10)
    surrounded = surroundings(database, holder, **(around or {}))
    manager = StrategyManager(surrounded, **({"poll_seconds": 0.3} | options))
    stop = asyncio.Event()
    loop = asyncio.create_task(manager.run(stop))
    try:
        yield Running(database, manager, surrounded.fleet)
    finally:
        stop.set()
        await loop
        await manager.shutdown()
        await database.aclose()


async def new_bot(url: str, **changes: Any) -> int:
    database = Database(url)
    try:
        return await insert_bot(database, a_document(**({"data": PACED} | changes)))
    finally:
        await database.aclose()


async def events_of(database: Database, bot_id: int, kind: str) -> list[Any]:
    """Oldest first."""
    async with database.read() as connection:
        query = select(events).where(events.c.bot_id == bot_id, events.c.kind == kind).order_by(events.c.id)
        return list(await connection.execute(query))
