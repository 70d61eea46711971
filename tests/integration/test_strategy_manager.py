import asyncio
from typing import Any

import pytest
from sqlalchemy import delete, func, select, text, update

from bot_core.models.bot import BotRow, BotStatus
from bot_core.schema import bots, events, messages, trades
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_core.store.leases import LeaseStore
from bot_core.store.listen import Listener
from bot_runtime.engine.board import Phase
from support.bots import a_document, cancel, insert_bot
from support.running import PACED, Running, events_of, new_bot, running

BAD_STRATEGY = {"type": "CustomStrategy", "parameters": {"entry_logic": {"name": "RSIOrBBEntry"}}}


async def test_a_new_row_starts_and_trades_and_a_disabled_one_stops_until_it_is_enabled(database_url: str) -> None:
    async with running(database_url) as seen:
        bot_id = await new_bot(database_url)
        await seen.until_status(bot_id, "running")

        async def traded() -> bool:
            return await seen.trade_count(bot_id) > 0

        await seen.until(traded, "a trade")
        await seen.change(bot_id, status="disabled")
        row = await seen.until_status(bot_id, "stopped")
        assert row.extra_metadata["stopped_by"] == "request"
        assert seen.fleet.bots[bot_id].phase is Phase.STOPPED
        await asyncio.sleep(0.7)  # two polls: it must not come back by itself
        assert (await seen.row(bot_id)).status == "stopped"
        await seen.change(bot_id, status="enabled")
        row = await seen.until_status(bot_id, "running")
        assert "stopped_by" not in row.extra_metadata


async def test_an_invalid_row_is_refused_with_every_problem_and_others_do_not_notice(database_url: str) -> None:
    async with running(database_url) as seen:
        good = await new_bot(database_url)
        told = {"error_notifications": True, "telegram_enabled": True}
        bad = await new_bot(database_url, strategy=BAD_STRATEGY, symbol=None, notifications=told)
        row = await seen.until_status(bad, "error")
        assert "symbol: is missing" in row.extra_metadata["last_error"]
        assert "RSIOrBBEntryMixin" in row.extra_metadata["last_error"]
        assert row.error_count == 1
        assert seen.fleet.bots[bad].config_invalid
        async with seen.database.read() as connection:
            queued = (await connection.execute(select(messages).where(messages.c.message_type == "error"))).one()
            assert "symbol: is missing" in queued.content["message"]
            assert (queued.channels, queued.metadata["bot_id"]) == (["telegram"], bad)
        await seen.until_status(good, "running")
        await asyncio.sleep(0.7)
        assert (await seen.row(bad)).error_count == 1, "the same error is not counted at every poll"

        await seen.change(bad, config=a_document(data=PACED))
        row = await seen.until_status(bad, "running")
        assert "last_error" not in row.extra_metadata
        assert not seen.fleet.bots[bad].config_invalid


async def test_a_running_bot_whose_row_turns_invalid_keeps_running_and_says_so(database_url: str) -> None:
    async with running(database_url) as seen:
        bot_id = await new_bot(database_url)
        await seen.until_status(bot_id, "running")
        await seen.change(bot_id, config=a_document(data=PACED, strategy=BAD_STRATEGY))

        async def told() -> bool:
            return "last_error" in (await seen.row(bot_id)).extra_metadata

        await seen.until(told, "the error in the row")
        assert (await seen.row(bot_id)).status == "running"
        assert seen.fleet.bots[bot_id].config_invalid
        bars = seen.fleet.bots[bot_id].bars

        async def goes_on() -> bool:
            return seen.fleet.bots[bot_id].bars > bars + 10

        await seen.until(goes_on, "more bars")

    async with running(database_url) as seen:  # also after a restart: the last good document is in the tables
        await seen.until_status(bot_id, "running")
        assert seen.fleet.bots[bot_id].config_invalid


