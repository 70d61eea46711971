import asyncio
import json
import os
import pty
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import func, select, update

from bot_core.schema import bots, events, orders, trades
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_core.store.events import record_event
from bot_core.store.leases import LeaseStore
from bot_core.store.upgrade import upgrade
from bot_runtime.cli.main import main
from support.bots import a_document, an_instance, insert_bot, run_to_the_end, surroundings

T = TypeVar("T")


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path / 'bots.db'}"
    upgrade(url)
    monkeypatch.setenv("DATABASE_URL", url)
    return url


def done(url: str, work: Callable[[Database], Awaitable[T]]) -> T:
    async def connected() -> T:
        database = Database(url)
        try:
            return await work(database)
        finally:
            await database.aclose()

    return asyncio.run(connected())


def a_bot(url: str, **changes: Any) -> int:
    return done(url, lambda database: insert_bot(database, a_document(**changes)))


def a_bot_that_traded(url: str) -> int:
    async def trade(database: Database) -> int:
        few = {"data_source": "generated", "interval": "1h", "seed": 3, "speed": 0, "bars": 60}
        bot_id = await insert_bot(database, a_document(data=few))
        await run_to_the_end(await an_instance(surroundings(database), bot_id))
        return bot_id

    return done(url, trade)


async def count(database: Database, table: Any) -> int:
    async with database.read() as connection:
        return await connection.scalar(select(func.count()).select_from(table)) or 0


