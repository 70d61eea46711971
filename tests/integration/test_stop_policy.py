"""What becomes of a live bot's orders and position when it is asked to stop: by the policy of its document."""

import asyncio
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from bot_core.models.bot import BotStatus
from bot_core.schema import bots
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from support.exchange.faults import Fault, FaultKind
from support.exchange.market_data import market_data_of
from support.exchange.server import Exchange, ExchangeProcess
from support.exchange.venue import FillPlan, VenueOrder
from support.live_bot import LiveBot, insert_live_bot, live_bot, process_of, stand_at, use_exchange
from support.live_world import LiveWorld, a_live_document

STOPS = ["stopping", "disabled", "enabled is false"]
ACCOUNT, CANCEL = "GET /api/v3/account", "DELETE /api/v3/order"


def a_holding_document(**changes: Any) -> dict[str, Any]:
    return a_live_document(hold_bars=10_000, **changes)


def a_limit_document(**changes: Any) -> dict[str, Any]:
    return a_holding_document(trading={"order_type": "limit"}, **changes)


def out_of_reach(exchange: Exchange) -> None:
    """A limit entry at the close of a bar rests, as the venue trades higher."""
    stand_at(exchange, 40_000, venue=50_000)


async def a_resting_entry(bot: LiveBot) -> VenueOrder:
    """Wait for one, and let no further bar come: entries are good for one bar."""
    await bot.until(lambda: bot.at_venue("BUY", status="NEW"), "an entry that rests")
    market_data_of(bot.venue).silent = True
    await bot.until(lambda: bot.board["orders"].get("open") == len(bot.at_venue()), "all of it in the journal")
    (entry,) = bot.at_venue("BUY", status="NEW")
    return entry


async def ask(bot: LiveBot, how: str) -> None:
    await _ask(bot.database, bot.bot_id, how)
    bot.seen.manager.wake()


async def ask_later(url: str, bot_id: int, how: str) -> None:
    """Ask when no process is there."""
    database = Database(url)
    try:
        await _ask(database, bot_id, how)
    finally:
        await database.aclose()


async def _ask(database: Database, bot_id: int, how: str) -> None:
    if how == "enabled is false":
        async with database.write() as connection:
            document = await connection.scalar(select(bots.c.config).where(bots.c.id == bot_id))
            values = {"config": {**document, "enabled": False}}
            await connection.execute(update(bots).where(bots.c.id == bot_id).values(values))
    else:
        assert await BotStore(database, actor="somebody").request(bot_id, BotStatus(how))


async def stopped(bot: LiveBot, how: str) -> None:
    row = await bot.seen.until_status(bot.bot_id, "stopped")
    assert row.extra_metadata["stopped_by"] == ("config" if how == "enabled is false" else "request")


