from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert

from bot_core.models.figures import Figures, OpenPosition
from bot_core.schema import positions, state
from bot_core.store.projection import ProjectionStore
from bot_operator.rows import RowReader
from support.operator_builders import NOW

if TYPE_CHECKING:
    World = Any  # the fixture's class: conftest modules are not imported by name


async def _hold(world: "World", bot_id: int, quantity: str, *, status: str = "open") -> None:
    values = {"bot_id": bot_id, "trade_type": "paper", "symbol": "ETHUSDT", "direction": "long", "status": status}
    async with world.database.write() as connection:
        query = insert(positions).values(**values, qty_open=Decimal(quantity), avg_price=Decimal("2000.5"))
        await connection.execute(query)


async def test_a_record_holds_the_newest_open_position_and_the_hash_of_what_runs(world: "World") -> None:
    bot_id, other = await world.insert(), await world.insert()
    await _hold(world, bot_id, "1")
    await _hold(world, bot_id, "0.25")
    await _hold(world, bot_id, "0")
    await _hold(world, bot_id, "3", status="closed")
    async with world.database.write() as connection:
        await connection.execute(insert(state).values(bot_id=bot_id, config_hash="abc", updated_at=NOW))
    rows = RowReader(world.store, ProjectionStore(world.database))
    held = Figures(OpenPosition("ETHUSDT", "long", Decimal("0.25"), Decimal("2000.5")), "abc")
    assert {key: record.figures for key, record in (await rows.all()).items()} == {bot_id: held, other: Figures()}
    record = await rows.get(bot_id)
    assert record is not None
    assert record.figures == held


async def test_no_row_is_none_and_an_empty_table_is_told_from_a_missing_row(world: "World") -> None:
    rows = RowReader(world.store, ProjectionStore(world.database))
    assert await rows.get(7) is None
    assert await rows.table_is_empty()
    await world.insert()
    assert await rows.get(7) is None
    assert not await rows.table_is_empty()


async def test_the_position_is_shown_in_the_status(world: "World") -> None:
    bot_id = await world.a_running_bot()
    await _hold(world, bot_id, "0.25")
    world.seconds += 60
    await world.settle()
    assert world.cluster.status(bot_id)["openPosition"] == "long 0.25 ETHUSDT at 2000.5"
