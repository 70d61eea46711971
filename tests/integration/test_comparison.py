"""Venue against tables, with a live bot: what is repaired, what is adopted, and what ends its trading."""

from decimal import Decimal
from typing import Any

import pytest

from bot_core.models.halt import HaltScope
from bot_core.store.halts import HaltStore
from support.exchange.faults import Fault, FaultKind
from support.exchange.server import Exchange
from support.exchange.venue import FillPlan
from support.live_bot import LiveBot, insert_live_bot, live_bot, process_of, stand_at, use_exchange
from support.live_world import SYMBOL, a_live_document

ORDER = "POST /api/v3/order"
LISTED = "GET /api/v3/allOrders"


async def comparisons(bot: LiveBot, count: int = 2) -> None:
    """Wait until the venue's orders were listed some more times."""
    until = bot.exchange.requests.count(LISTED) + count
    await bot.until(lambda: bot.exchange.requests.count(LISTED) >= until, "comparisons")


async def ended(bot: LiveBot, reason: str) -> None:
    """Wait until the bot has given up, and see that it has told so and does nothing more."""
    row = await bot.seen.until_status(bot.bot_id, "error")
    assert reason in row.extra_metadata["last_error"]
    assert await bot.notified(reason) == 1
    assert bot.board["phase"] == "error"
    orders, bars = len(bot.venue.orders), bot.board["bars"]
    reads = bot.exchange.requests.count("GET /api/v3/account")
    await bot.until(lambda: bot.seen.manager._instances[bot.bot_id].done, "an end")
    for _ in range(3):
        bot.seen.manager.wake()
        await bot.until(lambda: not bot.seen.manager._awake.is_set(), "a look at the row")
    assert (len(bot.venue.orders), bot.board["bars"]) == (orders, bars)
    assert bot.exchange.requests.count("GET /api/v3/account") == reads


async def an_order_given_up(bot: LiveBot) -> dict[str, Any]:
    """An entry whose answer was lost, that the venue did not know, and that was too late by then; the bot is halted."""
    await bot.until(lambda: bot.journal(state="unknown"), "an entry of unknown outcome")
    await HaltStore(bot.database).halt(HaltScope.ALL, None, flatten=False, reason="", by="test")
    (order,) = await bot.until(lambda: bot.journal(state="canceled"), "an entry that is given up")
    assert not bot.at_venue()
    return dict(order)


def lose_an_entry(exchange: Exchange) -> None:
    exchange.faults.plan(Fault(FaultKind.RESET_BEFORE, ORDER))


async def test_an_order_that_filled_late_is_adopted(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with live_bot(sqlite_url, monkeypatch, prepare=lose_an_entry) as bot:
        given_up = await an_order_given_up(bot)
        bot.venue.submit(SYMBOL, "BUY", "MARKET", given_up["quantity"], client_id=given_up["client_order_id"])
        (position,) = await bot.until(bot.open_positions, "a position")
        assert position["qty_open"] == given_up["quantity"] * Decimal("0.999")
        assert len(await bot.open_trades()) == 1
        (order,) = await bot.journal(purpose="entry")
        assert (order["state"], order["filled_quantity"]) == ("filled", given_up["quantity"])
        assert [text.rpartition("; ")[2] for text in await bot.told("order_late")] == ["it is adopted"]
        assert await bot.notified("appeared late at the venue") == 1
        assert (await bot.protected()).quantity == Decimal("0.00999")


async def test_an_order_that_rests_late_is_canceled(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with live_bot(sqlite_url, monkeypatch, prepare=lose_an_entry) as bot:
        given_up = await an_order_given_up(bot)
        late = bot.venue.submit(
            SYMBOL, "BUY", "LIMIT", given_up["quantity"], price=Decimal(30_000), client_id=given_up["client_order_id"]
        )
        await bot.until(lambda: late.status == "CANCELED", "a cancel")
        assert await bot.until(lambda: bot.notified("it was canceled there"), "an alert") == 1
        await comparisons(bot)
        assert await bot.notified("it was canceled there") == 1
        assert not await bot.open_positions()
        assert bot.board["phase"] == "running"


async def test_an_order_of_ours_that_the_journal_has_not_ends_the_trading(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with live_bot(sqlite_url, monkeypatch) as bot:
        await bot.protected()
        name = f"tb{bot.bot_id}-en-1700000000"
        stray = bot.venue.submit(SYMBOL, "BUY", "LIMIT", Decimal("0.01"), price=Decimal(30_000), client_id=name)
        await ended(bot, f"the venue has order {name}")
        assert stray.open


async def test_orders_of_others_are_left_alone(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with live_bot(sqlite_url, monkeypatch) as bot:
        await bot.protected()
        theirs = [
            bot.venue.submit(SYMBOL, "BUY", "LIMIT", Decimal("0.01"), price=Decimal(30_000), client_id=name)
            for name in (f"tb{bot.bot_id}1-en-1700000000", f"xtb{bot.bot_id}-en-1", f"TB{bot.bot_id}-en-1", "web_abc")
        ]
        sold = bot.venue.submit(SYMBOL, "SELL", "MARKET", Decimal("0.5"), client_id="web_def")
        assert sold.status == "FILLED"
        await comparisons(bot, 3)
        assert all(order.open for order in theirs)
        assert bot.board["phase"] == "running"
        assert not await bot.told("error")


async def test_holdings_that_are_missing_end_the_trading(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    document = a_live_document(hold_bars=10_000, risk_management={})
    async with live_bot(sqlite_url, monkeypatch, document=document) as bot:
        await bot.in_position()
        await comparisons(bot)
        assert bot.board["phase"] == "running"
        bot.venue.account.free["BTC"] = Decimal("0.005")
        await ended(bot, "the tables say that the bot holds 0.00999")


async def test_what_filled_while_no_process_was_there_is_taken_from_the_venue(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Exchange() as exchange:
        use_exchange(exchange, monkeypatch)
        stand_at(exchange, 50_000)
        exchange.venue.plan_fills(FillPlan((Decimal("0.3"), Decimal("0.7"))))
        bot_id = await insert_live_bot(sqlite_url, a_live_document(hold_bars=10_000))
        async with process_of(sqlite_url, exchange, bot_id) as bot:
            await bot.until(lambda: bot.at_venue("BUY", status="PARTIALLY_FILLED"), "a part of an entry")
            await bot.seen.manager._instances[bot_id].kill()
            assert not await bot.open_positions()
        exchange.venue.advance()
        async with process_of(sqlite_url, exchange, bot_id) as bot:
            stop = await bot.protected()
            (position,) = await bot.open_positions()
            assert position["qty_open"] == stop.quantity == Decimal("0.00999")
            (entry,) = await bot.journal(purpose="entry")
            assert (entry["state"], entry["filled_quantity"]) == ("filled", Decimal("0.01"))
            assert len(bot.at_venue("BUY")) == 1


async def test_an_order_that_the_venue_has_forgotten_ends_the_trading(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with live_bot(sqlite_url, monkeypatch) as bot:
        stop = await bot.protected()
        bot.venue.cancel(stop)
        bot.venue.orders.remove(stop)
        await ended(bot, f"the venue accepted order {stop.client_id} and does not know it any more")
        assert len(await bot.open_positions()) == 1
