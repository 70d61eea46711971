"""`tradingbot halt` and `resume` by the command line, while a live bot trades at the stand-in exchange."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bot_core.store.listen import Listener
from bot_runtime.engine.bot_engine import Rhythm
from bot_runtime.metrics import exposition
from support.bots import cancel
from support.exchange.server import Exchange, ExchangeProcess
from support.live_bot import LiveBot, insert_live_bot, live_bot, process_of, stand_at, use_exchange
from support.live_world import LiveWorld, a_live_document

WHOM = {"bot": ["--bot", "1"], "user": ["--user", "trader@example.com"], "all": ["--all"]}


def command_line(url: str, *arguments: str) -> str:
    """Run it and return what it printed."""
    environment = os.environ | {"DATABASE_URL": url}
    command = [sys.executable, "-m", "bot_runtime", *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60).stdout


async def command(bot: LiveBot, *arguments: str) -> str:
    url = bot.database.url.render_as_string(hide_password=False)
    return await asyncio.to_thread(command_line, url, *arguments)


async def bars_pass(bot: LiveBot, count: int) -> None:
    until = bot.board["bars"] + count
    await bot.until(lambda: bot.board["bars"] >= until, f"{count} more bars")


@pytest.mark.parametrize("whom", WHOM)
async def test_a_halt_ends_entries_and_lets_exits_work_until_it_is_resumed(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, whom: str
) -> None:
    async with live_bot(sqlite_url, monkeypatch, document=a_live_document(hold_bars=20)) as bot:
        await bot.in_position()
        await command(bot, "halt", *WHOM[whom], "--reason", "odd fills")
        await bot.until(lambda: bot.board["halted"], "a halted bot", 2)
        assert await bot.open_positions()
        assert not bot.at_venue("SELL", kind="MARKET")
        await bot.until(bot.closed_trades, "an exit by its rule")
        await bars_pass(bot, 3)
        assert len(await bot.journal(purpose="entry")) == 1
        assert "is held: halted" in bot.board["last_refusal"]
        await command(bot, "resume", *WHOM[whom])
        await bot.until(lambda: len(bot.at_venue("BUY")) == 2, "another entry")
        assert not bot.board["halted"]


@pytest.mark.parametrize("whom", WHOM)
async def test_a_halt_that_flattens_sells_at_once(sqlite_url: str, monkeypatch: pytest.MonkeyPatch, whom: str) -> None:
    async with live_bot(sqlite_url, monkeypatch, document=a_live_document(hold_bars=10_000)) as bot:
        stop = await bot.protected()
        await command(bot, "halt", *WHOM[whom], "--flatten", "--yes")
        (trade,) = await bot.until(bot.closed_trades, "a closed trade")
        assert trade["exit_reason"] == "halt"
        assert stop.status == "CANCELED"
        await bars_pass(bot, 3)
        assert len(bot.at_venue("BUY")) == 1
        assert not await bot.open_positions()


async def test_a_halt_is_noted_and_told_once_however_often_it_is_obeyed(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Exchange() as exchange:
        use_exchange(exchange, monkeypatch)
        stand_at(exchange, 50_000)
        bot_id = await insert_live_bot(sqlite_url, a_live_document(hold_bars=10_000))
        async with process_of(sqlite_url, exchange, bot_id) as bot:
            await bot.running()
            await command(bot, "halt", "--all", "--reason", "odd fills")
            await bot.until(lambda: bot.board["halted"], "a halted bot")
            halted = bot.board["halted"]
        async with process_of(sqlite_url, exchange, bot_id) as bot:
            await bot.until(lambda: bot.board.get("halted"), "a bot that is halted still")
            await bars_pass(bot, 3)
            assert not await bot.journal(purpose="entry", state="intended")
            assert await bot.told("halted") == [halted]  # by whoever halted
            assert await bot.told("halt_obeyed") == [halted]
            assert await bot.notified("odd fills") == 1
            assert f'tradingbot_halted{{bot_id="{bot_id}"}} 1.0' in metrics(bot)
            await command(bot, "resume", "--all")
            await bot.until(lambda: not bot.board["halted"], "the end of it")
            assert len(await bot.until(lambda: bot.told("halt_over"), "a note of its end")) == 1
            assert len(await bot.told("resumed")) == 1
            assert f'tradingbot_halted{{bot_id="{bot_id}"}} 0.0' in metrics(bot)


@pytest.mark.postgres
async def test_a_halt_acts_with_the_notification_long_before_the_next_heartbeat(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seldom = Rhythm(beat_seconds=60, order_seconds=0.3, stop_seconds=0.3)
    async with live_bot(postgres_url, monkeypatch, rhythm=seldom, poll_seconds=60) as bot:
        listening = asyncio.create_task(Listener(bot.database.url, bot.seen.manager.wake).run())
        try:
            await bot.protected()
            quiet = await heartbeats_in(bot, bars=3)
            await command(bot, "halt", "--bot", str(bot.bot_id), "--flatten", "--yes")
            await bot.until(lambda: bot.board["halted"], "a halted bot", 3)
            await bot.until(bot.closed_trades, "a closed trade", 5)
            await command(bot, "resume", "--all")
            assert bot.board["halted"]  # another scope stands
            await command(bot, "resume", "--bot", str(bot.bot_id))
            await bot.until(lambda: not bot.board["halted"], "the end of it", 3)
            assert quiet == 0
        finally:
            await cancel(listening)


async def heartbeats_in(bot: LiveBot, *, bars: int) -> int:
    """How often a bot that nothing happens to says that it lives."""
    seen = {bot.board["last_heartbeat"]}
    until = bot.board["bars"] + bars

    def gone() -> bool:
        seen.add(bot.board["last_heartbeat"])
        return bool(bot.board["bars"] >= until)

    await bot.until(gone, "some bars")
    return len(seen) - 1


async def test_however_often_a_bot_is_named_its_heartbeats_are_few(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seldom = Rhythm(beat_seconds=60, order_seconds=0.3, stop_seconds=0.3)
    async with live_bot(sqlite_url, monkeypatch, rhythm=seldom) as bot:
        await bot.protected()
        seen, began = set(), time.monotonic()
        while time.monotonic() < began + 1:
            bot.seen.manager.wake(bot.bot_id)
            seen.add(bot.board["last_heartbeat"])
            await asyncio.sleep(0)
        assert 1 < len(seen) < 15


@pytest.mark.slow
def test_a_halt_outlives_the_process_and_is_shown_everywhere(sqlite_url: str, tmp_path: Path) -> None:
    bot_id = asyncio.run(insert_live_bot(sqlite_url, a_live_document(hold_bars=10_000)))
    with ExchangeProcess() as exchange:
        world = LiveWorld(tmp_path, sqlite_url, exchange)
        try:
            service = world.start()
            service.wait_for_phase(bot_id, "running")
            command_line(sqlite_url, "halt", "--bot", str(bot_id), "--flatten", "--yes", "--reason", "odd fills")
            world.wait(lambda: service.bot(bot_id).get("halted"), "a halted bot")
            world.wait(lambda: not world.holds(bot_id), "a flat bot")
            entries = len(world.orders(bot_id, purpose="entry"))
            service.kill()
            service = world.start()
            shown = world.wait(lambda: service.bot(bot_id).get("halted"), "a bot that is halted still")
            assert shown.endswith("odd fills")
            assert service.bot(bot_id)["message"] == shown
            bars = service.bot(bot_id)["bars"]
            world.wait(lambda: service.bot(bot_id)["bars"] > bars + 2, "some bars")
            assert f'tradingbot_halted{{bot_id="{bot_id}"}} 1.0' in service.get("/metrics")[1]
            assert service.get("/readyz")[0] == 200  # a halt is somebody's wish, no trouble
            assert shown_row(sqlite_url, bot_id)["halted"] == shown
            assert len(world.orders(bot_id, purpose="entry")) == entries
            command_line(sqlite_url, "resume", "--bot", str(bot_id))
            world.wait(lambda: len(world.orders(bot_id, purpose="entry")) > entries, "another entry")
            assert shown_row(sqlite_url, bot_id)["halted"] is None
        finally:
            world.close()


def shown_row(url: str, bot_id: int) -> Any:
    return json.loads(command_line(url, "bots", "show", str(bot_id)))


def metrics(bot: LiveBot) -> str:
    around = bot.seen.manager._around
    return exposition(around.fleet, around.progress).decode()
