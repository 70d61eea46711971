"""A live bot whose database goes away: bars go on, no order is sent, none is sent late, and then it trades again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from structlog.testing import CapturingLogger

from bot_runtime.domain.bar import Bar
from bot_runtime.engine import bot_engine
from bot_runtime.engine.bot_engine import BotEngine, Rhythm
from support.exchange.faults import Fault, FaultKind
from support.live_bot import LiveBot, live_bot
from support.live_world import a_live_document
from support.postgres import PostgresServer

pytestmark = pytest.mark.postgres
ORDER = "POST /api/v3/order"
SECOND = timedelta(seconds=1)


@asynccontextmanager
async def database_away(postgres: PostgresServer, bot: LiveBot) -> AsyncIterator[None]:
    """No connection is let in, and those that are there are ended."""
    name = bot.database.url.database
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    await asyncio.to_thread(postgres.execute, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    try:
        await asyncio.to_thread(postgres.execute, end)
        yield
    finally:
        await asyncio.to_thread(postgres.execute, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The times of all bars that engines were given."""
    seen: list[datetime] = []
    on_bar = BotEngine.on_bar

    async def watched(self: BotEngine, bar: Bar) -> None:
        seen.append(bar.time)
        await on_bar(self, bar)

    monkeypatch.setattr(BotEngine, "on_bar", watched)
    return seen


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> CapturingLogger:
    """What engines log."""
    logger = CapturingLogger()
    monkeypatch.setattr(bot_engine, "_log", logger)
    return logger


def logged(log: CapturingLogger, event: str) -> list[dict[str, Any]]:
    return [call.kwargs for call in log.calls if call.args == (event,)]


async def count_up(bot: LiveBot, bars: list[datetime], count: int) -> None:
    until = len(bars) + count
    await bot.until(lambda: len(bars) >= until, f"{count} more bars")


async def test_bars_go_on_in_the_same_engine_where_nothing_is_to_be_written(
    postgres: PostgresServer, postgres_url: str, monkeypatch: pytest.MonkeyPatch, bars: list[datetime]
) -> None:
    async with live_bot(postgres_url, monkeypatch) as bot:
        await bot.protected()
        orders = len(bot.at_venue())
        async with database_away(postgres, bot):
            await bot.until(
                lambda: bot.board["message"].startswith("the database does not answer"), "a bot that says so"
            )
            await count_up(bot, bars, 4)
        await bot.until(lambda: not bot.board["message"], "a bot that writes again")
        await count_up(bot, bars, 2)
        assert [later - earlier for earlier, later in pairwise(bars)] == [SECOND] * (len(bars) - 1)
        assert bot.board["restarts"] == 0
        assert len(bot.at_venue()) == orders


async def test_a_signal_of_that_time_is_held_and_never_sent_late(
    postgres: PostgresServer,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
    bars: list[datetime],
    log: CapturingLogger,
) -> None:
    seldom = Rhythm(beat_seconds=5, order_seconds=0.3, stop_seconds=0.3)
    document = a_live_document(hold_bars=4)
    async with live_bot(postgres_url, monkeypatch, document=document, rhythm=seldom) as bot:
        await bot.until(bot.closed_trades, "a whole trade")
        await bot.protected()  # nothing is to be written before the exit
        async with database_away(postgres, bot):
            away = datetime.now(UTC)
            (held,) = await bot.until(lambda: logged(log, "signal_held"), "a signal that is held")
            orders = len(bot.at_venue())
            await bot.until(lambda: bot.board["restarts"] >= 2, "some tries to go on")
            assert len(bot.at_venue()) == orders
            back = datetime.now(UTC)
        trades = len(await bot.until(bot.closed_trades, "tables that answer"))
        await bot.until(lambda: _more_trades(bot, trades + 1), "trades as before")
        journal = await bot.journal()
        assert held["client_order_id"] not in {row["client_order_id"] for row in journal}
        assert not [row for row in journal if away + SECOND < row["created_at"] < back]
        assert max(row["created_at"] - row["bar_time"] - SECOND for row in journal) < SECOND
        assert set(_seconds(bars[0], bars[-1])) == set(bars)  # those of the outage came afterwards


async def test_a_journaled_order_is_not_sent_once_the_lease_has_lapsed(
    postgres: PostgresServer, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with live_bot(postgres_url, monkeypatch, document=a_live_document(hold_bars=4), prepare=turn_away) as bot:
        bot.seen.manager._around.leases.seconds = 5.0
        await bot.until(lambda: bot.journal(state="intended"), "an order that is turned away")
        await bot.until(lambda: ORDER in bot.exchange.requests, "a try to send it")
        epoch = bot.board["lease_epoch"]
        async with database_away(postgres, bot):
            await lapsed(bot)
            bot.exchange.faults.clear()
            restarts = bot.board["restarts"]
            await bot.until(lambda: bot.board["restarts"] > restarts, "another try to go on")
            assert bot.at_venue() == []
        await bot.in_position()
        assert bot.board["lease_epoch"] > epoch
        first, *_ = await bot.journal(purpose="entry")
        assert first["state"] == "canceled"  # too late by then


async def lapsed(bot: LiveBot) -> None:
    """Wait until the bot's lease is over by the clock of the bot."""
    instance = bot.seen.manager._instances[bot.bot_id]

    def over() -> bool:
        lease = instance._tenure._lease
        return lease is None or lease.seconds_left() <= 0

    await bot.until(over, "the end of a lease")


async def _more_trades(bot: LiveBot, count: int) -> bool:
    return len(await bot.closed_trades()) >= count


def _seconds(first: datetime, last: datetime) -> list[datetime]:
    return [first + n * SECOND for n in range(int((last - first) / SECOND) + 1)]


def turn_away(exchange: Any) -> None:
    exchange.faults.plan(Fault(FaultKind.ERROR_BEFORE, ORDER, None, status=429, code=-1003, message="too many"))
