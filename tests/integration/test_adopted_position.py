from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from bot_core.schema import positions, state, trades
from bot_core.store.database import Database
from support.bots import a_document, an_instance, insert_bot, run_to_the_end, surroundings

START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
async def database(database_url: str):
    database = Database(database_url)
    yield database
    await database.aclose()


async def leave_open(database: Database, bot_id: int, symbol: str, hours: int, **changes: Any) -> int:
    values = {
        "bot_id": bot_id,
        "trade_type": "paper",
        "entry_logic_name": "Unknown",
        "exit_logic_name": "Unknown",
        "symbol": symbol,
        "interval": "1h",
        "entry_time": START + timedelta(hours=hours),
        "entry_price": Decimal(1200),
        "size": Decimal("0.5"),
        "direction": "long",
        "status": "open",
        "extra_metadata": {"order_id": None, "paper_trading": True},
        "created_at": START,
    }
    async with database.write() as connection:
        return int(
            (await connection.execute(insert(trades).values(values | changes).returning(trades.c.id))).scalar_one()
        )


async def rows(database: Database, bot_id: int) -> dict[int, Any]:
    async with database.read() as connection:
        found = await connection.execute(select(trades).where(trades.c.bot_id == bot_id).order_by(trades.c.id))
        return {row.id: row for row in found}


def a_calm_document(bars: int) -> dict[str, Any]:
    """Its stop is far away, so the adopted position is still open when the data have ended."""
    document = a_document(data={"data_source": "generated", "interval": "1h", "seed": 3, "speed": 0, "bars": bars})
    document["strategy"]["parameters"]["exit_logic"]["params"] = {"x_sl_multiplier": 500.0}
    return document


async def test_a_bot_in_an_adopted_position_restarts_beside_rows_of_other_symbols(database: Database) -> None:
    bot_id = await insert_bot(database, a_calm_document(60))
    older = await leave_open(database, bot_id, "ETH/USDT", 1)
    mine = await leave_open(database, bot_id, "eth-usdt", 2)
    other = await leave_open(database, bot_id, "LTCUSDT", 3)
    for _ in range(2):
        instance = await an_instance(surroundings(database), bot_id)
        await run_to_the_end(instance)
        assert instance.board.message == "the data has ended"
        assert instance.board.position is not None
        assert instance.board.position.quantity == Decimal("0.5")
    found = await rows(database, bot_id)
    assert [found[i].status for i in (older, mine, other)] == ["open", "open", "open"]
    assert found[older].extra_metadata["superseded_by_trade"] == mine
    assert "superseded_by_trade" not in found[other].extra_metadata
    async with database.read() as connection:
        (held,) = await connection.execute(select(positions).where(positions.c.bot_id == bot_id))
        assert (held.id, held.status, held.qty_open) == (found[mine].position_id, "open", Decimal("0.5"))


async def test_an_adopted_trade_is_closed_by_its_own_rule_and_an_outdated_one_is_never_adopted_later(
    database: Database,
) -> None:
    bot_id = await insert_bot(database, a_document())
    older = await leave_open(database, bot_id, "ETHUSDT", 1)
    mine = await leave_open(database, bot_id, "ETHUSDT", 2)
    await run_to_the_end(await an_instance(surroundings(database), bot_id))
    found = await rows(database, bot_id)
    assert (found[mine].status, found[mine].exit_logic_name) == ("closed", "ATRExitMixin")
    assert found[older].status == "open"
    async with database.write() as connection:
        await connection.execute(update(state).where(state.c.bot_id == bot_id).values(account=None))
    instance = await an_instance(surroundings(database), bot_id)
    await run_to_the_end(instance)
    assert instance.board.position is None or instance.board.position.entry_time > START + timedelta(hours=2)
    assert (await rows(database, bot_id))[older].extra_metadata["superseded_by_trade"] == mine