async def test_a_changed_document_is_applied_without_a_restart_of_the_process(database_url: str) -> None:
    async with running(database_url) as seen:
        bot_id = await new_bot(database_url)
        await seen.until_status(bot_id, "running")
        before = seen.fleet.bots[bot_id].config_hash
        document = a_document(data=PACED)
        document["strategy"]["parameters"]["position_size"] = 0.2
        await seen.change(bot_id, config=document)

        async def applied() -> bool:
            board = seen.fleet.bots[bot_id]
            return board.config_hash != before and board.phase is Phase.RUNNING

        await seen.until(applied, "the new configuration")
        manual = document | {"update_policy": "manual", "name": "never applied"}
        applied_hash = seen.fleet.bots[bot_id].config_hash
        await seen.change(bot_id, config=manual)
        await asyncio.sleep(0.7)
        assert seen.fleet.bots[bot_id].config_hash == applied_hash


async def test_a_stop_request_and_a_restart_request_are_answered(database_url: str) -> None:
    async with running(database_url) as seen:
        bot_id = await new_bot(database_url)
        await seen.until_status(bot_id, "running")
        epoch = seen.fleet.bots[bot_id].epoch or 0
        await seen.change(bot_id, status="restarting")
        await seen.until_status(bot_id, "running")
        assert (seen.fleet.bots[bot_id].epoch or 0) > epoch
        await seen.change(bot_id, status="stopping")
        row = await seen.until_status(bot_id, "stopped")
        assert row.extra_metadata["stopped_by"] == "request"


async def test_a_shutdown_leaves_a_bot_that_resumes_and_a_stop_request_without_a_process_is_answered(
    database_url: str,
) -> None:
    bot_id = await new_bot(database_url)
    idle = await new_bot(database_url)
    async with running(database_url) as seen:
        await seen.until_status(bot_id, "running")
        await seen.until_status(idle, "running")
    database = Database(database_url)
    store = BotStore(database, actor="somebody")
    row = await store.get(bot_id)
    assert row is not None
    assert (row.status, row.extra_metadata["stopped_by"]) == ("stopped", "shutdown")
    await store.request(idle, BotStatus.STOPPING)
    await database.aclose()
    async with running(database_url) as seen:
        await seen.until_status(bot_id, "running")
        await seen.until_status(idle, "stopped")


async def test_an_empty_read_stops_nothing_and_a_deleted_row_stops_its_bot_only(database_url: str) -> None:
    async with running(database_url) as seen:
        first, second = await new_bot(database_url), await new_bot(database_url)
        await seen.until_status(first, "running")
        await seen.until_status(second, "running")
        async with seen.database.write() as connection:
            await connection.execute(delete(bots).where(bots.c.id == first))
        seen.manager.wake()

        async def one_left() -> bool:
            return seen.manager.running == 1

        await seen.until(one_left, "the deleted bot's end")
        real = seen.store.all

        async def nothing(_ids: Any = None) -> list[BotRow]:
            return []

        object.__setattr__(seen.manager._around.store, "all", nothing)
        seen.manager.wake()
        await asyncio.sleep(0.5)
        assert seen.manager.running == 1
        object.__setattr__(seen.manager._around.store, "all", real)


async def test_a_deleted_bot_leaves_what_it_holds_and_an_event_says_so(sqlite_url: str) -> None:
    async with running(sqlite_url) as seen:
        bot_id, other = await new_bot(sqlite_url), await new_bot(sqlite_url)
        await seen.until_status(other, "running")
        await position_opened(seen, bot_id)
        async with seen.database.write() as connection:
            await connection.execute(delete(bots).where(bots.c.id == bot_id))
        held = seen.fleet.bots[bot_id].position_text
        seen.manager.wake()

        async def told() -> bool:
            return "row_gone" in await _event_kinds(seen.database, bot_id) and bot_id not in seen.fleet.bots

        await seen.until(told, "the event and the end of the board")
        (event,) = await events_of(seen.database, bot_id, "row_gone")
        assert held
        assert f"left {held} at account 'paper', watched by nobody" in event.message
        assert bot_id not in {bot for account in seen.manager._around.brokers.summary() for bot in account["bots"]}


