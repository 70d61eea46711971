import asyncio
import re
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from bot_core.store.database import Database
from bot_core.store.upgrade import upgrade
from support.bots import ENDED, a_document, insert_bot
from support.postgres import PostgresServer, find_postgres
from support.service import Service
from support.waiting import wait_until

PACED = {"data_source": "generated", "interval": "1h", "seed": 3, "speed": 20}


def new_bot(url: str, **changes: object) -> int:
    async def insert() -> int:
        database = Database(url)
        try:
            return await insert_bot(database, a_document(**({"data": PACED} | changes)))
        finally:
            await database.aclose()

    return asyncio.run(insert())


def test_the_service_answers_trades_and_drains_on_sigterm(sqlite_url: str, tmp_path: Path) -> None:
    bot_id = new_bot(sqlite_url)
    with Service(tmp_path, sqlite_url, "serve") as service:
        service.wait_for_phase(bot_id, "running")
        assert service.get("/healthz")[0] == 200
        assert service.get("/readyz") == (200, {"ready": True, "reason": None})
        wait_until(lambda: service.bot(bot_id)["trades"] > 0, 30, "a closed trade")
        _, metrics = service.get("/metrics")
        assert f'tradingbot_trades_total{{bot_id="{bot_id}"}}' in metrics
        assert re.search(r'tradingbot_bots{phase="running"} 1\.0', metrics)
        for side in ("buy", "sell"):
            assert re.search(rf'tradingbot_fills_total{{bot_id="{bot_id}",side="{side}"}} [1-9]', metrics)
        assert re.search(r"tradingbot_order_latency_seconds_count [1-9]", metrics)
        assert re.search(r'tradingbot_database_seconds_count{kind="write"} [1-9]', metrics)
        assert "tradingbot_database_up 1.0" in metrics
        assert re.search(rf'tradingbot_equity{{bot_id="{bot_id}"}} \d+', metrics)
        assert "tradingbot_event_loop_blocked_seconds 0.0" in metrics
        assert re.search(rf'tradingbot_bot_info{{bot_id="{bot_id}",.*symbol="ETHUSDT"}} 1\.0', metrics)
        assert service.stop() == 0
    events = service.events()
    assert {"bot_running", "order_intended", "trade_opened", "trade_closed", "bot_stopped", "stopped"} <= {
        event["event"] for event in events
    }
    order = next(event for event in events if event["event"] == "order_intended")
    fill = next(event for event in events if event["event"] == "trade_opened")
    assert order["bot_id"] == bot_id
    assert order["client_order_id"] == fill["client_order_id"]
    assert order["correlation_id"] == fill["correlation_id"]
    assert re.fullmatch(rf"b{bot_id}-[0-9a-f]{{8}}-e1", order["correlation_id"])


def test_run_runs_the_named_bot_whatever_else_is_enabled(sqlite_url: str, tmp_path: Path) -> None:
    mine, _other = new_bot(sqlite_url), new_bot(sqlite_url)
    with Service(tmp_path, sqlite_url, "run", str(mine)) as service:
        service.wait_for_phase(mine, "running")
        assert [bot["id"] for bot in service.get("/status")[1]["bots"]] == [mine]
        assert service.stop(signal.SIGINT) == 0