def test_import_tells_programs_what_became_of_each_document(url: str, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps(a_document()))
    (folder / "b.json").write_text(json.dumps(a_document(strategy={})))
    (folder / "c.json").write_text("{")
    assert main(["bots", "import", str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(one["id"], one["valid"]) for one in told["imported"]] == [(1, True), (2, False)]
    assert told["imported"][1]["problems"]
    assert "c.json: is no JSON document" in told["refused"][0]


def test_samples_and_an_upgrade_are_told_to_programs(url: str, capsys) -> None:
    assert main(["bots", "sample", "--json"]) == 0
    assert [bot["id"] for bot in json.loads(capsys.readouterr().out)["inserted"]] == [1, 2, 3]
    assert main(["bots", "sample", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"inserted": [], "there_before": 3}
    assert main(["db", "upgrade", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["before"] == told["after"]


def test_what_is_exported_is_imported_as_the_same_bots(url: str, tmp_path: Path, capsys) -> None:
    documents = [a_document(), a_document(symbol="LTCUSDT")]
    ids = [str(a_bot(url, symbol=document["symbol"])) for document in documents]
    assert main(["bots", "export", *ids]) == 0
    (tmp_path / "all.json").write_text(capsys.readouterr().out)
    assert main(["bots", "export", ids[1], "--output", str(tmp_path / "folder"), "--json"]) == 0
    (written,) = json.loads(capsys.readouterr().out)
    assert main(["bots", "import", str(tmp_path / "all.json"), written["path"], "--json"]) == 0
    new = [str(one["id"]) for one in json.loads(capsys.readouterr().out)["imported"]]
    assert main(["bots", "export", *new]) == 0
    assert json.loads(capsys.readouterr().out) == {"strategies": [*documents, documents[1]]}


def test_an_export_holds_no_secret_and_replaces_no_file_unasked(url: str, tmp_path: Path, capsys) -> None:
    bot_id = str(a_bot(url, broker={"type": "paper", "trading_mode": "paper", "api_key": "hunter2"}))
    command = ["bots", "export", bot_id, "--output", str(tmp_path)]
    assert main(command) == 0
    path = tmp_path / f"bot-{bot_id}.json"
    assert json.loads(path.read_text())["broker"]["api_key"] == "***"
    assert "holds secrets" in capsys.readouterr().err
    path.write_text("mine")
    assert main(command) == 1
    assert "is there already" in capsys.readouterr().err
    assert path.read_text() == "mine"
    assert main([*command, "--overwrite"]) == 0
    assert json.loads(path.read_text())["symbol"] == "ETHUSDT"
    assert main(["bots", "export", "99"]) == 1
    assert "no bot has the id 99" in capsys.readouterr().err


def test_the_history_of_a_document_is_what_has_changed(url: str, capsys) -> None:
    bot_id = a_bot_that_traded(url)

    async def change(database: Database) -> None:
        async with database.write() as connection:
            await record_event(connection, bot_id, "requested", "starting was requested", actor="somebody")
            for old, new in (("1h", "4h"), ("4h", "1d")):
                values = {"old": {"data.interval": old}, "new": {"data.interval": new}}
                text = f"data.interval: '{old}' -> '{new}'"
                await record_event(connection, bot_id, "config_changed", text, actor="runtime", **values)

    done(url, change)
    assert main(["bots", "history", str(bot_id)]) == 0
    assert [line.rpartition("  ")[2] for line in capsys.readouterr().out.splitlines()] == [
        "CHANGES", "the first document that ran", "data.interval: '1h' -> '4h'", "data.interval: '4h' -> '1d'",
    ]  # fmt: skip
    assert main(["bots", "history", str(bot_id), "--json"]) == 0
    assert [row["new"] for row in json.loads(capsys.readouterr().out)] == [
        None, {"data.interval": "4h"}, {"data.interval": "1d"},
    ]  # fmt: skip
    assert main(["bots", "history", str(a_bot(url))]) == 0
    assert capsys.readouterr().out == "no document has run yet\n"


def test_a_list_says_what_a_cluster_does_not_allow_of_a_bot_that_runs(url: str, capsys) -> None:
    bot_id = a_bot(url)

    async def refuse(database: Database) -> None:
        await BotStore(database, actor="operator").refused(bot_id, "not allowed on this cluster: it is so")

    done(url, refuse)
    assert main(["bots", "list", "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert shown["error"] == "not allowed on this cluster: it is so"


def test_a_bot_is_deleted_with_its_trades_only_if_that_is_said(url: str, capsys) -> None:
    bot_id, other = a_bot_that_traded(url), a_bot(url)
    assert done(url, lambda database: count(database, trades)) > 0

    async def closed(database: Database) -> None:
        async with database.write() as connection:
            await connection.execute(update(trades).values(status="closed"))
            await connection.execute(update(orders).where(orders.c.state != "filled").values(state="canceled"))
            await connection.exec_driver_sql("UPDATE bot_state SET account = NULL")

    done(url, closed)
    assert main(["bots", "delete", str(bot_id)]) == 1
    assert "without a terminal, --yes says that it is meant" in capsys.readouterr().err
    assert main(["bots", "delete", str(bot_id), "99", "--yes", "--json"]) == 1
    out = capsys.readouterr()
    assert json.loads(out.out) == {"deleted": [bot_id], "refused": {}}
    assert "no bot has the id 99" in out.err
    assert done(url, lambda database: count(database, trades)) == 0

    async def left(database: Database) -> tuple[list[int], str | None]:
        async with database.read() as connection:
            ids = list(await connection.scalars(select(bots.c.id)))
            query = select(events.c.message).where(events.c.bot_id == bot_id, events.c.kind == "deleted")
            return ids, await connection.scalar(query)

    assert done(url, left) == ([other], "the row and its trades were deleted")


def test_a_bot_that_runs_or_holds_something_is_not_deleted(url: str, capsys) -> None:
    bot_id = a_bot(url)
    holder = done(url, lambda database: LeaseStore(database, "somebody").acquire(bot_id))
    assert holder is not None
    command = ["bots", "delete", str(bot_id), "--yes"]
    assert main(command) == 1
    assert f"bot {bot_id} is not deleted: it runs, in somebody; `tradingbot bots disable" in capsys.readouterr().err
    done(url, lambda database: LeaseStore(database, "somebody").release(holder))

    async def hold(database: Database) -> None:
        async with database.write() as connection:
            position = json.dumps({"position": {"quantity": "1"}})
            await connection.exec_driver_sql(
                "INSERT INTO bot_state (bot_id, account, updated_at) VALUES (?, ?, '2026-01-01 00:00:00')",
                (bot_id, position),
            )

    done(url, hold)
    assert main(command) == 1
    assert "it holds a position; `tradingbot halt --bot" in capsys.readouterr().err
    assert done(url, lambda database: count(database, bots)) == 1


def at_a_terminal(url: str, answer: str, *words: str) -> tuple[int, str]:
    """The exit code and all that a person sees there."""
    outer, inner = pty.openpty()
    command = [sys.executable, "-m", "bot_runtime", *words]
    environment = os.environ | {"DATABASE_URL": url, "COLUMNS": "120", "TERM": "xterm"}
    with subprocess.Popen(command, stdin=inner, stdout=inner, stderr=inner, env=environment) as process:
        os.close(inner)
        os.write(outer, answer.encode())
        seen = b""
        while True:
            try:
                seen += os.read(outer, 4096)
            except OSError:  # the other end is closed: the command has ended
                break
        code = process.wait(30)
    os.close(outer)
    return code, seen.decode()


def test_a_person_at_a_terminal_sees_a_table_and_is_asked_before_a_stop_that_sells(url: str) -> None:
    bot_id = str(a_bot(url, name="[red]mean[/red]", on_stop="flatten"))
    code, seen = at_a_terminal(url, "", "bots", "list")
    assert code == 0
    assert "\x1b[1m" in seen
    assert "[red]mean[/red]" in seen  # a row's text is no markup
    code, seen = at_a_terminal(url, "no\n", "bots", "stop", bot_id)
    assert (code, "close their positions? Type yes" in seen, "nothing was requested" in seen) == (1, True, True)
    assert main(["bots", "stop", bot_id]) == 0
    code, seen = at_a_terminal(url, "yes\n", "bots", "delete", bot_id)
    assert (code, f"bot {bot_id} is deleted" in seen) == (0, True)


LIVE = {
    "symbol": "BTC/USDT",
    "credentials_secret": "bot-keys",
    "broker": {"type": "binance", "trading_mode": "live", "live_trading_confirmed": True, "cash": 100.0},
    "data": {"data_source": "binance", "interval": "1h"},
}


@pytest.mark.parametrize("word", ["start", "enable"])
def test_a_person_at_a_terminal_is_asked_before_a_bot_trades_real_money(url: str, word: str) -> None:
    paper, live = str(a_bot(url)), str(a_bot(url, **LIVE))
    code, seen = at_a_terminal(url, "no\n", "bots", word, paper, live)
    assert (code, f"real money is traded by bots {live}: {word} them? Type yes" in seen) == (1, True)
    assert at_a_terminal(url, "", "bots", word, paper)[0] == 0
    assert at_a_terminal(url, "", "bots", word, live, "--yes")[0] == 0
    assert main(["bots", word, live]) == 0