async def test_a_bot_that_another_process_trades_is_left_alone_until_its_lease_lapses(database_url: str) -> None:
    bot_id = await new_bot(database_url)
    database = Database(database_url)
    other = LeaseStore(database, "pod:other")
    lease = await other.acquire(bot_id)
    assert lease is not None
    async with running(database_url) as seen:

        async def waits() -> bool:
            board = seen.fleet.bots.get(bot_id)
            return board is not None and board.phase is Phase.WAITING

        await seen.until(waits, "waiting for the lease")
        assert await seen.trade_count(bot_id) == 0
        await other.release(lease)
        await seen.until_status(bot_id, "running")
        kinds = await _event_kinds(seen.database, bot_id)
        assert "status" in kinds
    await database.aclose()


async def position_opened(seen: Running, bot_id: int) -> None:
    async def holds() -> bool:
        return seen.fleet.bots[bot_id].position is not None

    await seen.until(holds, "an open position")


async def test_another_symbol_waits_until_the_bot_is_flat_and_no_order_fills_on_it(database_url: str) -> None:
    async with running(database_url) as seen:
        bot_id = await new_bot(database_url)
        await seen.until_status(bot_id, "running")
        await position_opened(seen, bot_id)
        await seen.change(bot_id, config=a_document(data=PACED, symbol="BTCUSDT"))

        async def moved() -> bool:
            board = seen.fleet.bots[bot_id]
            return board.symbol == "BTCUSDT" and board.phase is Phase.RUNNING and board.bars > 0

        await seen.until(moved, "the move to the other symbol", 40)
        async with seen.database.read() as connection:
            crossed = await connection.scalar(
                select(func.count())
                .select_from(trades)
                .where(trades.c.bot_id == bot_id, trades.c.symbol == "BTCUSDT", trades.c.entry_price < 10_000)
            )
            assert crossed == 0


async def test_a_document_that_parses_but_can_not_be_built_leaves_the_bot_on_its_last_good_one(
    database_url: str,
) -> None:
    async with running(database_url) as seen:
        bot_id = await new_bot(database_url)
        await seen.until_status(bot_id, "running")
        bars = seen.fleet.bots[bot_id].bars
        broken = {"data_source": "file", "file_path": "no-such-file.csv", "interval": "1h"}
        await seen.change(bot_id, config=a_document(data=broken))

        async def told() -> bool:
            return "no-such-file.csv" in (await seen.row(bot_id)).extra_metadata.get("last_error", "")

        await seen.until(told, "the error in the row", 40)

        async def goes_on() -> bool:
            return seen.fleet.bots[bot_id].bars > bars + 5 and seen.fleet.bots[bot_id].phase is Phase.RUNNING

        await seen.until(goes_on, "more bars")
        assert (await seen.row(bot_id)).status != "error"
        assert seen.fleet.bots[bot_id].keeps_last_good

        await seen.change(bot_id, config=a_document(data=PACED))

        async def mended() -> bool:
            row = await seen.row(bot_id)
            return row.status == "running" and "last_error" not in row.extra_metadata

        await seen.until(mended, "the error's end")
        assert not seen.fleet.bots[bot_id].keeps_last_good


async def test_a_file_that_is_not_there_never_counts_as_the_last_good_data(database_url: str) -> None:
    async with running(database_url) as seen:
        bot_id = await new_bot(database_url, data={**PACED, "bars": 0})  # it runs, and has no cursor yet
        await seen.until_status(bot_id, "running")
        broken = {"data_source": "file", "file_path": "no-such-file.csv", "interval": "1h"}
        await seen.change(bot_id, config=a_document(data=broken))

        async def kept() -> bool:
            board = seen.fleet.bots[bot_id]
            return board.keeps_last_good and board.phase is Phase.RUNNING

        await seen.until(kept, "the last good data")
        assert "no-such-file.csv" in (await seen.row(bot_id)).extra_metadata["last_error"]


