import json
import subprocess
import sys
from pathlib import Path

from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from support.bots import a_document
from support.postgres import free_port
from support.running import PACED, new_bot, running
from support.waiting import wait_until

#: Prints every file of the folder that the process opens, and then is the command itself.
_WATCHED = """
import os, sys
folder = sys.argv[1]
def hook(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and arguments[0].endswith(".json"):
        path = os.path.abspath(arguments[0])
        if path.startswith(folder):
            os.write(2, f"OPENED {path}\\n".encode())
sys.addaudithook(hook)
from bot_runtime.cli.main import main
sys.exit(main(sys.argv[2:]))
"""


async def test_a_service_opens_no_json_file_and_runs_the_rows_only(sqlite_url: str, tmp_path: Path) -> None:
    bot_id = await new_bot(sqlite_url)
    for name in ("config.json", "trading.json", "config/trading/0001.json", "bots/0002.json"):
        path = tmp_path / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(a_document(name="from a file")), encoding="utf-8")
    log = tmp_path / "log"
    with log.open("wb") as output:
        arguments = ["serve", "--port", str(free_port())]
        process = subprocess.Popen(
            [sys.executable, "-c", _WATCHED, str(tmp_path / "files"), *arguments],
            cwd=tmp_path / "files",
            env={"DATABASE_URL": sqlite_url, "HOST": "127.0.0.1", "LOG_FORMAT": "json", "PATH": "/usr/bin:/bin"},
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(lambda: "trade_opened" in log.read_text(), 30, "a trade", tell=log.read_text)
    finally:
        process.terminate()
        assert process.wait(30) == 0
    assert "OPENED" not in log.read_text()
    database = Database(sqlite_url)
    try:
        assert [row.id for row in await BotStore(database, actor="test").all()] == [bot_id]
    finally:
        await database.aclose()


async def test_a_bot_that_starts_writes_running_and_when_it_did(database_url: str) -> None:
    async with running(database_url) as seen:
        bot_id = await new_bot(database_url, data=PACED)
        row = await seen.until_status(bot_id, "running")
        assert row.started_at is not None
        assert row.last_heartbeat is not None
        first = row.started_at
        await seen.change(bot_id, status="restarting")

        async def again() -> bool:
            row = await seen.row(bot_id)
            return row.status == "running" and row.started_at is not None and row.started_at > first

        await seen.until(again, "a later start")
