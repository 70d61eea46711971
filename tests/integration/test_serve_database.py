"""`tradingbot serve` on a real PostgreSQL that does not let it work, and then does."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot_core.store.upgrade import upgrade
from support.postgres import PostgresServer, find_postgres
from support.running import new_bot
from support.service import Service
from support.waiting import wait_until

pytestmark = pytest.mark.postgres
SLOW = {"data_source": "generated", "interval": "1h", "seed": 3, "speed": 5}


@pytest.fixture
def empty_database(postgres: PostgresServer) -> Iterator[str]:
    name = postgres.create_database()
    yield name
    postgres.drop_database(name)


def test_a_wrong_password_is_named_without_being_shown_and_waited_for(
    postgres: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    role = f"role_{os.getpid()}"
    url = postgres_url.replace("tradingbot:", f"{role}:", 1)
    postgres.execute(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 'another one'")
    try:
        with Service(tmp_path, url, "serve") as service:
            shown = wait_until(lambda: database_of(service, "away"), 30, "the state", tell=service.log.read_text)
            assert "password authentication failed" in shown["error"]
            assert service.get("/healthz")[0] == 200
            assert service.get("/readyz")[0] == 503
            postgres.execute(f"ALTER ROLE {role} PASSWORD '{postgres.password}'")
            wait_until(lambda: service.get("/readyz")[0] == 200, 30, "readiness", tell=service.log.read_text)
            assert postgres.password not in service.log.read_text() + str(shown) + str(service.get("/status"))
            assert service.stop() == 0
    finally:
        postgres.execute(f"DROP ROLE {role}")


def test_a_database_without_tables_says_what_to_run_and_goes_on_once_it_was_run(
    postgres: PostgresServer, empty_database: str, tmp_path: Path
) -> None:
    url = postgres.url(empty_database)
    with Service(tmp_path, url, "serve") as service:
        shown = wait_until(lambda: database_of(service, "without tables"), 30, "the state", tell=service.log.read_text)
        assert "run `tradingbot db upgrade` first" in shown["error"]
        reason = "the database lacks tables; run `tradingbot db upgrade` first"
        assert service.get("/readyz") == (503, {"ready": False, "reason": reason})
        assert service.get("/healthz")[0] == 200
        command = [sys.executable, "-m", "bot_runtime", "db", "upgrade"]
        subprocess.run(command, env=os.environ | {"DATABASE_URL": url}, check=True, capture_output=True)
        wait_until(lambda: service.get("/readyz")[0] == 200, 30, "readiness", tell=service.log.read_text)


async def test_a_read_only_server_costs_no_bot_and_is_said(
    postgres: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    bot_id = await new_bot(postgres_url, data=SLOW)
    name = postgres_url.rpartition("/")[2]
    postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with Service(tmp_path, postgres_url, "serve") as service:
        waiting = service.wait_for_phase(bot_id, "waiting")
        assert "read-only" in waiting["message"]
        assert service.get("/readyz")[0] == 503
        assert service.get("/healthz")[0] == 200
        postgres.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        service.wait_for_phase(bot_id, "running", 60)
        wait_until(lambda: service.get("/readyz")[0] == 200, 30, "readiness", tell=service.log.read_text)


async def test_a_shutdown_ends_in_time_although_the_database_hangs(tmp_path: Path) -> None:
    programs = find_postgres()
    assert programs is not None
    server = PostgresServer(programs)
    server.start()
    try:
        upgrade(server.url())
        bot_id = await new_bot(server.url(), data=SLOW)
        drain = {"TRADINGBOT_DRAIN_SECONDS": "2", "TRADINGBOT_HEARTBEAT_SECONDS": "1"}
        with Service(tmp_path, server.url(), "serve", **drain) as service:
            wait_until(lambda: service.bot(bot_id).get("last_heartbeat"), 20, "a heartbeat")
            server.freeze()
            wait_until(lambda: (service.bot(bot_id)["heartbeat_age_seconds"] or 0) > 2, 10, "a heartbeat that hangs")
            started = time.monotonic()
            assert service.stop(signal.SIGTERM, timeout=40) == 0
            print(f"ended {time.monotonic() - started:.1f} s after SIGTERM")
            assert time.monotonic() - started < 2 + 10, service.log.read_text()
    finally:
        server.close()


def database_of(service: Service, state: str) -> dict[str, Any]:
    """What `/status` says of the database, once it says that state."""
    shown = service.get("/status")[1]
    return shown["database"] if shown and shown["database"]["state"] == state else {}
