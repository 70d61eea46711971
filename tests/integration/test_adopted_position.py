from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from bot_core.schema import orders, positions, state, trades
from bot_core.store.database import Database
from bot_runtime.domain.money import round_money
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


async def with_a_position(database: Database, bot_id: int, trade_id: int, qty_open: str, realized_pnl: str) -> None:
    values = {
        "bot_id": bot_id,
        "trade_type": "paper",
        "symbol": "ETHUSDT",
        "direction": "long",
        "qty_open": Decimal(qty_open),
        "realized_pnl": Decimal(realized_pnl),
        "status": "open",
    }
    async with database.write() as connection:
        position_id = await connection.scalar(insert(positions).values(values).returning(positions.c.id))
        await connection.execute(update(trades).where(trades.c.id == trade_id).values(position_id=position_id))


async def test_of_a_trade_that_was_sold_in_part_only_what_is_left_is_adopted(database: Database) -> None:
    bot_id = await insert_bot(database, a_document())
    mine = await leave_open(database, bot_id, "ETHUSDT", 2)
    await with_a_position(database, bot_id, mine, "0.2", "30")  # 0.3 of 0.5 were sold at 1300
    await run_to_the_end(await an_instance(surroundings(database), bot_id))
    async with database.read() as connection:
        order = (
            await connection.execute(select(orders).where(orders.c.bot_id == bot_id).order_by(orders.c.id).limit(1))
        ).one()
    trade = (await rows(database, bot_id))[mine]
    assert (order.side, order.filled_quantity, order.filled_price > 0) == ("sell", Decimal("0.2"), True)
    assert trade.status == "closed"
    left = Decimal("0.2") * order.filled_price
    assert abs(trade.gross_pnl - (30 + left - 240)) < Decimal("1e-7")
    assert trade.exit_price == round_money((390 + left) / Decimal("0.5"))


@pytest.mark.parametrize("qty_open", ["0", "0.6"])
async def test_a_trade_whose_position_contradicts_it_is_not_adopted(database: Database, qty_open: str) -> None:
    bot_id = await insert_bot(database, a_document())
    mine = await leave_open(database, bot_id, "ETHUSDT", 2)
    await with_a_position(database, bot_id, mine, qty_open, "0")
    instance = await an_instance(surroundings(database), bot_id)
    await run_to_the_end(instance)
    assert f"has qty_open {Decimal(qty_open):f}" in instance.board.message
    assert (await rows(database, bot_id))[mine].status == "open"


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
