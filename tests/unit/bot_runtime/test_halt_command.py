import asyncio
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bot_core.models.halt import Halt
from bot_core.store.database import Database
from bot_core.store.halts import HaltStore
from bot_core.store.upgrade import upgrade
from bot_runtime.cli.main import main
from support.bots import insert_bot


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with two bots of trader@example.com, who is user 1."""
    url = f"sqlite:///{tmp_path / 'bots.db'}"
    upgrade(url)
    monkeypatch.setenv("DATABASE_URL", url)

    async def fill() -> None:
        database = Database(url)
        for _ in range(2):
            await insert_bot(database)
        await database.aclose()

    asyncio.run(fill())
    return url


def standing(url: str) -> list[Halt]:
    async def read() -> list[Halt]:
        database = Database(url)
        try:
            return await HaltStore(database).active()
        finally:
            await database.aclose()

    return asyncio.run(read())


def test_one_bot_is_halted_shown_and_resumed(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["halt", "--bot", "2", "--reason", "odd fills"]) == 0
    assert capsys.readouterr().out == "bot 2 is halted; positions are kept, exits go on\n"
    (halt,) = standing(url)
    assert (halt.target_id, halt.flatten, halt.reason) == (2, False, "odd fills")
    assert halt.created_by.endswith("command line)") or halt.created_by == "command line"
    assert main(["bots", "list", "--json"]) == 0
    assert [row["halted"] for row in json.loads(capsys.readouterr().out)] == [None, "yes"]
    assert main(["bots", "show", "2"]) == 0
    assert json.loads(capsys.readouterr().out)["halted"] == str(halt)
    assert main(["resume", "--bot", "2"]) == 0
    assert capsys.readouterr().out == "bot 2: halts cleared: 1\n"
    assert standing(url) == []
    assert main(["resume", "--bot", "2"]) == 0
    assert capsys.readouterr().out == "bot 2: no halt to clear\n"


def test_several_bots_are_halted_and_one_that_is_not_there_is_told(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["halt", "--bot", "1", "--bot", "9", "--bot", "2", "--flatten", "--json"]) == 1
    out = capsys.readouterr()
    assert [halt["target_id"] for halt in json.loads(out.out)["halted"]] == [1, 2]
    assert "no bot has the id 9" in out.err
    assert [halt.flatten for halt in standing(url)] == [True, True]


@pytest.mark.parametrize("name", ["1", "trader@example.com", "Trader@Example.com"])
def test_a_user_is_named_by_id_or_address(url: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["halt", "--user", name]) == 0
    assert capsys.readouterr().out.startswith("bots of user 1 are halted")
    assert [(halt.scope, halt.target_id) for halt in standing(url)] == [("user", 1)]


def test_an_unknown_user_halts_nobody(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["halt", "--user", "nobody@example.com"]) == 1
    assert "no user has the id or address 'nobody@example.com'" in capsys.readouterr().err
    assert standing(url) == []


def test_without_a_terminal_it_acts_and_what_still_stands_is_told(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["halt", "--all", "--flatten"]) == 0
    assert main(["halt", "--bot", "1"]) == 0
    capsys.readouterr()
    assert main(["resume", "--all"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "all bots: halts cleared: 1"
    assert out[1].startswith("still standing: bot 1 halted (this bot) by ")
    assert main(["resume", "--all", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["cleared"], [halt["target_id"] for halt in answer["standing"]]) == (0, [1])


@pytest.mark.parametrize(
    "words", [["halt"], ["resume"], ["halt", "--all", "--bot", "1"], ["halt", "--bot", "x"], ["resume", "--flatten"]]
)
def test_whom_it_is_for_must_be_said_once(words: list[str]) -> None:
    assert main(words) == 2


@pytest.mark.parametrize(
    ("options", "answer", "halted"),
    [
        (["--all"], "yes\n", True),
        (["--all"], "no\n", False),
        (["--bot", "1", "--flatten"], "\n", False),
        (["--bot", "1", "--flatten"], "Y\n", True),
        (["--all", "--yes"], None, True),
        (["--bot", "1"], None, True),
    ],
)
def test_a_person_at_a_terminal_is_asked_before_much_is_done(
    url: str, options: list[str], answer: str | None, halted: bool
) -> None:
    outer, inner = pty.openpty()
    command = [sys.executable, "-m", "bot_runtime", "halt", *options]
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, stdin=inner, env=os.environ | {"DATABASE_URL": url}, **streams) as process:
        if answer is not None:
            os.write(outer, answer.encode())
        _, err = process.communicate(timeout=60)
    os.close(inner)
    os.close(outer)
    assert ("Type yes" in err) is (answer is not None)
    assert (process.returncode == 0) is halted, err
    assert bool(standing(url)) is halted


@pytest.mark.parametrize(("answer", "halted"), [("yes\n", False), ("no\n", True)])
def test_a_person_at_a_terminal_is_asked_before_all_trade_again(url: str, answer: str, halted: bool) -> None:
    assert main(["halt", "--all"]) == 0
    outer, inner = pty.openpty()
    command = [sys.executable, "-m", "bot_runtime", "resume", "--all"]
    with subprocess.Popen(command, stdin=inner, stderr=subprocess.PIPE, text=True, env=os.environ) as process:
        os.write(outer, answer.encode())
        _, err = process.communicate(timeout=60)
    os.close(inner)
    os.close(outer)
    assert "ALL bots: clear it? Type yes" in err
    assert bool(standing(url)) is halted


def test_limits_are_set_listed_and_cleared(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["limits", "list"]) == 0
    assert capsys.readouterr().out.startswith("no limits across bots")
    assert main(["limits", "set", "--user", "trader@example.com", "--max-exposure", "5000"]) == 0
    assert capsys.readouterr().out == "user 1 (live): max_exposure 5000\n"
    assert main(["limits", "set", "--user", "1", "--max-daily-loss", "250.50"]) == 0
    assert capsys.readouterr().out == "user 1 (live): max_exposure 5000, max_daily_loss 250.5\n"
    assert main(["limits", "set", "--all", "--mode", "paper", "--max-exposure", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["target"] == "*"
    assert main(["limits", "set", "--account", "binance:keys", "--max-daily-loss", "1"]) == 0
    capsys.readouterr()
    assert main(["limits", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["scope"], row["target"], row["mode"]) for row in rows] == [
        ("user", "1", "live"),
        ("all", "*", "paper"),
        ("account", "binance:keys", "live"),
    ]
    assert main(["limits", "clear", "--account", "binance:keys"]) == 0
    assert capsys.readouterr().out == "account binance:keys (live): the limit is removed\n"
    assert main(["limits", "clear", "--all"]) == 1
    assert "all bots (live) has no limit" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["set", "--all", "--max-exposure", "-1"],
        ["set", "--all", "--max-exposure", "much"],
        ["set", "--all", "--max-exposure", "NaN"],
        ["set", "--all", "--max-daily-loss", "1e12"],
        ["set", "--max-exposure", "1"],
        ["set", "--all", "--user", "1", "--max-exposure", "1"],
        ["clear", "--all", "--mode", "both"],
    ],
)
def test_a_limit_that_makes_no_sense_is_a_usage_error(words: list[str]) -> None:
    assert main(["limits", *words]) == 2


def test_a_limit_without_a_value_is_a_usage_error(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["limits", "set", "--all"]) == 2
    assert "give --max-exposure, --max-daily-loss or both" in capsys.readouterr().err
