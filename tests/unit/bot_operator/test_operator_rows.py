import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert

from bot_core.models.brake import TableState
from bot_core.models.errors import DatabaseUnavailableError
from bot_core.models.figures import Figures, OpenPosition
from bot_core.models.halt import HaltScope
from bot_core.schema import positions, state
from bot_core.store.halts import HaltStore
from bot_core.store.projection import ProjectionStore
from bot_operator.rows import RowReader
from bot_operator.status import condition
from support.operator_builders import NOW, an_invalid_document

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


async def test_a_record_holds_the_halt_that_counts_for_its_bot(world: "World") -> None:
    first, second = await world.insert(), await world.insert()
    store = HaltStore(world.database)
    halt = await store.halt(HaltScope.BOT, second, flatten=True, reason="", by="anna")
    rows = RowReader(world.store, ProjectionStore(world.database))
    assert {bot_id: record.halt for bot_id, record in (await rows.all()).items()} == {first: None, second: halt}
    everybody = await store.halt(HaltScope.ALL, None, flatten=False, reason="", by="anna")
    assert {bot_id: record.halt for bot_id, record in (await rows.all()).items()} == {first: everybody, second: halt}
    record = await rows.get(second)
    assert record is not None
    assert record.halt == halt


async def test_a_sweep_notices_a_halt_and_its_end_and_tells_of_both(world: "World") -> None:
    bot_id = await world.a_running_bot()
    assert await world.settle() == []
    store = HaltStore(world.database)
    halt = await store.halt(HaltScope.USER, (await world.row(bot_id)).user_id, flatten=False, reason="news", by="anna")
    assert await world.settle() == [bot_id]
    status = world.cluster.status(bot_id)
    assert (status["halted"], status["message"]) == (True, str(halt))
    assert condition(status, "Trading")["reason"] == "Halted"
    assert await world.settle() == []
    await store.resume(HaltScope.USER, (await world.row(bot_id)).user_id, by="anna")
    assert await world.settle() == [bot_id]
    assert world.cluster.status(bot_id)["halted"] is False
    assert world.cluster.reasons()[-2:] == ["Halted", "Resumed"]
    told = {event["reason"]: (event["type"], event["message"]) for event in world.cluster.events}
    assert told["Halted"] == ("Warning", str(halt))
    assert told["Resumed"][0] == "Normal"


async def test_a_halt_is_news_for_the_look_at_figures(world: "World") -> None:
    bot_id = await world.a_running_bot()
    await world.projection.project()
    assert world.queued == []
    await HaltStore(world.database).halt(HaltScope.ALL, None, flatten=False, reason="", by="anna")
    await world.projection.project()
    assert world.queued == [bot_id]


async def test_no_row_is_none_and_an_empty_table_is_told_from_a_missing_row(world: "World") -> None:
    rows = RowReader(world.store, ProjectionStore(world.database))
    assert await rows.get(7) is None
    assert (await rows.wishes()).table is TableState.EMPTY
    await world.insert()
    assert await rows.get(7) is None
    assert (await rows.wishes()).table is TableState.FILLED


async def test_the_position_is_shown_in_the_status(world: "World") -> None:
    bot_id = await world.a_running_bot()
    await _hold(world, bot_id, "0.25")
    await world.projection.project()
    assert world.cluster.status(bot_id)["openPosition"] == "long 0.25 ETHUSDT at 2000.5"


async def test_who_asks_at_the_same_time_is_answered_together_and_never_by_what_was_read_before(
    world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    bots = [await world.insert() for _ in range(20)]
    rows, read = RowReader(world.store, ProjectionStore(world.database)), world.store.all
    reads: list[list[int]] = []

    async def noted(ids: Any = None) -> Any:
        reads.append(sorted(ids))
        found = await read(ids)
        if len(reads) == 1:  # the row changes after it was read, and then another asks for it
            await world.change(bots[0], status="disabled")
            later.append(asyncio.create_task(rows.get(bots[0])))
            await asyncio.sleep(0)
        return found

    later: list[asyncio.Task[Any]] = []
    monkeypatch.setattr(world.store, "all", noted)
    found = await asyncio.gather(*(rows.get(bot_id) for bot_id in [*bots, 4711]))
    assert [record and record.row.id for record in found] == [*bots, None]
    assert [record.row.status for record in found if record] == ["enabled"] * 20
    assert (await later[0]).row.status == "disabled"
    assert reads == [[*bots, 4711], [bots[0]]]


async def test_an_unanswered_question_fails_for_all_who_asked_and_not_for_who_asks_next(
    world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    bots = [await world.insert() for _ in range(2)]
    rows = RowReader(world.store, ProjectionStore(world.database))
    with monkeypatch.context() as away:
        away.setattr(world.store, "all", _away)
        answers = await asyncio.gather(*(rows.get(bot_id) for bot_id in bots), return_exceptions=True)
    assert [type(answer) for answer in answers] == [DatabaseUnavailableError] * 2
    assert await rows.get(bots[0]) is not None


async def _away(ids: Any = None) -> Any:
    raise DatabaseUnavailableError(f"{ids}")


async def test_a_document_is_read_anew_only_once_it_has_changed(world: "World") -> None:
    bot_id = await world.insert()
    rows = RowReader(world.store, ProjectionStore(world.database))
    swept = (await rows.all())[bot_id]
    assert swept.parsed.config is not None
    await world.change(bot_id, status="running")
    record = await rows.get(bot_id)
    assert record is not None
    assert record.parsed is swept.parsed
    await world.change(bot_id, config=an_invalid_document())
    record = await rows.get(bot_id)
    assert record is not None
    assert record.parsed.config is None


async def test_nothing_is_read_any_more_once_it_is_closed_whoever_had_asked(
    world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    bot_id, read, over = await world.insert(), world.store.all, asyncio.Event()
    rows = RowReader(world.store, ProjectionStore(world.database))

    async def slowly(ids: Any = None) -> Any:
        try:
            await asyncio.sleep(0.05)
            return await read(ids)
        finally:
            over.set()

    monkeypatch.setattr(world.store, "all", slowly)
    asking = asyncio.create_task(rows.get(bot_id))
    await asyncio.sleep(0.01)
    asking.cancel()
    await rows.aclose()
    assert over.is_set()
    assert not [task for task in asyncio.all_tasks() if "_read_asked" in repr(task)]
