import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import select, text, update

from bot_core.schema import bots, state, trades
from bot_core.store.database import Database
from bot_runtime.engine.board import Phase
from bot_runtime.engine.bot_engine import Rhythm
from support.bars import strategy_document
from support.bots import a_document
from support.running import PACED, Running, events_of, new_bot, running

OFTEN = {"e_rsi_oversold": 45, "e_cooldown_bars": 3}
#: Slow enough for a trade to last while its document changes.
SLOW = PACED | {"speed": 25}


def a_bot(multiplier: float = 6.0, **changes: Any) -> dict[str, Any]:
    strategy = strategy_document(entry_params=OFTEN, exit_params={"x_sl_multiplier": multiplier})
    return a_document(**({"data": SLOW, "strategy": strategy} | changes))


async def watch_statuses(database: Database) -> None:
    """Let the database itself note every change of a status from now on."""
    async with database.write() as connection:
        await connection.execute(text("CREATE TABLE IF NOT EXISTS statuses (status TEXT)"))
        await connection.execute(
            text(
                "CREATE TRIGGER note_status AFTER UPDATE OF status ON trading_bots "
                "WHEN OLD.status <> NEW.status BEGIN INSERT INTO statuses VALUES (NEW.status); END"
            )
        )


async def statuses(database: Database) -> list[str]:
    async with database.read() as connection:
        return list((await connection.execute(text("SELECT status FROM statuses"))).scalars())


async def saved_state(database: Database, bot_id: int) -> Any:
    async with database.read() as connection:
        return (await connection.execute(select(state).where(state.c.bot_id == bot_id))).one()


async def in_position(seen: Running, bot_id: int, bars: int = 3) -> None:
    """Until a trade is open and its exit rule has seen some bars."""
    await seen.until_status(bot_id, "running")
    board = seen.fleet.bots[bot_id]
    opened: list[int] = []

    async def holds() -> bool:
        if board.position is None:
            opened.clear()
        elif not opened:
            opened.append(board.bars)
        return bool(opened) and board.bars - opened[0] >= bars

    await seen.until(holds, "an open position", 40)


async def changed(seen: Running, bot_id: int, times: int = 1) -> list[Any]:
    async def told() -> bool:
        return len(await events_of(seen.database, bot_id, "config_changed")) >= times

    await seen.until(told, "a changed configuration", 40)
    return await events_of(seen.database, bot_id, "config_changed")


def more_bars(seen: Running, bot_id: int, count: int) -> Callable[[], Awaitable[bool]]:
    target = seen.fleet.bots[bot_id].bars + count

    async def reached() -> bool:
        return seen.fleet.bots[bot_id].bars >= target and seen.fleet.bots[bot_id].phase is Phase.RUNNING

    return reached


async def test_a_changed_stop_is_applied_under_the_open_position_without_a_flapping_status(sqlite_url: str) -> None:
    async with running(sqlite_url) as seen:
        bot_id = await new_bot(sqlite_url, **a_bot(6.0))
        await in_position(seen, bot_id)
        board = seen.fleet.bots[bot_id]
        await watch_statuses(seen.database)
        held, epoch, hash_before = board.position, board.epoch, board.config_hash
        assert held is not None
        await seen.change(bot_id, config=a_bot(6.5))
        (event,) = await changed(seen, bot_id)
        path = "strategy.parameters.exit_logic.params.x_sl_multiplier"
        assert event.message == f"{path}: 6.0 -> 6.5"
        assert (event.old_value, event.new_value) == ({path: "6.0"}, {path: "6.5"})
        rules = (await saved_state(seen.database, bot_id)).rule_state["exit"]["state"]
        assert rules["highest"] >= float(held.entry_price)
        assert rules["entry_atr"] is not None, "the ATR of the signal's bar is what it was"

        await seen.until(more_bars(seen, bot_id, 20), "more bars")
        assert board.epoch == epoch
        assert board.config_hash != hash_before
        before = await seen.trade_count(bot_id)

        async def traded() -> bool:
            return await seen.trade_count(bot_id) > before

        await seen.until(traded, "another trade", 40)
        async with seen.database.read() as connection:
            kept = trades.c.entry_time == held.entry_time
            rows = (await connection.execute(select(trades).where(trades.c.bot_id == bot_id, kept))).all()
        assert len(rows) == 1, "the position was neither closed nor opened again by the change"
        assert await statuses(seen.database) == []


