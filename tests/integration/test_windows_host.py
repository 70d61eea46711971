"""The whole of what Windows would start, over a stand-in of pywin32: the bots in it are real."""

import asyncio
import logging
import socket
import sys
import threading
from pathlib import Path

import pytest

from bot_core.models.config import parse_config
from bot_core.models.extensions import use_extensions
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_runtime.cli import windows_host
from bot_runtime.plugins import Plugins
from bot_runtime.trading_runner import TradingRunner
from support.bars import strategy_document
from support.bots import a_document, insert_bot
from support.waiting import wait_until
from support.win32 import FakeHosting, FakeServiceManager

PACED = {"data_source": "generated", "interval": "1h", "seed": 3, "speed": 20}


PLUGIN = """
from bot_runtime.plugin_api import EntryPlugin


class FolderEntry(EntryPlugin):
    name = "FolderEntry"

    def __init__(self, config):
        pass

    def evaluate(self, view):
        return None


ENTRIES = (FolderEntry,)
"""


async def test_a_hosted_service_listens_on_this_machine_only_and_knows_the_plugins_of_its_environment(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tradingbot"
    (folder / "plugins").mkdir(parents=True)
    (folder / "plugins" / "own.py").write_text(PLUGIN)
    (folder / "environment").write_text(f"DATABASE_URL={sqlite_url}\nPORT=0\nTRADINGBOT_PLUGINS={folder / 'plugins'}\n")
    monkeypatch.setenv("PROGRAMDATA", str(tmp_path))
    for name in ("DATABASE_URL", "HOST", "PORT", "TRADINGBOT_PLUGINS", "TRADINGBOT_EXIT_WHEN_BLOCKED"):
        monkeypatch.setenv(name, "")
    handlers = logging.getLogger().handlers
    before = use_extensions(Plugins(list))
    runner = windows_host.build_here("tradingbot")()
    assert isinstance(runner, TradingRunner)
    try:
        await runner.health.start()
        with socket.create_server(("127.0.0.2", runner.health.port)):
            pass  # which it could not be, if the service listened on every address
        assert parse_config(a_document(strategy=strategy_document("FolderEntry"))).problems == ()
    finally:
        await runner.health.aclose()
        for handler in logging.getLogger().handlers:
            handler.close()
        logging.getLogger().handlers = handlers
        use_extensions(before)


def test_a_hosted_service_trades_and_drains_when_it_is_stopped(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def insert() -> int:
        database = Database(sqlite_url)
        try:
            return await insert_bot(database, a_document(data=PACED))
        finally:
            await database.aclose()

    bot_id = asyncio.run(insert())
    folder = tmp_path / "tradingbot"
    folder.mkdir()
    (folder / "environment").write_text(f"DATABASE_URL={sqlite_url}\nHOST=127.0.0.1\nPORT=0\n")
    monkeypatch.setenv("PROGRAMDATA", str(tmp_path))
    for name in ("DATABASE_URL", "HOST", "PORT", "TRADINGBOT_EXIT_WHEN_BLOCKED"):
        monkeypatch.setenv(name, "")
    hosting = FakeHosting(FakeServiceManager())
    for name in ("win32serviceutil", "servicemanager"):
        monkeypatch.setitem(sys.modules, name, getattr(hosting, name))
    monkeypatch.setitem(sys.modules, "win32service", hosting.api)
    codes: list[int] = []
    host = threading.Thread(target=windows_host.main, args=("tradingbot", codes.append), daemon=True)
    host.start()
    log = folder / "service.log"
    try:
        wait_until(lambda: log.exists() and '"trade_opened"' in log.read_text(), 30, "a trade")
        assert hosting.states == [hosting.api.SERVICE_RUNNING]
    finally:
        hosting.instance.SvcStop()
        host.join(30)
        for handler in logging.getLogger().handlers:  # the process would end here
            handler.close()
    assert hosting.states[-1] == hosting.api.SERVICE_STOP_PENDING
    assert (codes, hosting.errors) == ([], [])

    async def status() -> tuple[object, object]:
        database = Database(sqlite_url)
        try:
            row = await BotStore(database, actor="test").get(bot_id)
            assert row is not None
            return row.status, row.extra_metadata.get("stopped_by")
        finally:
            await database.aclose()

    assert asyncio.run(status()) == ("stopped", "shutdown")
