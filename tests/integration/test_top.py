import asyncio
import json
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from bot_core.store.database import Database
from bot_core.store.upgrade import upgrade
from support.fleet_rows import a_bot, a_varied_fleet
from support.postgres import PostgresServer, find_postgres
from support.terminal import Terminal
from support.waiting import wait_until

TOP = [sys.executable, "-m", "bot_runtime", "top"]


_COPIES = """
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 299)
INSERT INTO trading_bots (user_id, status, last_heartbeat, config)
SELECT user_id, status, last_heartbeat, replace(config, 'number 000', printf('number %03d', n))
FROM trading_bots, numbers
"""


def fill(url: str, work: Callable[[Database], Awaitable[object]]) -> object:
    async def filled() -> object:
        database = Database(url)
        try:
            return await work(database)
        finally:
            await database.aclose()

    return asyncio.run(filled())


@pytest.fixture
def varied(sqlite_url: str) -> str:
    fill(sqlite_url, a_varied_fleet)
    return sqlite_url


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    programs = find_postgres()
    if programs is None:
        pytest.skip("no PostgreSQL server programs on this machine")
    server = PostgresServer(programs)
    server.start()
    yield server
    server.close()


def local_modes(attributes: list) -> int:
    return attributes[3] & (termios.ICANON | termios.ECHO | termios.ISIG)


def test_keys_sort_filter_open_and_quit_and_the_terminal_is_given_back(varied: str) -> None:
    with Terminal(TOP, {"DATABASE_URL": varied}) as terminal:
        screen = terminal.wait_for("10 bots")
        assert "1 quarantined · 1 error · 1 invalid · 1 silent · 1 halted · 1 waiting · 3 running · 1 stopped" in screen
        assert local_modes(terminal.attributes) == termios.ISIG
        terminal.press("s")
        screen = terminal.wait_for("by status")
        assert screen.index("given up") < screen.index("dips")
        terminal.press("/hold")
        terminal.wait_for("filter: hold")
        terminal.press("\r")
        screen = terminal.wait_for("1-1 of 1")
        assert "dips" not in screen
        terminal.press("d")
        for part in ("Esc back", "orders ─", "events ─", "long 2 @ 100", "+21.00"):
            terminal.wait_for(part)
        terminal.press("\x1b")
        terminal.wait_gone("Esc back")
        terminal.press("q")
        assert terminal.end() == 0
        assert terminal.attributes == terminal.before
        assert terminal.left_alternate_screen


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_the_terminal_is_given_back_when_the_view_is_ended_from_outside(varied: str, how: signal.Signals) -> None:
    with Terminal(TOP, {"DATABASE_URL": varied}) as terminal:
        terminal.wait_for("10 bots")
        terminal.process.send_signal(how)
        assert terminal.end() == 0
        assert terminal.attributes == terminal.before
        assert terminal.left_alternate_screen


def test_three_hundred_bots_scroll_and_a_new_size_is_drawn_at_once(sqlite_url: str) -> None:
    async def many(database: Database) -> int:
        bot_id = await a_bot(database, "number 000")
        async with database.write() as connection:
            await connection.execute(text(_COPIES))
        return bot_id

    fill(sqlite_url, many)
    with Terminal([*TOP, "--interval", "30"], {"DATABASE_URL": sqlite_url}, columns=120, lines=20) as terminal:
        assert "number 000" in terminal.wait_for("300 bots")
        terminal.press("\x1b[6~")  # page down
        terminal.wait_gone("number 000")
        terminal.press("\x1b[F")
        terminal.wait_for("number 299")
        terminal.press("\x1b[H")
        terminal.wait_for("number 000")
        terminal.resize(70, 12)
        wait_until(lambda: len(terminal.screen.splitlines()) == 12, 10, "the picture in the new size")
        assert max(map(len, terminal.screen.splitlines())) <= 70
        assert "number 000" in terminal.screen


@pytest.mark.postgres
def test_a_database_that_goes_away_is_told_and_its_return_is_seen(own_postgres: PostgresServer) -> None:
    url = own_postgres.url(own_postgres.create_database())
    upgrade(url)
    fill(url, lambda database: a_bot(database, "the first"))
    with Terminal([*TOP, "--interval", "0.2"], {"DATABASE_URL": url}, columns=160) as terminal:
        terminal.wait_for("the first")
        own_postgres.stop()
        screen = terminal.wait_for("the database does not answer")
        assert "the first" in screen  # what was known last
        assert own_postgres.password not in terminal.output
        terminal.press("n")  # keys work all the while
        terminal.wait_for("by name")
        own_postgres.start()
        terminal.wait_gone("does not answer", 30)
        terminal.press("q")
        assert terminal.end() == 0


def run(url: str, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [*TOP, *options]
    done = subprocess.run(command, env=_environment(url), capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in done.stderr
    return done


def _environment(url: str) -> dict[str, str]:
    return os.environ | {"DATABASE_URL": url}


def test_without_a_terminal_one_table_is_printed(varied: str) -> None:
    done = run(varied, "--sort", "status", "--filter", "hold")
    assert done.returncode == 0
    assert [line.split()[:2] for line in done.stdout.splitlines()[:2]] == [["ID", "BOT"], ["2", "holder"]]
    assert "10 bots: 1 quarantined, 1 error, 1 invalid" in done.stdout
    assert "\x1b" not in done.stdout


def test_a_snapshot_for_programs_has_amounts_as_text_and_all_that_is_shown(varied: str) -> None:
    found = json.loads(run(varied, "--json").stdout)
    assert found["totals"]["bots"] == len(found["bots"]) == 10
    assert found["totals"]["exposure"].startswith("221.0")
    assert found["totals"]["phases"]["running"] == 3
    assert found["halts"][0]["reason"] == "a look first"
    assert {bot["phase"] for bot in found["bots"]} >= {"halted", "silent", "quarantined"}
    assert found["trades"][0]["kind"] == "SELL"


def test_a_database_that_does_not_answer_is_exit_code_three(tmp_path: Path) -> None:
    done = run(f"sqlite:///{tmp_path / 'none.db'}", "--once")
    assert done.returncode == 3
    assert "does not answer" in done.stderr
    assert run("postgresql://nobody:hunter2@127.0.0.1:1/none", "--json").returncode == 3


def test_a_wrong_option_is_a_usage_error(sqlite_url: str) -> None:
    assert run(sqlite_url, "--interval", "0").returncode == 2
    assert run(sqlite_url, "--sort", "colour").returncode == 2