async def test_a_bot_trades_on_as_if_nothing_had_happened_when_what_changed_means_nothing(sqlite_url: str) -> None:
    async with running(sqlite_url) as seen:
        undisturbed, disturbed = await new_bot(sqlite_url, **a_bot(2.0)), await new_bot(sqlite_url, **a_bot(2.0))
        await seen.until_status(disturbed, "running")
        for number in range(4):
            await seen.until(more_bars(seen, disturbed, 15), "more bars")
            await seen.change(disturbed, config=a_bot(2.0, name=f"renamed {number}"))
            await changed(seen, disturbed, number + 1)

        async def both() -> bool:
            return min([len(await _trades(seen, bot_id)) for bot_id in (undisturbed, disturbed)]) >= 5

        await seen.until(both, "trades", 60)
        first, second = [await _trades(seen, bot_id) for bot_id in (undisturbed, disturbed)]
        assert first[:5] == second[:5]


async def _trades(seen: Running, bot_id: int) -> list[Any]:
    columns = [trades.c[name] for name in ("entry_time", "entry_price", "exit_time", "exit_price", "net_pnl")]
    async with seen.database.read() as connection:
        query = select(*columns).where(trades.c.bot_id == bot_id, trades.c.status == "closed").order_by(trades.c.id)
        return [tuple(row) for row in await connection.execute(query)]


async def test_another_symbol_is_held_until_flat_told_once_and_then_applied(sqlite_url: str) -> None:
    async with running(sqlite_url) as seen:
        bot_id = await new_bot(sqlite_url, **a_bot(2.0))
        await in_position(seen, bot_id, bars=1)
        await watch_statuses(seen.database)
        await seen.change(bot_id, config=a_bot(2.0, symbol="BTCUSDT"))

        async def told() -> bool:
            return bool(await events_of(seen.database, bot_id, "config_held"))

        await seen.until(told, "the report that it is held")
        (event,) = await changed(seen, bot_id)
        assert event.message == "symbol: 'ETHUSDT' -> 'BTCUSDT'"
        await seen.until(more_bars(seen, bot_id, 5), "bars of the other symbol")
        (held,) = await events_of(seen.database, bot_id, "config_held")
        assert held.message == "symbol can change only without a position and without an order"
        assert seen.fleet.bots[bot_id].symbol == "BTCUSDT"
        async with seen.database.read() as connection:
            query = select(trades).where(trades.c.bot_id == bot_id, trades.c.symbol == "ETHUSDT")
            assert {row.status for row in await connection.execute(query)} == {"closed"}
        assert await statuses(seen.database) == []


async def test_a_held_change_that_is_taken_back_is_forgotten(sqlite_url: str) -> None:
    async with running(sqlite_url) as seen:
        bot_id = await new_bot(sqlite_url, **a_bot(3.0))
        await in_position(seen, bot_id)
        await seen.change(bot_id, config=a_bot(3.0, symbol="BTCUSDT"))

        async def told() -> bool:
            return bool(await events_of(seen.database, bot_id, "config_held"))

        await seen.until(told, "the report that it is held")
        await seen.change(bot_id, config=a_bot(3.0))

        async def flat() -> bool:
            return seen.fleet.bots[bot_id].position is None

        await seen.until(flat, "the exit", 60)
        await seen.until(more_bars(seen, bot_id, 10), "more bars")
        assert seen.fleet.bots[bot_id].symbol == "ETHUSDT"
        assert not await events_of(seen.database, bot_id, "config_changed")


