"""Connections between beats: who asks rarely holds none, and works as before."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from bot_core.models.bot import BotStatus
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from support.bots import a_document, insert_bot
from support.postgres import PostgresServer
from support.service import Service
from support.waiting import wait_until

pytestmark = pytest.mark.postgres

_SLOW = {"data_source": "generated", "interval": "1m", "seed": 3, "speed": 0.01}
_OPEN = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tradingbot' AND datname = '{}'"


class Server:
    def __init__(self, postgres: PostgresServer, url: str) -> None:
        self._postgres = postgres
        self._query = _OPEN.format(url.rpartition("/")[2])

    @property
    def connections(self) -> int:
        ((count,),) = self._postgres.execute(self._query)
        assert isinstance(count, int)
        return count

    async def until(self, connections: int) -> None:
        async with asyncio.timeout(10):
            while self.connections != connections:
                await asyncio.sleep(0.02)


@pytest.fixture
def server(postgres: PostgresServer, postgres_url: str) -> Server:
    return Server(postgres, postgres_url)


async def ask(database: Database, seconds: float = 0) -> int:
    async with database.read() as connection:
        await asyncio.sleep(seconds)
        return int((await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one())


async def test_connections_that_nobody_uses_are_closed_and_others_are_opened_when_they_are_needed(
    server: Server, postgres_url: str
) -> None:
    database = Database(postgres_url, pool_size=3, idle_seconds=0.3)
    first = {*await asyncio.gather(*(ask(database, 0.1) for _ in range(3)))}
    assert len(first) == 3
    assert server.connections == 3
    await server.until(0)
    assert await ask(database) not in first
    await server.until(0)
    await database.aclose()


async def test_a_connection_that_is_used_often_stays_and_one_in_use_is_left_alone(
    server: Server, postgres_url: str
) -> None:
    database = Database(postgres_url, pool_size=2, idle_seconds=0.5)
    one = await ask(database)
    for _ in range(8):
        await asyncio.sleep(0.1)
        assert await ask(database) == one
    assert await ask(database, 1.2) == one
    await server.until(0)
    await database.aclose()


async def test_without_the_setting_a_connection_stays(server: Server, postgres_url: str) -> None:
    database = Database(postgres_url)
    one = await ask(database)
    await asyncio.sleep(0.5)
    assert server.connections == 1
    assert await ask(database) == one
    await database.aclose()


async def test_what_is_idle_when_a_database_is_closed_goes_with_it(server: Server, postgres_url: str) -> None:
    database = Database(postgres_url, pool_size=2, idle_seconds=0.2)
    await asyncio.gather(*(ask(database, 0.05) for _ in range(2)))
    await database.aclose()
    await server.until(0)
    assert await ask(database)  # SQLAlchemy's engine opens anew
    await database.aclose()


async def test_a_bots_process_holds_no_connection_between_its_beats_and_hears_of_a_change_by_them(
    server: Server, postgres_url: str, tmp_path: Path
) -> None:
    database = Database(postgres_url, idle_seconds=0.01)
    bot_id = await insert_bot(database, a_document(data=_SLOW))
    service = Service(
        tmp_path,
        postgres_url,
        "run",
        str(bot_id),
        DATABASE_IDLE_SECONDS="0.2",
        TRADINGBOT_HEARTBEAT_SECONDS="2",
        TRADINGBOT_LEASE_SECONDS="8",
        TRADINGBOT_POLL_SECONDS="600",
    )
    try:
        service.wait_for_phase(bot_id, "running")
        seen = []
        for _ in range(60):
            seen.append(server.connections)
            await asyncio.sleep(0.05)
        assert seen.count(0) > len(seen) / 2
        await BotStore(database, actor="test").request(bot_id, BotStatus.DISABLED)
        wait_until(lambda: not service.bot(bot_id) or service.bot(bot_id)["phase"] == "stopped", 15, "the bot's stop")
    finally:
        service.stop()
        await database.aclose()