@pytest.mark.parametrize("how", STOPS)
async def test_keep_leaves_position_and_stop(sqlite_url: str, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    async with live_bot(sqlite_url, monkeypatch, document=a_holding_document(on_stop="keep")) as bot:
        stop = await bot.protected()
        await ask(bot, how)
        await stopped(bot, how)
        assert stop.open
        assert len(await bot.open_positions()) == 1
        assert len(bot.at_venue()) == 2


async def test_keep_leaves_an_entry_that_rests(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    document = a_limit_document(on_stop="keep")
    async with live_bot(sqlite_url, monkeypatch, document=document, prepare=out_of_reach) as bot:
        entry = await a_resting_entry(bot)
        await ask(bot, "stopping")
        await stopped(bot, "stopping")
        assert entry.open


@pytest.mark.parametrize("how", STOPS)
async def test_cancel_withdraws_an_entry_that_rests(sqlite_url: str, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    document = a_limit_document(on_stop="cancel")
    async with live_bot(sqlite_url, monkeypatch, document=document, prepare=out_of_reach) as bot:
        entry = await a_resting_entry(bot)
        await ask(bot, how)
        await stopped(bot, how)
        assert entry.status == "CANCELED"
        assert (await bot.told("order_canceled"))[-1] == f"{entry.client_id}: the bot was stopped"
        assert {row["state"] for row in await bot.journal()} == {"canceled"}
        assert not await bot.open_positions()


async def test_cancel_is_the_default_and_keeps_position_and_stop(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with live_bot(sqlite_url, monkeypatch) as bot:
        stop = await bot.protected()
        await ask(bot, "stopping")
        await stopped(bot, "stopping")
        assert stop.open
        assert len(await bot.open_positions()) == 1


async def test_cancel_protects_what_has_filled_of_the_entry_that_it_withdraws(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = a_limit_document(on_stop="cancel")
    async with live_bot(sqlite_url, monkeypatch, document=document, prepare=out_of_reach) as bot:
        entry = await a_resting_entry(bot)
        bot.venue.execute(entry, entry.quantity / 2)
        await ask(bot, "stopping")
        await stopped(bot, "stopping")
        assert entry.status == "CANCELED"
        (position,) = await bot.open_positions()
        (stop,) = bot.resting_stops()
        assert 0 <= position["qty_open"] - stop.quantity < bot.venue.markets["BTCUSDT"].step


@pytest.mark.parametrize("how", STOPS)
async def test_flatten_sells_and_closes_the_books(sqlite_url: str, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    async with live_bot(sqlite_url, monkeypatch, document=a_holding_document(on_stop="flatten")) as bot:
        stop = await bot.protected()
        await ask(bot, how)
        await stopped(bot, how)
        assert stop.status == "CANCELED"
        assert [order.status for order in bot.at_venue("SELL", kind="MARKET")] == ["FILLED"]
        assert not await bot.open_positions()
        assert not await bot.open_trades()
        (trade,) = await bot.closed_trades()
        assert trade["exit_reason"] == "on_stop"


async def test_flatten_goes_on_until_an_exit_that_fills_in_parts_is_filled(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with live_bot(sqlite_url, monkeypatch, document=a_holding_document(on_stop="flatten")) as bot:
        await bot.protected()
        bot.venue.plan_fills(FillPlan((Decimal("0.5"), Decimal("0.5"))))
        await ask(bot, "stopping")
        await bot.until(lambda: bot.at_venue("SELL", kind="MARKET", status="PARTIALLY_FILLED"), "half of an exit")
        assert (await bot.seen.row(bot.bot_id)).status == "stopping"
        bot.venue.advance()
        await stopped(bot, "stopping")
        assert len(await bot.closed_trades()) == 1


@pytest.mark.parametrize("how", STOPS)
async def test_what_the_last_process_left_is_ended_by_one_that_then_is_alive_and_ready(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    async with Exchange() as exchange:
        use_exchange(exchange, monkeypatch)
        stand_at(exchange, 50_000)
        bot_id = await insert_live_bot(sqlite_url, a_holding_document(on_stop="flatten"))
        async with process_of(sqlite_url, exchange, bot_id) as bot:
            await bot.protected()
            await bot.seen.manager._instances[bot_id].kill()
        await ask_later(sqlite_url, bot_id, how)
        async with process_of(sqlite_url, exchange, bot_id) as bot:
            await stopped(bot, how)
            assert len(await bot.closed_trades()) == 1
            assert not [order for order in bot.at_venue() if order.open]
            await bot.until(lambda: bot.board["phase"] == "stopped", "a board that says so")
            progress = bot.seen.manager._around.progress
            await bot.until(lambda: f"bot-{bot_id}" not in progress.ages(), "no loop that nobody turns")


async def test_a_stop_that_can_not_be_finished_yet_is_tried_now_and_then_and_not_all_the_time(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Exchange() as exchange:
        use_exchange(exchange, monkeypatch)
        stand_at(exchange, 50_000)
        bot_id = await insert_live_bot(sqlite_url, a_holding_document(on_stop="flatten"))
        async with process_of(sqlite_url, exchange, bot_id) as bot:
            await bot.protected()
            await bot.seen.manager._instances[bot_id].kill()
        await ask_later(sqlite_url, bot_id, "stopping")
        exchange.faults.plan(Fault(FaultKind.ERROR_BEFORE, ACCOUNT, None, status=503))
        tries, began = exchange.requests.count(ACCOUNT), time.monotonic()
        async with process_of(sqlite_url, exchange, bot_id) as bot:
            await bot.until(lambda: exchange.requests.count(ACCOUNT) >= tries + 3, "three tries")
            assert time.monotonic() - began > 3
            assert bot.board["phase"] == "waiting"
            exchange.faults.clear()
            await stopped(bot, "stopping")
            assert len(await bot.closed_trades()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("how", STOPS)
def test_a_stop_that_kill_nine_cut_short_is_finished_by_the_next_process(
    sqlite_url: str, tmp_path: Path, how: str
) -> None:
    bot_id = asyncio.run(insert_live_bot(sqlite_url, a_holding_document(on_stop="flatten")))
    with ExchangeProcess() as exchange:
        world = LiveWorld(tmp_path, sqlite_url, exchange)
        try:
            first = world.start()
            world.wait(lambda: world.orders(bot_id, purpose="protective", state="open"), "a protected position")
            exchange.admin("fault", kind="timeout_before", endpoint=CANCEL, times=None)
            request(world, bot_id, how)
            world.wait(lambda: CANCEL in exchange.state()["requests"], "a cancel that gets no answer")
            first.kill()
            assert world.holds(bot_id)
            exchange.admin("clear")
            second = world.start()
            world.wait(lambda: status(world, bot_id) == "stopped", "a bot that is stopped")
            assert not world.holds(bot_id)
            assert not [o for o in world.venue_orders(bot_id) if o["status"] in {"NEW", "PARTIALLY_FILLED"}]
            assert len([o for o in world.venue_orders(bot_id) if o["type"] == "MARKET"]) == 2
            world.wait(lambda: second.get("/readyz")[0] == 200, "a process that is ready")
        finally:
            world.close()


def request(world: LiveWorld, bot_id: int, how: str) -> None:
    if how == "enabled is false":
        sql = "UPDATE trading_bots SET config = json_set(config, '$.enabled', json('false')) WHERE id = :bot"
        world.rows(sql, bot=bot_id)
    else:
        world.rows("UPDATE trading_bots SET status = :status WHERE id = :bot", bot=bot_id, status=how)


def status(world: LiveWorld, bot_id: int) -> str:
    return str(world.rows("SELECT status FROM trading_bots WHERE id = :bot", bot=bot_id)[0]["status"])