@pytest.mark.parametrize(
    "changes",
    [{"data": SLOW | {"interval": "5m"}}, {"broker": {"type": "binance", "trading_mode": "paper", "cash": 10000.0}}],
)
async def test_a_process_that_starts_with_an_open_position_holds_another_market_or_account_as_well(
    sqlite_url: str, changes: dict[str, Any]
) -> None:
    async with running(sqlite_url) as seen:
        bot_id = await new_bot(sqlite_url, **a_bot(3.0))
        await in_position(seen, bot_id)
        before, held = seen.fleet.bots[bot_id].config_hash, seen.fleet.bots[bot_id].position
    assert held is not None
    database = Database(sqlite_url)
    async with database.write() as connection:
        await connection.execute(update(bots).where(bots.c.id == bot_id).values(config=a_bot(3.0, **changes)))
    await database.aclose()
    async with running(sqlite_url) as seen:
        await seen.until_status(bot_id, "running")
        assert seen.fleet.bots[bot_id].config_hash == before
        assert len(await events_of(seen.database, bot_id, "config_held")) == 1
        (event,) = await changed(seen, bot_id)
        assert next(iter(event.new_value)).startswith(next(iter(changes)))
        async with seen.database.read() as connection:
            query = select(trades.c.status).where(trades.c.bot_id == bot_id, trades.c.entry_time == held.entry_time)
            assert (await connection.scalars(query)).all() == ["closed"]


async def test_a_document_that_can_not_be_built_changes_no_status(sqlite_url: str) -> None:
    async with running(sqlite_url) as seen:
        bot_id = await new_bot(sqlite_url, **a_bot())
        await seen.until_status(bot_id, "running")
        await watch_statuses(seen.database)
        epoch = seen.fleet.bots[bot_id].epoch
        model = {"type": "ONNXStrategy", "parameters": {"model_path": "no-such-file.onnx"}}
        await seen.change(bot_id, config=a_bot(strategy=model))

        async def told() -> bool:
            return "last_error" in (await seen.row(bot_id)).extra_metadata

        await seen.until(told, "the error in the row")
        await seen.until(more_bars(seen, bot_id, 10), "more bars")
        assert seen.fleet.bots[bot_id].config_invalid
        assert (seen.fleet.bots[bot_id].epoch, await statuses(seen.database)) == (epoch, [])
        await seen.change(bot_id, config=a_bot(5.0))
        await changed(seen, bot_id)

        async def mended() -> bool:
            return "last_error" not in (await seen.row(bot_id)).extra_metadata

        await seen.until(mended, "the error's end")
        assert not seen.fleet.bots[bot_id].config_invalid
        assert (seen.fleet.bots[bot_id].epoch, await statuses(seen.database)) == (epoch, [])


async def test_a_change_is_seen_by_the_heartbeat_without_a_notification_or_a_poll(sqlite_url: str) -> None:
    async with running(sqlite_url, poll_seconds=3600, around={"rhythm": Rhythm(beat_seconds=0.2)}) as seen:
        bot_id = await new_bot(sqlite_url, **a_bot())
        seen.manager.wake()  # the one look that finds the new row
        await seen.until_status(bot_id, "running")
        await seen.until(more_bars(seen, bot_id, 10), "some heartbeats")
        async with seen.database.write() as connection:
            await connection.execute(update(bots).where(bots.c.id == bot_id).values(config=a_bot(5.0)))
        await changed(seen, bot_id)
        async with seen.database.write() as connection:
            await connection.execute(update(bots).where(bots.c.id == bot_id).values(status="stopping"))
        await seen.until_status(bot_id, "stopped")


async def test_a_change_by_manual_policy_is_told_and_waits_for_a_start(sqlite_url: str) -> None:
    async with running(sqlite_url) as seen:
        bot_id = await new_bot(sqlite_url, **a_bot())
        await seen.until_status(bot_id, "running")
        await seen.change(bot_id, config=a_bot(5.0, update_policy="manual"))

        async def told() -> bool:
            return bool(await events_of(seen.database, bot_id, "config_held"))

        await seen.until(told, "the report")
        seen.manager.wake()
        await asyncio.sleep(0.7)  # two polls
        assert len(await events_of(seen.database, bot_id, "config_held")) == 1
        assert not await events_of(seen.database, bot_id, "config_changed")
        await seen.change(bot_id, status="restarting")
        await changed(seen, bot_id)
