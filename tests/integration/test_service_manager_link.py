from pathlib import Path

import pytest

from bot_core.store.database import Database
from bot_core.store.upgrade import upgrade
from support.blocking import blocking_strategy, write_blocking_plugin
from support.bots import a_document, insert_bot
from support.notify_listener import NotifyListener
from support.service import Service
from support.waiting import wait_until

PACED = {"data_source": "generated", "interval": "1h", "seed": 3, "speed": 20}
RUNNING = "1 bot: 1 running; database answers"


async def new_bot(url: str, **changes: object) -> int:
    database = Database(url)
    try:
        return await insert_bot(database, a_document(**({"data": PACED} | changes)))
    finally:
        await database.aclose()


@pytest.mark.parametrize("abstract", [False, True])
async def test_the_service_manager_is_told_ready_state_signs_of_life_and_stopping(
    sqlite_url: str, tmp_path: Path, abstract: bool
) -> None:
    await new_bot(sqlite_url)
    with NotifyListener(tmp_path, abstract=abstract) as manager:
        told = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "600000"}
        with Service(tmp_path, sqlite_url, "serve", **told) as service:
            wait_until(lambda: RUNNING in manager.values("STATUS"), 30, "the state", tell=service.log.read_text)
            assert {"READY": "1", "MAINPID": str(service.process.pid)} in manager.messages()
            signs = len(manager.values("WATCHDOG"))
            wait_until(lambda: len(manager.values("WATCHDOG")) > signs + 5, 10, "signs of life")
            assert not manager.values("STOPPING")
            assert service.stop() == 0
        assert manager.values("STOPPING") == ["1"]
        assert set(manager.values("EXTEND_TIMEOUT_USEC")) == {"15000000"}
        assert manager.values("READY") == ["1"]


async def test_there_is_no_sign_of_life_while_a_bot_blocks_the_event_loop(sqlite_url: str, tmp_path: Path) -> None:
    flag = tmp_path / "block"
    plugins = write_blocking_plugin(tmp_path / "plugins", flag)
    bot_id = await new_bot(sqlite_url, strategy=blocking_strategy())
    with NotifyListener(tmp_path) as manager:
        told = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "600000", "TRADINGBOT_PLUGINS": str(plugins)}
        with Service(tmp_path, sqlite_url, "serve", **told) as service:
            service.wait_for_phase(bot_id, "running")
            wait_until(lambda: manager.values("WATCHDOG"), 10, "a sign of life")
            flag.touch()
            # Ten times the period in which one was given before.
            wait_until(lambda: manager.quiet_for("WATCHDOG") > 2, 10, "the end of signs of life")
            assert service.process.poll() is None
            seen = len(manager.values("WATCHDOG"))
            flag.unlink()
            wait_until(lambda: len(manager.values("WATCHDOG")) > seen + 2, 10, "signs of life again")


async def test_a_database_that_is_down_does_not_put_off_ready_and_is_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'later.db'}"
    with NotifyListener(tmp_path) as manager, Service(tmp_path, url, "serve", NOTIFY_SOCKET=manager.address) as service:
        wait_until(lambda: manager.values("READY"), 30, "READY", tell=service.log.read_text)
        why = "no bots; waits: the database lacks tables; run `tradingbot db upgrade` first"
        wait_until(lambda: why in manager.values("STATUS"), 10, "why")
        assert service.get("/healthz")[0] == 200
        upgrade(url)
        await new_bot(url)
        wait_until(lambda: manager.values("STATUS")[-1] == RUNNING, 30, "the state", tell=service.log.read_text)
        assert not manager.values("WATCHDOG"), "nobody asked for signs of life"


async def test_a_manager_that_is_gone_holds_up_nothing(sqlite_url: str, tmp_path: Path) -> None:
    bot_id = await new_bot(sqlite_url)
    nobody = {"NOTIFY_SOCKET": str(tmp_path / "nobody"), "WATCHDOG_USEC": "600000"}
    with Service(tmp_path, sqlite_url, "serve", **nobody) as service:
        service.wait_for_phase(bot_id, "running")
        assert service.stop() == 0
        assert [event["event"] for event in service.events()].count("service_manager_not_told") == 1
