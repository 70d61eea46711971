"""What a live bot shows and tells of itself while something is amiss: on the board, to the probes, in the log."""

from typing import Any

import pytest
from structlog.testing import CapturingLogger

from bot_core.schema import events
from bot_runtime.engine import bot_engine, order_desk, teller
from bot_runtime.feeds import shared_market
from bot_runtime.feeds.freshness import Freshness
from bot_runtime.metrics import exposition
from bot_runtime.settings import Settings
from bot_runtime.trading_runner import TradingRunner
from support.exchange.faults import Fault, FaultKind
from support.exchange.market_data import market_data_of
from support.exchange.server import Exchange
from support.live_bot import LiveBot, live_bot
from support.live_world import a_live_document

ORDER = "POST /api/v3/order"


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> CapturingLogger:
    logger = CapturingLogger()
    for module in (bot_engine, order_desk, teller):
        monkeypatch.setattr(module, "_log", logger)
    return logger


def logged(log: CapturingLogger, event: str) -> list[dict[str, Any]]:
    return [call.kwargs for call in log.calls if call.args == (event,)]


def unready(bot: LiveBot) -> str | None:
    manager = bot.seen.manager
    return TradingRunner(Settings(), manager._around, manager).unready()


def metric(bot: LiveBot, name: str) -> float:
    around = bot.seen.manager._around
    lines = exposition(around.fleet, around.progress).decode().splitlines()
    (value,) = [line.split()[1] for line in lines if line.startswith(f'tradingbot_{name}{{bot_id="{bot.bot_id}"}}')]
    return float(value)


async def bars_pass(bot: LiveBot, count: int) -> None:
    until = bot.board["bars"] + count
    await bot.until(lambda: bot.board["bars"] >= until, f"{count} more bars")


@pytest.mark.parametrize("flat", [True, False])
async def test_a_venue_that_is_away_makes_a_process_not_ready(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, flat: bool
) -> None:
    async with live_bot(sqlite_url, monkeypatch) as bot:
        await bot.protected()
        if flat:
            bot.exchange.venue.account.free["USDT"] = bot.exchange.venue.account.free["USDT"] * 0
            bot.exchange.venue.set_price("BTCUSDT", bot.resting_stops()[0].stop_price or bot.venue.prices["BTCUSDT"])
            await bot.until(lambda: bot.board["position"] is None, "a flat bot")
        await bot.until(lambda: unready(bot) is None, "a process that is ready")
        for endpoint in ("GET /api/v3/allOrders", "GET /api/v3/order"):
            bot.exchange.faults.plan(Fault(FaultKind.ERROR_BEFORE, endpoint, None, status=503))
        await bot.until(lambda: "the venue does not answer" in (unready(bot) or ""), "a process that is not ready")
        assert bot.board["venue_trouble"]
        assert metric(bot, "venue_unreachable") == 1
        bot.exchange.faults.clear()
        await bot.until(lambda: unready(bot) is None, "a process that is ready again")
        assert metric(bot, "venue_unreachable") == 0


async def test_a_feed_that_is_silent_makes_a_process_not_ready(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_market, "Freshness", lambda source, _: Freshness(source, 2.0))
    async with live_bot(sqlite_url, monkeypatch) as bot:
        await bot.protected()
        assert unready(bot) is None
        market_data_of(bot.venue).silent = True
        bot.exchange.faults.plan(Fault(FaultKind.ERROR_BEFORE, "GET /api/v3/klines", None, status=503))
        await bot.until(lambda: bot.board["feed_trouble"] and unready(bot), "a process that is not ready")
        assert metric(bot, "feed_stale") == 1
        market_data_of(bot.venue).silent = False
        bot.exchange.faults.clear()
        await bot.until(lambda: unready(bot) is None, "a process that is ready again")


async def test_a_clock_that_is_off_is_shown_and_told_once(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, log: CapturingLogger
) -> None:
    def ahead(exchange: Exchange) -> None:
        exchange.venue.clock_offset = 3.0

    async with live_bot(sqlite_url, monkeypatch, prepare=ahead) as bot:
        await bot.running()
        await bars_pass(bot, 2)
        assert 2.5 < bot.board["clock_skew_seconds"] < 3.5
        assert 2.5 < metric(bot, "clock_skew_seconds") < 3.5
        assert len(logged(log, "clock_skewed")) == 1


async def test_an_entry_that_a_limit_made_smaller_says_so_once(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, log: CapturingLogger
) -> None:
    document = a_live_document(hold_bars=2, risk_management={"max_position_size": 300})
    async with live_bot(sqlite_url, monkeypatch, document=document) as bot:
        await bot.until(lambda: len(bot.at_venue("BUY")) >= 2, "two entries")
        assert {row["quantity"] for row in await bot.journal(purpose="entry")} == {bot.at_venue("BUY")[0].quantity}
        event, *_ = await bot.until(lambda: bot.rows(events, kind="reduced"), "a note")
        assert event["message"].startswith("max_position_size 300 allows an entry of 300")
        assert event["new_value"]["client_order_id"] == (await bot.journal(purpose="entry"))[0]["client_order_id"]
        told = await bot.told("reduced")
        assert len(set(told)) == len(told)
        assert logged(log, "order_reduced")[0]["reason"] == told[0]


async def test_an_order_that_is_held_back_says_once_why(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, log: CapturingLogger
) -> None:
    def turn_away(exchange: Exchange) -> None:
        exchange.faults.plan(Fault(FaultKind.ERROR_BEFORE, ORDER, None, status=429, code=-1003, message="too many"))

    async with live_bot(sqlite_url, monkeypatch, prepare=turn_away) as bot:
        (order,) = await bot.until(lambda: bot.journal(state="intended"), "an order that is turned away")
        await bot.until(lambda: bot.exchange.requests.count(ORDER) >= 2, "another try")
        held = logged(log, "order_held_back")
        told = [entry for entry in held if entry["client_order_id"] == order["client_order_id"]]
        assert len(told) == 1
        assert "too many" in told[0]["reason"]
