import asyncio
import json
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from sqlalchemy import insert, text

from bot_core.schema import messages
from bot_core.store.database import Database
from bot_core.store.looking import LookingDatabase
from bot_core.store.upgrade import upgrade
from bot_operator.health import SweepHealth
from bot_operator.metrics import Metrics
from bot_operator.web import build_web
from bot_runtime.cli.checks import credentials, database, machine, process, rows, service, sqlite_file, venues
from bot_runtime.cli.checks import messages as message_checks
from bot_runtime.cli.checks.base import Case, Check, Finding, Outcome, run_checks
from support.fleet_rows import a_bot, a_lease, a_position, a_varied_fleet
from support.live_feeds import SYMBOL, live_world
from support.postgres import PostgresServer, find_postgres, free_port
from support.service import Service
from support.waiting import wait_until


@asynccontextmanager
async def opened(url: str, *, bot_id: int | None = None, port: int = 1, **environment: str) -> AsyncIterator[Case]:
    looking = LookingDatabase(url, pool_size=4)
    case = Case(looking, environment, bot_id=bot_id, port=port)
    try:
        yield case
    finally:
        await case.aclose()
        await looking.aclose()


async def found(check: Check, url: str, **options: Any) -> list[Finding]:
    async with opened(url, **options) as case:
        return await run_checks(case, {"it": check}, 15)


def outcomes(findings: list[Finding]) -> list[str]:
    return [finding.outcome.value for finding in findings]


async def fill(url: str, work: Any) -> Any:
    filled = Database(url)
    try:
        return await work(filled)
    finally:
        await filled.aclose()


