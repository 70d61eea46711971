"""The protective stop of a live bot: placed, replaced, triggered and withdrawn at the stand-in exchange."""

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from support.exchange.markets import VenueError
from support.exchange.server import Exchange
from support.exchange.venue import VenueOrder
from support.live_bot import QUICK, LiveBot, live_bot, stand_at
from support.live_world import a_live_document

TRAILING = {"trailing_stop": True, "trailing_stop_pct": 1.0}


def a_trailing_document() -> dict[str, Any]:
    return a_live_document(hold_bars=10_000, risk_management=TRAILING)


def all_stops(bot: LiveBot) -> list[VenueOrder]:
    return bot.at_venue("SELL", kind="STOP_LOSS")


def never_two_at_once(stops: list[VenueOrder]) -> bool:
    return all(not old.open and old.update_time <= new.time for old, new in pairwise(stops))


async def test_it_is_placed_below_the_entry_for_what_the_fee_has_left(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with live_bot(sqlite_url, monkeypatch) as bot:
        stop = await bot.protected()
        (entry,) = bot.at_venue("BUY")
        assert entry.quantity == Decimal("0.01")  # a tenth of 5000, at 50000
        assert (stop.stop_price, stop.quantity) == (
            Decimal(40_000),
            Decimal("0.00999"),
        )  # 20 % below; 0.1 % was the fee
        assert bot.board["protective_stop"] == "40000.00"


async def test_it_follows_a_rising_price_and_is_never_there_twice(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with live_bot(sqlite_url, monkeypatch, document=a_trailing_document()) as bot:
        assert (await bot.protected()).stop_price == Decimal(49_500)
        for price in (51_000, 52_000):
            stand_at(bot.exchange, price)
            wanted = Decimal(price) * Decimal("0.99")
            await bot.until(lambda wanted=wanted: [s.stop_price for s in bot.resting_stops()] == [wanted], "a new stop")
        stand_at(bot.exchange, 51_900)  # a lower price moves it no more
        bars = bot.board["bars"]
        await bot.until(lambda: bot.board["bars"] > bars + 2, "some bars")
        stops = all_stops(bot)
        assert [stop.stop_price for stop in stops] == [Decimal(49_500), Decimal(50_490), Decimal(51_480)]
        assert [stop.status for stop in stops] == ["CANCELED", "CANCELED", "NEW"]
        assert never_two_at_once(stops)
        assert [row["state"] for row in await bot.journal(purpose="protective")] == ["canceled", "canceled", "open"]


@pytest.mark.parametrize(
    ("document", "rise", "fall", "reason"),
    [
        (a_live_document(hold_bars=10_000), 50_000, 39_000, "stop_loss"),
        (a_trailing_document(), 52_000, 51_000, "trailing_stop"),
    ],
)
async def test_one_that_the_venue_triggers_closes_the_trade(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, document: dict[str, Any], rise: int, fall: int, reason: str
) -> None:
    async with live_bot(sqlite_url, monkeypatch, document=document) as bot:
        first = await bot.protected()
        stand_at(bot.exchange, rise)
        await bot.until(lambda: rise == 50_000 or (bot.resting_stops() and not first.open), "the stop up there")
        await bot.until(lambda: bot.journal(purpose="protective", state="open"), "it in the journal")
        (stop,) = bot.resting_stops()
        stand_at(bot.exchange, fall)
        assert stop.status == "FILLED"
        (trade,) = await bot.until(bot.closed_trades, "a closed trade")
        assert trade["exit_reason"] == reason
        assert Decimal(str(trade["exit_price"])) == fall
        assert (await bot.journal(client_order_id=stop.client_id))[0]["state"] == "filled"
        assert not bot.at_venue("SELL", kind="MARKET")  # it was not sold a second time


async def test_it_is_withdrawn_before_an_exit_is_sent(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with live_bot(sqlite_url, monkeypatch, document=a_live_document(hold_bars=3)) as bot:
        stop = await bot.protected()
        await bot.until(bot.closed_trades, "a closed trade")
        exit_order = bot.at_venue("SELL", kind="MARKET")[0]
        assert stop.status == "CANCELED"
        assert stop.update_time <= exit_order.time
        assert exit_order.status == "FILLED"
        assert exit_order.quantity == stop.quantity


async def test_where_the_venue_takes_no_stops_the_bot_leaves_on_the_close_and_says_so_once(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rhythm = replace(QUICK, stop_seconds=60)  # so long after a refusal it is asked for again without a new bar
    async with live_bot(sqlite_url, monkeypatch, prepare=reject_stops, rhythm=rhythm) as bot:
        await bot.in_position()
        await bot.until(lambda: bot.journal(purpose="protective", state="rejected"), "a rejected stop")
        stand_at(bot.exchange, 39_000)
        (trade,) = await bot.until(bot.closed_trades, "a closed trade")
        assert trade["exit_reason"] == "stop_loss"
        await bot.until(lambda: len(bot.at_venue("BUY")) == 2, "the next entry")
        bars = bot.board["bars"]
        await bot.until(lambda: bot.board["bars"] > bars + 2, "some bars")
        stops = await bot.journal(purpose="protective")
        assert {row["state"] for row in stops} <= {"intended", "rejected"}
        assert len(await bot.told("alert")) == 1
        assert await bot.notified("the venue rejected the protective") == 1


def reject_stops(exchange: Exchange) -> None:
    submit = exchange.venue.submit

    def strict(symbol: str, side: str, kind: str, quantity: Decimal, **more: Any) -> VenueOrder:
        if kind == "STOP_LOSS":
            raise VenueError(-1013, "Stop loss orders are not supported for this symbol.")
        return submit(symbol, side, kind, quantity, **more)

    exchange.venue.submit = strict  # type: ignore[method-assign]
