from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import event, text, update

from bot_core.models.errors import DatabaseUnavailableError
from bot_core.schema import state
from bot_core.store.database import Database
from bot_core.store.fleet import read_fleet
from bot_core.store.looking import LookingDatabase
from bot_runtime.cli.fleet_view import Order, arranged, fleet_lines, totals
from support.counting_proxy import CountingProxy
from support.fleet_rows import a_bot, a_position, a_trade, a_varied_fleet
from support.postgres import PostgresServer


async def lines_of(url: str):
    looking = LookingDatabase(url)
    try:
        return fleet_lines(await read_fleet(looking))
    finally:
        await looking.aclose()


async def test_each_bot_is_shown_in_its_phase_with_what_holds_it(database_url: str) -> None:
    database = Database(database_url)
    ids = await a_varied_fleet(database)
    await database.aclose()
    by_id = {line.bot_id: line for line in await lines_of(database_url)}
    shown = {kind: by_id[bot_id] for kind, bot_id in ids.items()}
    phases = {kind: line.phase for kind, line in shown.items()}
    assert phases == {kind: kind for kind in ids} | {"holding": "running", "unsure": "running"}
    notes = {
        "running": "",
        "error": "insufficient balance",
        "quarantined": "insufficient balance",
        "invalid": "invalid configuration",
        "silent": "no heartbeat",
        "waiting": "no process runs it",
        "stopped": "it was stopped on request",
        "halted": "halted (this bot) by anna",
        "unsure": "unknown outcome",
    }
    for kind, note in notes.items():
        assert note in shown[kind].note
        assert shown[kind].trouble == (kind not in {"running", "waiting", "stopped"})
    holding = shown["holding"]
    assert (holding.position, holding.unrealised, holding.exposure) == (
        "long 2 @ 100",
        Decimal("21.0"),
        Decimal("221.0"),
    )
    assert shown["running"].balance == Decimal(10100)
    sums = totals(list(by_id.values()))
    assert (sums.bots, sums.pnl, sums.exposure, sums.positions) == (10, Decimal(50), Decimal("221.0"), 1)
    assert [line.phase for line in arranged(by_id.values(), Order.STATUS)][:3] == ["quarantined", "error", "invalid"]


async def test_the_profit_of_today_is_that_of_the_wall_or_of_the_replayed_day(database_url: str) -> None:
    database = Database(database_url)
    now = datetime.now(UTC)
    replay = await a_bot(database, "replay")  # generated bars, of 2024
    live = await a_bot(database, "live", data={"data_source": "binance", "interval": "1h"})
    for bot_id in (replay, live):
        await a_position(database, bot_id, "1", "100")
        await a_trade(database, bot_id, "-3", now)
        await a_trade(database, bot_id, "-2.25", now)
        await a_trade(database, bot_id, "7", datetime(2024, 3, 5, 12, tzinfo=UTC))
        await a_trade(database, bot_id, "1", datetime(2024, 3, 4, 12, tzinfo=UTC))
    async with database.write() as connection:
        cursor = datetime(2024, 3, 5, 11, tzinfo=UTC)
        await connection.execute(update(state).where(state.c.bot_id == replay).values(cursor=cursor))
        await connection.execute(update(state).where(state.c.bot_id == live).values(cursor=now - timedelta(hours=2)))
    # A replay does not know of trades that are later than its day, so they are not there either.
    async with database.write() as connection:
        await connection.execute(text(f"DELETE FROM trading_trades WHERE bot_id = {replay} AND net_pnl IN (-3, -2.25)"))
        await connection.execute(
            text(f"DELETE FROM trading_trades WHERE bot_id = {replay} AND exit_time > '2025-01-01'")
        )
    await database.aclose()
    today = {line.bot_id: line.today for line in await lines_of(database_url)}
    assert today == {replay: Decimal(7), live: Decimal("-5.25")}


@pytest.mark.postgres
async def test_a_look_is_two_statements_however_many_bots_there_are(
    postgres: PostgresServer, postgres_url: str
) -> None:
    database = Database(postgres_url)
    name = str(database.url.database)
    counts = []
    async with CountingProxy(postgres.port) as proxy:
        looking = LookingDatabase(postgres.url(name).replace(str(postgres.port), str(proxy.port)) + "?sslmode=disable")
        for more in (3, 200):
            for number in range(more):
                await a_bot(database, f"bot {number}")
            await read_fleet(looking)  # connects, and asks for the types of the server
            before = len([s for s in proxy.statements if "SELECT" in s.upper()])
            facts = await read_fleet(looking)
            counts.append(len([s for s in proxy.statements if "SELECT" in s.upper()]) - before)
        assert len(facts.bots) == 203
        await looking.aclose()
    await database.aclose()
    assert counts == [2, 2]


async def test_looking_can_not_write(database_url: str) -> None:
    looking = LookingDatabase(database_url)
    with pytest.raises(Exception, match=r"read-only|readonly"):
        async with looking.look() as connection:
            await connection.execute(text("DELETE FROM trading_bots"))
    await looking.aclose()


async def test_looking_waits_for_no_writer_and_holds_none_up(sqlite_url: str) -> None:
    database, looking = Database(sqlite_url), LookingDatabase(sqlite_url)
    await a_bot(database, "a bot")
    begun = []
    event.listen(looking.engine.sync_engine, "before_cursor_execute", lambda *a: begun.append(a[2]))
    async with database.write() as connection:
        await connection.execute(text("UPDATE trading_bots SET description = 'held'"))
        assert len((await read_fleet(looking)).bots) == 1
    assert not [statement for statement in begun if "BEGIN" in statement]
    await looking.aclose()
    await database.aclose()


async def test_a_file_that_is_not_there_is_told_and_not_made(tmp_path: Path) -> None:
    looking = LookingDatabase(f"sqlite:///{tmp_path / 'none.db'}")
    with pytest.raises(DatabaseUnavailableError, match="unable to open"):
        await read_fleet(looking)
    await looking.aclose()
    assert not [*tmp_path.iterdir()]