def test_a_stopped_process_fails_its_probe_and_a_taken_port_is_named(sqlite_url: str, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with Service(tmp_path, sqlite_url, "serve") as service:
            wait_until(lambda: service.get("/healthz")[0] == 200, 30, "the probe")
            service.process.send_signal(signal.SIGSTOP)
            assert service.get("/healthz")[0] == 0
            service.process.send_signal(signal.SIGCONT)
            with Service(tmp_path, sqlite_url, "serve", port=taken.getsockname()[1]) as other:
                assert other.process.wait(30) == 1
                assert f"port {other.port} can't be listened on" in other.log.read_text()


def test_a_database_without_tables_is_waited_for_and_named(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    with Service(tmp_path, url, "serve") as service:
        wait_until(lambda: "tradingbot db upgrade" in service.log.read_text(), 30, "the hint")
        assert service.get("/healthz")[0] == 200
        assert service.get("/readyz")[0] == 503
        upgrade(url)
        wait_until(lambda: service.get("/readyz")[0] == 200, 30, "readiness")


@pytest.fixture
def own_server():
    programs = find_postgres()
    if programs is None:
        pytest.skip("no PostgreSQL server programs on this machine")
    server = PostgresServer(programs)
    server.start()
    upgrade(server.url())
    yield server
    server.close()


@pytest.mark.postgres
@pytest.mark.slow
def test_a_database_that_goes_away_stops_no_bot_and_trading_goes_on_afterwards(
    own_server: PostgresServer, tmp_path: Path
) -> None:
    data = PACED | {"bars": 400}
    bot_id = new_bot(own_server.url(), data=data)
    with Service(tmp_path, own_server.url(), "serve", TRADINGBOT_HEARTBEAT_SECONDS="1") as service:
        service.wait_for_phase(bot_id, "running")
        wait_until(lambda: service.bot(bot_id)["trades"] > 0, 30, "a trade")
        own_server.stop()
        wait_until(lambda: service.get("/readyz")[0] == 503, 30, "not ready")
        assert service.get("/healthz")[0] == 200
        own_server.start()
        wait_until(lambda: service.get("/readyz")[0] == 200, 60, "ready again", tell=service.log.read_text)
        wait_until(
            lambda: service.bot(bot_id)["message"] == ENDED, 60, "the end of the data", tell=service.log.read_text
        )
        assert service.process.poll() is None
        assert service.stop() == 0
    twin = new_bot(own_server.url(), data=data | {"speed": 0})
    with Service(tmp_path, own_server.url(), "run", str(twin)) as calm:
        wait_until(lambda: calm.bot(twin).get("message") == ENDED, 60, "the end of the data")
    names = "entry_time, entry_price, exit_time, exit_price, size, net_pnl, exit_reason, status"
    mine, twins = (
        own_server.execute(f"SELECT {names} FROM trading_trades WHERE bot_id = {id_} ORDER BY id")
        for id_ in (bot_id, twin)
    )
    assert mine == twins
    assert len(mine) > 3


@pytest.mark.postgres
@pytest.mark.slow
def test_a_frozen_database_makes_a_process_not_ready_and_never_dead(own_server: PostgresServer, tmp_path: Path) -> None:
    bot_id = new_bot(own_server.url())
    with Service(tmp_path, own_server.url(), "run", str(bot_id), TRADINGBOT_HEARTBEAT_SECONDS="1") as service:
        service.wait_for_phase(bot_id, "running")
        own_server.freeze()
        wait_until(lambda: service.get("/readyz")[0] == 503, 60, "not ready", every=0.5)
        for _ in range(40):
            assert service.get("/healthz")[0] == 200
            time.sleep(1)  # the claim is about forty seconds of wall time
        own_server.thaw()
        wait_until(lambda: service.get("/readyz")[0] == 200, 90, "ready again", tell=service.log.read_text)


def told_away(service: Service) -> dict[str, Any]:
    """`/status`, once three tries to read the rows have failed."""
    shown = service.get("/status")[1]
    return shown if shown["database"]["state"] == "away" and shown["database"]["failures"] >= 3 else {}


def test_a_service_on_a_database_that_is_down_waits_and_stays_alive(tmp_path: Path) -> None:
    programs = find_postgres()
    if programs is None:
        pytest.skip("no PostgreSQL server programs on this machine")
    server = PostgresServer(programs)
    try:
        with Service(tmp_path, server.url(), "serve") as service:
            wait_until(lambda: "rows_not_read" in service.log.read_text(), 30, "the first failed read")
            assert service.get("/healthz")[0] == 200
            assert service.get("/readyz") == (503, {"ready": False, "reason": "the database does not answer"})
            shown = wait_until(lambda: told_away(service), 30, "three tries")
            assert shown["bots"] == []
            assert "Connection refused" in shown["database"]["error"]
            assert server.password not in service.log.read_text() + str(shown)
            server.start()
            upgrade(server.url())
            wait_until(lambda: service.get("/readyz")[0] == 200, 60, "readiness", tell=service.log.read_text)
            assert service.get("/status")[1]["database"]["state"] == "up"
        tries = [event["retry"] for event in service.events() if event["event"] == "rows_not_read"]
        assert tries == list(range(1, len(tries) + 1))
        assert "rows_read_again" in {event["event"] for event in service.events()}
    finally:
        server.close()