async def test_one_row_that_can_not_be_read_hides_no_other(sqlite_url: str) -> None:
    good, bad = await new_bot(sqlite_url), await new_bot(sqlite_url)
    database = Database(sqlite_url)
    async with database.write() as connection:
        await connection.execute(text("UPDATE trading_bots SET current_balance = 'abc' WHERE id = :id"), {"id": bad})
    await database.aclose()
    async with running(sqlite_url) as seen:
        await seen.until_status(good, "running")
        rows = {row.id: row for row in await seen.store.all()}
        assert rows[good].unreadable is None
        assert "can't be read" in (rows[bad].unreadable or "")
        assert bad not in seen.fleet.bots


async def test_a_process_without_the_lease_never_writes_that_the_bot_stopped(database_url: str) -> None:
    async with running(database_url) as trader:
        bot_id = await new_bot(database_url)
        await trader.until_status(bot_id, "running")
        async with running(database_url, holder="another process") as waiting:

            async def waits() -> bool:
                board = waiting.fleet.bots.get(bot_id)
                return board is not None and board.phase is Phase.WAITING

            await waiting.until(waits, "waiting for the lease")
        assert (await trader.row(bot_id)).status == "running"
        await trader.change(bot_id, status="stopping")
        row = await trader.until_status(bot_id, "stopped")
        assert row.extra_metadata["stopped_by"] == "request"


async def test_a_status_written_over_a_running_bot_is_answered(database_url: str) -> None:
    async with running(database_url) as seen:
        bot_id = await new_bot(database_url)
        await seen.until_status(bot_id, "running")
        for status in ("starting", "enabled", "stopped"):
            await seen.change(bot_id, status=status)
            await seen.until_status(bot_id, "running")


@pytest.mark.postgres
async def test_a_database_that_turns_read_only_costs_no_process(postgres_url: str) -> None:
    async with running(postgres_url) as seen:
        bot_id = await new_bot(postgres_url)
        await seen.until_status(bot_id, "running")
        name = seen.database.url.database
        async with seen.database.write() as connection:
            await connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
        await seen.database.engine.dispose()

        async def waits() -> bool:
            return seen.fleet.bots[bot_id].phase is Phase.WAITING or seen.fleet.bots[bot_id].database_away

        await seen.until(waits, "the bot's waiting")
        async with seen.database.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(text("SET default_transaction_read_only = off"))
            await connection.execute(text(f"ALTER DATABASE {name} RESET default_transaction_read_only"))
        await seen.database.engine.dispose()

        async def runs() -> bool:
            return seen.fleet.bots[bot_id].phase is Phase.RUNNING and not seen.fleet.bots[bot_id].database_away

        await seen.until(runs, "trading again", 60)


async def _event_kinds(database: Database, bot_id: int) -> set[str]:
    async with database.read() as connection:
        return {row.kind for row in await connection.execute(select(events.c.kind).where(events.c.bot_id == bot_id))}


@pytest.mark.postgres
async def test_notify_names_the_changed_bot_and_a_heartbeat_notifies_nobody(postgres_url: str) -> None:
    database = Database(postgres_url)
    heard: list[int | None] = []
    listener = Listener(database.url, heard.append)
    listening = asyncio.create_task(listener.run())
    async with asyncio.timeout(10):
        while not heard:
            await asyncio.sleep(0.02)
    assert heard == [None]
    bot_id = await insert_bot(database)
    async with database.write() as connection:
        await connection.execute(update(bots).where(bots.c.id == bot_id).values(error_count=7))
        await connection.execute(update(bots).where(bots.c.id == bot_id).values(status="disabled"))
    async with asyncio.timeout(10):
        while len(heard) < 3:
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.2)
    assert heard == [None, bot_id, bot_id]
    await cancel(listening)
    await database.aclose()
