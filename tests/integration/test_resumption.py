"""What a process does with bots that the last one ran, and whose bots it runs at all."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import update

from bot_core.models.bot import BotRow
from bot_core.schema import bots
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_runtime.engine.board import Phase
from support.bots import a_document
from support.running import PACED, Running, events_of, new_bot, running
from support.service import Service
from support.waiting import wait_until


async def test_without_resume_bots_of_the_last_process_wait_until_they_are_asked_for(database_url: str) -> None:
    ran, killed, asked = [await new_bot(database_url) for _ in range(3)]
    async with running(database_url) as last:
        for bot_id in (ran, killed, asked):
            await last.until_status(bot_id, "running")
    new = await new_bot(database_url)
    async with opened(database_url) as database:
        await write(database, killed, status="running")  # as a process leaves it that was killed
        await write(database, asked, status="enabled")

    async with running(database_url, holder="next", resume=False) as seen:
        await seen.until_status(asked, "running")
        await seen.until_status(new, "running")
        row = await seen.until_status(killed, "stopped")
        assert row.extra_metadata["stopped_by"] == "shutdown"
        for bot_id in (ran, killed):
            assert seen.fleet.bots[bot_id].phase is Phase.STOPPED
            assert "--no-resume" in seen.fleet.bots[bot_id].message
            assert await events_of(seen.database, bot_id, "not_resumed")
        assert seen.manager.running == 2
        await seen.change(ran, status="starting")
        await seen.until_status(ran, "running")
        await seen.change(killed, status="restarting")
        await seen.until_status(killed, "running")
        late = await new_bot(database_url)
        seen.manager.wake()
        await seen.until_status(late, "running")

    async with running(database_url, holder="last") as seen:  # nothing of it stays
        await seen.until_status(ran, "running")


async def test_without_resume_switching_a_bot_on_is_asking_for_it_and_so_is_writing_that_it_runs(
    sqlite_url: str,
) -> None:
    off, disabled, killed = [await new_bot(sqlite_url) for _ in range(3)]
    document = a_document(data=PACED)
    async with opened(sqlite_url) as database:
        await write(database, off, status="stopped", config=document | {"enabled": False})
        await write(database, disabled, status="disabled")
        await write(database, killed, status="running")
    async with running(sqlite_url, resume=False) as seen:
        await seen.until_status(killed, "stopped")
        await seen.change(off, config=document)
        await seen.change(disabled, status="running")
        await seen.change(killed, status="running")
        for bot_id in (off, disabled, killed):
            await seen.until_status(bot_id, "running")
            await seen.until(lambda: _runs(seen, bot_id), "an instance")  # noqa: B023
        assert not await events_of(seen.database, off, "not_resumed")


async def _runs(seen: Running, bot_id: int) -> bool:
    return seen.fleet.bots[bot_id].phase is Phase.RUNNING


async def test_a_bot_that_is_not_resumed_with_a_position_is_said_to_be_watched_by_nobody(sqlite_url: str) -> None:
    bot_id = await new_bot(sqlite_url)
    async with running(sqlite_url) as last:
        await last.until_status(bot_id, "running")

        async def holds() -> bool:
            return last.fleet.bots[bot_id].position is not None

        await last.until(holds, "a position")
    async with running(sqlite_url, resume=False) as seen:
        await seen.until(lambda: _told(seen, bot_id), "the event")
        (event,) = await events_of(seen.database, bot_id, "not_resumed")
        assert "holds a position or an order, which nobody watches" in event.message


async def test_a_process_of_one_user_that_does_not_resume_runs_what_its_options_say(
    sqlite_url: str, tmp_path: Path
) -> None:
    mine, theirs = await new_bot(sqlite_url), await foreign_bot(sqlite_url)
    old = await new_bot(sqlite_url)
    async with opened(sqlite_url) as database:
        await write(database, old, status="stopped", extra_metadata={"stopped_by": "shutdown"})
    options = ("--user", "Trader@Example.com", "--no-resume", "--poll-interval", "1")
    with Service(tmp_path, sqlite_url, "serve", *options) as service:
        service.wait_for_phase(mine, "running")
        assert service.bot(old)["phase"] == "stopped"
        assert not service.bot(theirs)
        (event,) = [event for event in service.events() if event["event"] == "bot_not_resumed"]
        assert event["bot_id"] == old
        assert service.stop() == 0
    with Service(tmp_path, sqlite_url, "serve", "--user", "nobody@example.com") as service:
        assert service.process.wait(30) == 1
        assert "no user has the id or address 'nobody@example.com'" in service.log.read_text()


async def test_bots_that_are_named_and_not_there_are_told_and_run_once_they_are(
    sqlite_url: str, tmp_path: Path
) -> None:
    first = await new_bot(sqlite_url)
    with Service(tmp_path, sqlite_url, "serve", "--bots", f"{first},{first + 2}", "--poll-interval", "1") as service:
        service.wait_for_phase(first, "running")
        (told,) = [event for event in service.events() if event["event"] == "no_such_bots"]
        assert told["bots"] == [first + 2]
        _second, third = await new_bot(sqlite_url), await new_bot(sqlite_url)
        service.wait_for_phase(third, "running")
        shown = service.get("/status")[1]["bots"]
        assert [bot["id"] for bot in shown] == [first, third]
        wait_until(lambda: service.bot(third)["bars"], 10, "bars")


async def test_a_bot_that_becomes_another_users_is_handed_over_and_not_said_to_be_deleted(sqlite_url: str) -> None:
    bot_id, foreign = await new_bot(sqlite_url), await foreign_bot(sqlite_url)
    await new_bot(sqlite_url)  # a user without any bot would be an empty read, which stops nothing
    async with running(sqlite_url, user="trader@example.com") as seen:
        await seen.until_status(bot_id, "running")
        await seen.change(bot_id, user_id=(await seen.row(foreign)).user_id)
        row = await seen.until_status(bot_id, "stopped")
        assert row.extra_metadata["stopped_by"] == "shutdown"

        async def forgotten() -> bool:
            return bot_id not in seen.fleet.bots

        await seen.until(forgotten, "the end of its board")
        assert not await events_of(seen.database, bot_id, "row_gone")
    async with running(sqlite_url, holder="theirs", user="somebody.else@example.com") as seen:
        await seen.until_status(bot_id, "running")


@pytest.mark.parametrize("broken", ["a", 7])
async def test_a_bot_that_starts_on_its_last_good_document_runs_and_keeps_saying_why(
    sqlite_url: str, broken: object
) -> None:
    bot_id = await new_bot(sqlite_url)
    async with running(sqlite_url) as seen:
        await seen.until_status(bot_id, "running")
    async with opened(sqlite_url) as database:
        await write(database, bot_id, config=a_document(data=PACED, symbol=broken, strategy=broken))
    async with running(sqlite_url) as seen:
        await seen.until_status(bot_id, "running")
        await seen.until(lambda: _passes(seen), "more passes")
        row = await seen.row(bot_id)
        assert (row.status, row.error_count) == ("running", 1)
        assert "strategy" in row.extra_metadata["last_error"]
        assert "strategy" in seen.fleet.bots[bot_id].config_error
        await seen.change(bot_id, config=a_document(data=PACED))
        await seen.until(lambda: _mended(seen, bot_id), "the error's end")
        assert seen.fleet.bots[bot_id].config_error == ""


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        await database.aclose()


async def write(database: Database, bot_id: int, **values: object) -> None:
    async with database.write() as connection:
        await connection.execute(update(bots).where(bots.c.id == bot_id).values(values))


async def foreign_bot(url: str) -> int:
    async with opened(url) as database:
        store = BotStore(database, actor="test")
        return await store.insert(a_document(data=PACED), await store.user("somebody.else@example.com"))


async def _told(seen: Running, bot_id: int) -> bool:
    return bool(await events_of(seen.database, bot_id, "not_resumed"))


async def _mended(seen: Running, bot_id: int) -> bool:
    row: BotRow = await seen.row(bot_id)
    return row.status == "running" and "last_error" not in row.extra_metadata


async def _passes(seen: Running) -> bool:
    return all(board.bars > 40 for board in seen.fleet.bots.values())
