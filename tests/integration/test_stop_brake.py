import asyncio
import json
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import bindparam, delete, select, text, update

from bot_core.models.brake import BrakeLimits
from bot_core.models.errors import DatabaseUnavailableError
from bot_core.schema import bots
from bot_core.store.database import Database
from bot_core.store.leases import LeaseStore
from bot_runtime.cli.main import main
from bot_runtime.engine.board import Phase
from bot_runtime.stop_brake import PodBrake
from support.running import Running, events_of, new_bot, running

FLEET = 6


async def _fleet(seen: Running, url: str, count: int = FLEET) -> list[int]:
    ids = [await new_bot(url) for _ in range(count)]
    seen.manager.wake()
    for bot_id in ids:
        await seen.until_status(bot_id, "running")
    return ids


async def _held(seen: Running, ids: Iterable[int]) -> None:
    wanted = set(ids)

    async def shown() -> bool:
        return {board.bot_id for board in seen.fleet.bots.values() if board.removal_held} == wanted

    await seen.until(shown, f"held: {wanted}")


async def _rows(database: Database) -> list[dict[str, Any]]:
    async with database.read() as connection:
        rows = await connection.execute(select(bots.c.id, bots.c.user_id, bots.c.status, bots.c.config))
        return [dict(row) for row in rows.mappings()]


async def _wipe(database: Database) -> None:
    """Delete all rows, again where the database takes it and a heartbeat for a deadlock."""
    for _ in range(20):
        with suppress(DatabaseUnavailableError):
            async with database.write() as connection:
                await connection.execute(delete(bots))
            return
    pytest.fail("the rows could not be deleted")


async def _restore(database: Database, rows: list[dict[str, Any]]) -> None:
    """The same rows under the same ids."""
    overriding = "" if database.is_sqlite else "OVERRIDING SYSTEM VALUE"
    statement = text(
        f"INSERT INTO trading_bots (id, user_id, status, config) {overriding} VALUES (:id, :user_id, :status, :config)"
    ).bindparams(bindparam("config", type_=bots.c.config.type))
    async with database.write() as connection:
        await connection.execute(statement, rows)


async def test_bots_that_all_say_disabled_trade_on_until_a_person_confirms(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    async with running(sqlite_url) as seen:
        ids = await _fleet(seen, sqlite_url)
        async with seen.database.write() as connection:
            await connection.execute(update(bots).values(status="disabled"))
        seen.manager.wake()
        await _held(seen, ids)
        bars = {bot_id: seen.fleet.bots[bot_id].bars for bot_id in ids}

        async def trades_on() -> bool:
            return all(seen.fleet.bots[bot_id].bars > bars[bot_id] for bot_id in ids)

        await seen.until(trades_on, "more bars")
        assert seen.fleet.process.removals_held == FLEET
        assert await asyncio.to_thread(main, ["confirm-shrink", "--json"]) == 1
        (shown,) = json.loads(capsys.readouterr().out)["held"]
        assert (shown["bots"], shown["asks"]) == (ids, True)
        assert await asyncio.to_thread(main, ["confirm-shrink", shown["code"], "--yes"]) == 0
        assert f"{FLEET} bots" in capsys.readouterr().out
        for bot_id in ids:
            await seen.until_status(bot_id, "stopped")
        assert await asyncio.to_thread(main, ["confirm-shrink", shown["code"], "--yes"]) == 1
        assert await asyncio.to_thread(main, ["confirm-shrink"]) == 0
        assert "holds nothing" in capsys.readouterr().out


async def test_rows_that_vanish_and_come_back_are_the_same_bots(database_url: str) -> None:
    async with running(database_url) as seen:
        ids = await _fleet(seen, database_url)
        rows = await _rows(seen.database)
        await _wipe(seen.database)
        seen.manager.wake()

        async def all_wait() -> bool:
            boards = [seen.fleet.bots[bot_id] for bot_id in ids]
            return all(b.phase is Phase.WAITING and "until the row is back" in b.message for b in boards)

        await seen.until(all_wait, "bots that wait for their rows", timeout=60)
        assert seen.manager.running == FLEET
        (told,) = await events_of(seen.database, ids[0], "row_missing")
        assert "nothing is sent" in told.message
        await _restore(seen.database, rows)
        for bot_id in ids:
            seen.manager.wake(bot_id)

        async def all_run() -> bool:
            return all(seen.fleet.bots[bot_id].phase is Phase.RUNNING for bot_id in ids)

        await seen.until(all_run, "bots that run again", timeout=60)
        await _held(seen, [])


async def test_a_few_stops_are_answered_at_once(sqlite_url: str) -> None:
    async with running(sqlite_url) as seen:
        ids = await _fleet(seen, sqlite_url)
        for bot_id in ids[:2]:
            await seen.change(bot_id, status="stopping")
        for bot_id in ids[:2]:
            await seen.until_status(bot_id, "stopped")
        assert seen.fleet.process.removals_held == 0


async def test_a_pod_whose_row_says_stop_as_all_others_do_goes_on_and_alone_it_stops(database_url: str) -> None:
    database = Database(database_url)
    ids = [await new_bot(database_url) for _ in range(FLEET)]
    for bot_id in ids[1:]:
        assert await LeaseStore(database, f"pod:{bot_id}").acquire(bot_id) is not None
    mine, alone = ids[0], {"brake": PodBrake(database, BrakeLimits())}
    async with running(database_url, ids=[mine], **alone) as seen:
        await seen.until_status(mine, "running")
        async with database.write() as connection:
            await connection.execute(update(bots).values(status="disabled"))
        seen.manager.wake()
        await _held(seen, [mine])
        assert seen.fleet.bots[mine].phase is Phase.RUNNING
        async with database.write() as connection:
            await connection.execute(update(bots).values(status="enabled"))
        seen.manager.wake()
        await _held(seen, [])
    neighbour = ids[1]
    brake = PodBrake(database, BrakeLimits())
    async with running(database_url, ids=[neighbour], brake=brake, holder=f"pod:{neighbour}") as seen:
        await seen.until_status(neighbour, "running")
        await seen.change(neighbour, status="disabled")
        await seen.until_status(neighbour, "stopped")
    await database.aclose()