def doctor(url: str, *options: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "bot_runtime", "doctor", *options]
    told = os.environ | {"DATABASE_URL": url, "PORT": str(free_port())} | environment
    done = subprocess.run(command, env=told, capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in done.stderr
    return done


async def test_the_command_tells_all_and_fails_where_one_thing_does(sqlite_url: str) -> None:
    well = doctor(sqlite_url, "--offline")
    assert (well.returncode, "0 failed" in well.stdout) == (0, True)
    ids = await fill(sqlite_url, a_varied_fleet)
    done = doctor(sqlite_url, "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["exit_code"]) == (1, 1)
    assert {f["bot_id"] for f in told["findings"] if f["outcome"] == "failed"} == {
        ids[kind] for kind in ("error", "quarantined", "invalid", "silent", "unsure")
    }
    assert all(f["remedy"].endswith((".", "?")) for f in told["findings"] if f["outcome"] in {"failed", "warning"})
    only = json.loads(doctor(sqlite_url, "--offline", "--json", "--bot", str(ids["waiting"])).stdout)
    assert only["exit_code"] == 0  # a warning fails nothing
    assert {f["bot_id"] for f in only["findings"]} == {None, ids["waiting"]}
    assert doctor(sqlite_url, "--offline", "--bot", "999").returncode == 1


def test_a_database_that_does_not_answer_is_exit_code_three_and_the_rest_is_told(tmp_path: Path) -> None:
    done = doctor(f"postgresql://nobody:hunter2@127.0.0.1:{free_port()}/none", "--json", "--offline", LOG_LEVEL="LOUD")
    told = {f["check"]: f["outcome"] for f in json.loads(done.stdout)["findings"]}
    assert (done.returncode, told["database"], told["environment"], told["bots"]) == (3, "failed", "failed", "skipped")
    assert "hunter2" not in done.stdout + done.stderr
    assert doctor(f"sqlite:///{tmp_path / 'none.db'}", "--offline").returncode == 3
    assert not [*tmp_path.iterdir()]


async def test_a_check_that_hangs_or_raises_is_a_finding_and_ends_no_other(sqlite_url: str) -> None:
    async def hangs(_: Case) -> list[Finding]:
        await asyncio.Event().wait()
        return []

    async def raises(_: Case) -> list[Finding]:
        raise RuntimeError("api_key=12345 is wrong")

    async with opened(sqlite_url) as case:
        checks = {"hangs": hangs, "raises": raises, "program": process.check_versions}
        findings = await run_checks(case, checks, 0.3)
    assert [(f.check, f.outcome.value) for f in findings] == [
        ("hangs", "failed"),
        ("raises", "failed"),
        ("program", "ok"),
    ]
    assert "12345" not in findings[1].found


async def test_variables_that_nobody_reads_are_named_with_the_nearest_one(sqlite_url: str) -> None:
    (near,) = await found(process.check_environment, sqlite_url, TRADINGBOT_POLL_SECOND="s3cret")
    assert near.outcome is Outcome.WARNING
    assert near.remedy == "Did you mean TRADINGBOT_POLL_SECONDS?"
    assert "s3cret" not in near.found
    (typo,) = await found(process.check_environment, sqlite_url, DATABSE_URL="x", PATH="/bin", LOGNAME="me")
    assert "DATABSE_URL" in typo.found
    (wrong,) = await found(process.check_environment, sqlite_url, TRADINGBOT_LEASE_SECONDS="long")
    assert wrong.outcome is Outcome.FAILED
    assert outcomes(await found(process.check_environment, sqlite_url, TRADINGBOT_POLL_SECONDS="5")) == ["ok"]


@pytest.mark.postgres
async def test_the_server_its_tables_rights_and_wake_ups_are_looked_at(
    postgres: PostgresServer, postgres_url: str
) -> None:
    assert outcomes(await found(database.check_answer, postgres_url)) == ["ok", "ok"]
    assert outcomes(await found(database.check_tables, postgres_url)) == ["ok"]
    assert outcomes(await found(database.check_privileges, postgres_url)) == ["ok"]
    assert outcomes(await found(database.check_notifications_of_rows, postgres_url)) == ["ok"]
    name = postgres_url.rpartition("/")[2]
    role = f"poor_{name}"
    postgres.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'", database=name)
    try:
        postgres.execute(f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {role}", database=name)
        postgres.execute(f"REVOKE UPDATE ON bot_leases FROM {role}", database=name)
        poor = f"postgresql://{role}:x@127.0.0.1:{postgres.port}/{name}"
        (lacking,) = await found(database.check_privileges, poor)
        assert (lacking.outcome.value, f"{role} lacks UPDATE on bot_leases") == ("failed", lacking.found)
        postgres.execute("DROP TRIGGER tradingbot_notify_changes ON trading_bots", database=name)
        assert outcomes(await found(database.check_notifications_of_rows, poor)) == ["warning", "ok"]
    finally:
        postgres.execute(f"DROP OWNED BY {role}", database=name)
        postgres.execute(f"DROP ROLE {role}", database=name)


async def test_tables_that_are_old_missing_or_newer_are_told_apart(sqlite_url: str, tmp_path: Path) -> None:
    async def at(revision: str) -> list[Finding]:
        async def set_back(opened_database: Database) -> None:
            async with opened_database.write() as connection:
                await connection.execute(text("UPDATE bot_schema_version SET version_num = :to"), {"to": revision})

        await fill(sqlite_url, set_back)
        return await found(database.check_tables, sqlite_url)

    assert outcomes(await found(database.check_tables, sqlite_url)) == ["ok"]
    (older,) = await at("0001")
    assert (older.outcome.value, older.remedy) == ("failed", "Run `tradingbot db upgrade`.")
    (newer,) = await at("9999")
    assert "newer than this program" in newer.found
    empty = tmp_path / "empty.db"
    empty.touch()
    (missing,) = await found(database.check_tables, f"sqlite:///{empty}")
    assert missing.outcome is Outcome.FAILED


async def test_a_sqlite_file_without_write_ahead_log_or_on_a_network_is_told(sqlite_url: str, tmp_path: Path) -> None:
    assert outcomes(await found(sqlite_file.check_sqlite, sqlite_url)) == ["ok"]

    async def rollback_journal() -> list[Finding]:
        with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")
        connection.close()
        return await found(sqlite_file.check_sqlite, sqlite_url)

    (mode,) = await rollback_journal()
    assert (mode.outcome.value, "delete" in mode.found) == ("warning", True)
    mounts = tmp_path / "mounts"
    mounts.write_text("root / ext4 rw 0 0\nhost:/export /mnt/bots\\040here nfs4 rw 0 0\n")
    assert sqlite_file.filesystem_of(Path("/mnt/bots here/a.db"), mounts) == "nfs4"
    assert sqlite_file.filesystem_of(Path("/mnt/bots"), mounts) == "ext4"


@pytest.mark.parametrize(("said", "outcome"), [("yes", "ok"), ("no", "warning"), ("", "skipped")])
def test_what_the_system_says_of_its_clock_is_judged(said: str, outcome: str) -> None:
    assert machine.judged(said).outcome.value == outcome


async def test_leases_of_dead_processes_stops_and_files_are_told(sqlite_url: str, tmp_path: Path) -> None:
    live = {"type": "binance", "trading_mode": "live", "live_trading_confirmed": True, "cash": 1000.0}

    async def rows_of_bots(filled: Database) -> list[int]:
        dead = await a_bot(filled, "orphan")
        boot = "another-boot@1"
        await a_lease(filled, dead, f"process:{socket.gethostname()}:{boot}:1:1")
        bare = await a_bot(filled, "bare", broker=live, data={"data_source": "binance"}, credentials_secret="some-keys")
        await a_position(filled, bare, "1", "100")
        reader = await a_bot(filled, "reader", data={"data_source": "file", "file_path": "bars.csv", "interval": "1h"})
        return [dead, bare, reader]

    dead, bare, reader = await fill(sqlite_url, rows_of_bots)
    (lease,) = await found(rows.check_bots, sqlite_url)
    assert (lease.outcome.value, lease.bot_id, "dead" in lease.found) == ("warning", dead, True)
    (stop,) = await found(rows.check_stops, sqlite_url)
    assert (stop.outcome.value, stop.bot_id) == ("warning", bare)
    (file,) = await found(rows.check_files, sqlite_url, TRADINGBOT_DATA_DIR=str(tmp_path / "bars"))
    assert (file.outcome.value, file.bot_id) == ("failed", reader)
    (tmp_path / "bars").mkdir()
    (tmp_path / "bars" / "bars.csv").touch()
    assert outcomes(await found(rows.check_files, sqlite_url, TRADINGBOT_DATA_DIR=str(tmp_path / "bars"))) == ["ok"]
    (keys,) = await found(credentials.check_credentials, sqlite_url)
    assert (keys.outcome.value, keys.bot_id, "SOME_KEYS_API_KEY" in keys.found) == ("failed", bare, True)
    given = {"SOME_KEYS_API_KEY": "k3y-value", "SOME_KEYS_API_SECRET": "s3cret-value"}
    (there,) = await found(credentials.check_credentials, sqlite_url, **given)
    assert (there.outcome.value, "value" in there.found) == ("ok", False)
    assert outcomes(await found(credentials.check_libraries, sqlite_url)) == ["ok"]


async def test_a_library_that_is_missing_is_told(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(sqlite_url, lambda filled: a_bot(filled, "live data", data={"data_source": "kraken"}))
    monkeypatch.setattr(credentials, "find_spec", lambda _: None)
    (missing,) = await found(credentials.check_libraries, sqlite_url)
    assert (missing.outcome.value, missing.remedy) == ("failed", "pip install 'tradingbot-operator[live]'.")


async def test_a_venue_is_asked_for_its_symbols_and_its_clock(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"data_source": "binance", "interval": "1m"}
    await fill(sqlite_url, lambda filled: a_bot(filled, "known", symbol=SYMBOL, data=data))
    async with live_world(monkeypatch):
        findings = await found(venues.check_venues, sqlite_url)
        assert "ok" in outcomes(findings)
        assert SYMBOL in findings[0].found
        unknown = await fill(sqlite_url, lambda filled: a_bot(filled, "unknown", symbol="NOSUCHUSDT", data=data))
        (symbol,) = [f for f in await found(venues.check_venues, sqlite_url) if f.outcome is Outcome.FAILED]
        assert (symbol.bot_id, "NOSUCHUSDT" in symbol.found) == (unknown, True)
    (down, *_) = await found(venues.check_venues, sqlite_url)  # the stand-in is gone
    assert (down.outcome.value, "can't be reached" in down.found) == ("failed", True)


async def test_the_port_is_free_ours_or_of_another_program(sqlite_url: str, tmp_path: Path) -> None:
    (free,) = await found(service.check_service, sqlite_url, port=free_port())
    assert (free.outcome.value, "nothing listens" in free.found) == ("ok", True)
    with Service(tmp_path, sqlite_url, "serve") as ours:
        await asyncio.to_thread(wait_until, lambda: ours.get("/healthz")[0] == 200, 30, "the service")
        (answers,) = await found(service.check_service, sqlite_url, port=ours.port)
        assert (answers.outcome.value, "the service answers" in answers.found) == ("ok", True)
    async with TestServer(build_web(SweepHealth(30), Metrics())) as operator:
        (answers,) = await found(service.check_service, sqlite_url, port=operator.port)
        assert (answers.outcome.value, "the service answers" in answers.found) == ("ok", True)
    async with _served(lambda _: web.Response(text="hello")) as (port, _):
        (other,) = await found(service.check_service, sqlite_url, port=port)
        assert (other.outcome.value, "another program" in other.found) == ("failed", True)
    async with _served(lambda _: web.json_response({"alive": False}, status=503)) as (port, _):
        (dead,) = await found(service.check_service, sqlite_url, port=port)
        assert (dead.outcome.value, "not alive" in dead.found) == ("failed", True)


async def test_tokens_are_tried_and_never_shown(sqlite_url: str) -> None:
    taken = {"telegram": True}

    async def answer(request: web.Request) -> web.Response:
        good = taken["telegram"] and ("/bot12:good-token/" in request.path or "good-token" in str(request.headers))
        return web.json_response({"ok": good, "result": {"username": "fleet_bot"}, "team": "desk"})

    async with _served(answer) as (_, url):
        told = {"TELEGRAM_API_URL": url, "SLACK_API_URL": url}
        told |= {"TELEGRAM_BOT_TOKEN": "12:good-token", "SLACK_BOT_TOKEN": "good-token"}
        fine = await found(message_checks.check_channels, sqlite_url, **told)
        assert [f.found for f in fine] == [
            "telegram: the token is taken, the bot is fleet_bot",
            "slack: the token is taken, in the workspace desk",
        ]
        taken["telegram"] = False
        refused = await found(message_checks.check_channels, sqlite_url, **told)
        assert outcomes(refused) == ["failed", "failed"]
        assert "good-token" not in str(refused)
    (away, _) = await found(message_checks.check_channels, sqlite_url, **told)
    assert (away.outcome.value, "can't be reached" in away.found) == ("failed", True)
    assert outcomes(await found(message_checks.check_channels, sqlite_url)) == ["skipped"]


async def test_messages_that_wait_or_were_given_up_are_counted(database_url: str) -> None:
    assert outcomes(await found(message_checks.check_queue, database_url)) == ["ok"]

    async def queue(filled: Database) -> None:
        row = {"message_type": "error", "channels": ["telegram"], "content": {}, "recipient_id": "1"}
        async with filled.write() as connection:
            await connection.execute(insert(messages).values(row | {"status": "FAILED"}))
            await connection.execute(insert(messages).values(row | {"scheduled_for": filled.after(-3600)}))

    await fill(database_url, queue)
    dead, old = await found(message_checks.check_queue, database_url)
    assert (dead.outcome.value, dead.found) == ("warning", "messages that were given up: 1 for telegram")
    assert (old.outcome.value, old.found) == ("warning", "1 messages wait, the oldest for 60 min")


async def test_a_document_that_tells_nobody_is_named(sqlite_url: str) -> None:
    wishes = {"position_opened": True}
    bot_id = await fill(sqlite_url, lambda filled: a_bot(filled, "mute", notifications=wishes))
    (mute,) = await found(message_checks.check_wishes, sqlite_url)
    assert (mute.outcome.value, mute.bot_id) == ("warning", bot_id)
    for_all = {"TRADING_NOTIFY_EMAIL": "me@example.com"}
    assert outcomes(await found(message_checks.check_wishes, sqlite_url, **for_all)) == ["ok"]


@pytest.mark.parametrize("channel", [{"webhook_enabled": True}, {"telegram_enabled": True}, {"channels": ["apprise"]}])
async def test_a_document_that_names_any_channel_is_not_called_mute(sqlite_url: str, channel: dict[str, Any]) -> None:
    wishes = {"position_opened": True} | channel
    await fill(sqlite_url, lambda filled: a_bot(filled, "told", notifications=wishes))
    assert outcomes(await found(message_checks.check_wishes, sqlite_url)) == ["ok"]


@asynccontextmanager
async def _served(answer: Any) -> AsyncIterator[tuple[int, str]]:
    async def handle(request: web.Request) -> web.Response:
        said = answer(request)
        return await said if asyncio.iscoroutine(said) else said

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = int(runner.addresses[0][1])
    try:
        yield port, f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@pytest.mark.postgres
async def test_a_pooler_in_transaction_mode_is_recognised(pooled_url: str) -> None:
    (swallowed,) = await found(database.check_notifications_of_rows, pooled_url)
    assert (swallowed.outcome.value, "transaction mode" in swallowed.found) == ("warning", True)
    findings = await found(database.check_answer, pooled_url)
    assert [f for f in findings if "something stands between" in f.found]


@pytest.mark.postgres
async def test_a_server_that_was_stopped_is_told(tmp_path: Path) -> None:
    programs = find_postgres()
    if programs is None:
        pytest.skip("no PostgreSQL server programs on this machine")
    server = PostgresServer(programs)
    server.start()
    url = server.url(server.create_database())
    try:
        upgrade(url)
        server.stop()
        (away,) = await found(database.check_answer, url)
        assert (away.outcome.value, away.unreachable) == ("failed", True)
        assert outcomes(await found(rows.check_bots, url)) == ["skipped"]
    finally:
        server.close()
