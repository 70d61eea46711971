import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bot_core.schema import bots, messages, positions, trades
from bot_core.store.database import Database
from bot_runtime.cli.main import main
from bot_runtime.strategy_manager import StrategyManager
from support.bars import strategy_document
from support.bots import a_document, surroundings
from support.older_platform import TABLES, OlderDatabase, Variant
from support.postgres import PostgresServer, find_postgres

pytestmark = pytest.mark.postgres

VARIANTS = [
    Variant(),
    Variant(json_type="text", mode_column=True),
    Variant(json_type="json"),
    Variant(dumped=False),
    Variant(dumped=False, json_type="json", mode_column=True),
    Variant(dumped=False, json_type="text"),
]
LOGIC = strategy_document(
    entry_params={"e_rsi_oversold": 40, "e_cooldown_bars": 3}, exit_params={"x_sl_multiplier": 1.0}
)["parameters"]
#: The shape of files of 2025: nothing at the root, `initial_balance`, rules directly in `strategy`, nested channels.
LEGACY = {
    "broker": {"type": "binance_paper", "initial_balance": 2000.0},
    "trading": {"symbol": "ETHUSDT", "position_size": 0.2},
    "data": {"data_source": "generated", "interval": "1h", "seed": 3, "speed": 0, "bars": 300},
    "strategy": {"type": "custom", **LOGIC},
    "notifications": {"telegram": {"enabled": True, "notify_on": ["trade_entry", "trade_exit"]}},
}
#: What a web form of that time wrote: an `id` and no `bot_id`, a broker that the newest schema refuses.
WITH_ID = a_document(id="7f3c", broker={"type": "mock", "trading_mode": "paper", "cash": 500}) | {"name": "by id"}
UNKNOWN_RULE = a_document(strategy=strategy_document(entry="MACDEntryMixin"))
UNKNOWN_COIN = a_document(symbol="PEPEUSDT", data={"data_source": "coingecko"})


@pytest.fixture(params=VARIANTS, ids=str)
def older(postgres: PostgresServer, request: pytest.FixtureRequest) -> Iterator[tuple[OlderDatabase, str]]:
    name = postgres.create_database()
    url = postgres.url(name)
    yield OlderDatabase(url, request.param), url
    postgres.drop_database(name)


def dump(url: str, *options: str) -> list[str]:
    programs = find_postgres()
    assert programs is not None
    parts = url.removeprefix("postgresql+psycopg://")
    tables = [part for table in TABLES for part in ("-t", table)]
    command = [programs / "pg_dump", *options, *tables, f"postgresql://{parts}"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [line for line in text.splitlines() if line and not line.startswith(("--", "\\"))]


def tradingbot(url: str, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setenv("DATABASE_URL", url)
    return main(arguments)


@asynccontextmanager
async def serving(url: str) -> AsyncIterator[Database]:
    database = Database(url, pool_size=10)
    manager = StrategyManager(surroundings(database), poll_seconds=0.3)
    stop = asyncio.Event()
    loop = asyncio.create_task(manager.run(stop))
    try:
        yield database
    finally:
        stop.set()
        await loop
        await manager.shutdown()
        await database.aclose()


async def rows_of(database: Database, table: Any, **wanted: Any) -> list[dict[str, Any]]:
    query = select(table).where(*(table.c[name] == value for name, value in wanted.items())).order_by(table.c.id)
    async with database.read() as connection:
        return [dict(row) for row in (await connection.execute(query)).mappings()]


async def until(condition: Any, what: str) -> None:
    try:
        async with asyncio.timeout(40):
            while not await condition():
                await asyncio.sleep(0.1)
    except TimeoutError:
        pytest.fail(f"{what} did not happen")


def test_an_upgrade_changes_no_table_of_the_older_platform_and_no_row(
    older: tuple[OlderDatabase, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    database, url = older
    statuses = ("stopped", "starting", "running", "error", "stopping", "restarting", "enabled", "disabled", "odd")
    for status in statuses:
        bot = database.bot(LEGACY, status, current_balance=1000, total_pnl=3.5)
    database.open_trade(bot, "2026-08-20 10:00:00", 3000)
    schema, data = dump(url, "--schema-only"), dump(url, "--data-only", "--inserts")
    assert tradingbot(url, monkeypatch, "db", "upgrade") == 0
    assert "upgraded from nothing" in capsys.readouterr().out
    after = dump(url, "--schema-only")
    added = [line for line in after if line not in schema]
    assert len(added) == len(after) - len(schema) == 2
    assert all(line.startswith("CREATE TRIGGER tradingbot_notify_") for line in added)
    assert [line for line in schema if line not in after] == []
    assert dump(url, "--data-only", "--inserts") == data
    assert tradingbot(url, monkeypatch, "db", "upgrade") == 0
    assert (dump(url, "--schema-only"), dump(url, "--data-only", "--inserts")) == (after, data)


async def test_every_row_that_was_meant_to_run_runs_and_the_others_say_why_not(
    older: tuple[OlderDatabase, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, url = older
    await asyncio.to_thread(tradingbot, url, monkeypatch, "db", "upgrade")
    running = {
        status: database.bot(LEGACY, status) for status in ("stopped", "starting", "running", "error", "enabled")
    }
    running["restarting"] = database.bot(WITH_ID, "restarting", extra_metadata='{"last_error": "old"}')
    stopped = database.bot(LEGACY, "stopping", error_count=3)
    disabled = database.bot(LEGACY, "disabled")
    switched_off = database.bot(LEGACY | {"enabled": False}, "running")
    unknown = database.bot(UNKNOWN_RULE, "running")
    coinless = database.bot(UNKNOWN_COIN, "enabled")
    broken = database.bot({}, "enabled")
    async with serving(url) as ours:

        async def settled() -> bool:
            status = {row["id"]: row["status"] for row in await rows_of(ours, bots)}
            closed = {row["bot_id"] for row in await rows_of(ours, trades, status="closed")}
            return (
                set(running.values()) <= closed
                and {status[bot] for bot in (unknown, coinless, broken)} == {"error"}
                and status[stopped] == status[switched_off] == "stopped"
            )

        await until(settled, "every bot trading or refused")
        by_id = {row["id"]: row for row in await rows_of(ours, bots)}
        assert {by_id[bot]["status"] for bot in running.values()} == {"running"}
        assert by_id[disabled]["status"] == "disabled"
        assert {row["bot_id"] for row in await rows_of(ours, trades)} == set(running.values())
        assert [by_id[bot]["extra_metadata"]["stopped_by"] for bot in (stopped, switched_off)] == ["request", "config"]
        assert "'MACDEntryMixin' is not a known entry rule" in by_id[unknown]["extra_metadata"]["last_error"]
        assert "data.coin_id: is missing" in by_id[coinless]["extra_metadata"]["last_error"]
        assert "is an empty document" in by_id[broken]["extra_metadata"]["last_error"]
        assert by_id[running["restarting"]]["current_balance"] != by_id[running["enabled"]]["current_balance"]
        assert None not in {row[name] for row in await rows_of(ours, trades) for name in ("created_at", "position_id")}
        assert all(row["realized_pnl"] is not None for row in await rows_of(ours, positions))
        told = await rows_of(ours, messages)
        assert {row["message_type"] for row in told} == {"trade_entry", "trade_exit", "status"}
        assert {(row["status"], row["retry_count"], row["channels"][0]) for row in told} == {("PENDING", 0, "telegram")}


async def test_an_open_trade_is_adopted_and_closed_and_older_ones_are_marked_and_stay_open(
    older: tuple[OlderDatabase, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, url = older
    bot = database.bot(LEGACY, "running", current_balance=1500)
    # The newest entry has not the highest id, one is of another mode, one of another symbol.
    newest = database.open_trade(bot, "2024-01-05 10:03:07", 3000)
    older_ones = [database.open_trade(bot, f"2024-01-0{day} 10:00:00", 2900) for day in (3, 4)]
    others = [
        database.open_trade(bot, "2024-01-06 10:00:00", 2900, trade_type="live"),
        database.open_trade(bot, "2024-01-06 10:00:00", 90, symbol="LTCUSDT"),
    ]
    await asyncio.to_thread(tradingbot, url, monkeypatch, "db", "upgrade")
    async with serving(url) as ours:

        async def closed() -> bool:
            return bool(await rows_of(ours, trades, id=newest, status="closed"))

        await until(closed, "the adopted trade closing")
        by_id = {row["id"]: row for row in await rows_of(ours, trades)}
    assert by_id[newest]["exit_time"] > by_id[newest]["entry_time"]
    assert by_id[newest]["exit_reason"] == "stop_loss"
    assert by_id[newest]["size"] == Decimal("0.25")
    assert by_id[newest]["net_pnl"] is not None
    assert by_id[newest]["extra_metadata"]["paper_trading"] is True
    for trade_id in older_ones:
        assert by_id[trade_id]["status"] == "open"
        assert by_id[trade_id]["extra_metadata"] == {
            "order_id": None, "paper_trading": True, "superseded_by_trade": newest
        }  # fmt: skip
    for trade_id in others:
        assert (by_id[trade_id]["status"], "superseded_by_trade" in by_id[trade_id]["extra_metadata"]) == (
            "open",
            False,
        )


async def test_an_open_trade_that_cannot_be_explained_stops_its_bot_with_a_sentence(
    older: tuple[OlderDatabase, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, url = older
    short, empty = database.bot(LEGACY, "running"), database.bot(LEGACY, "running")
    database.open_trade(short, "2024-01-05 10:00:00", 3000, direction="SHORT")
    database.open_trade(empty, "2024-01-05 10:00:00", 3000, size=None)
    await asyncio.to_thread(tradingbot, url, monkeypatch, "db", "upgrade")
    async with serving(url) as ours:

        async def refused() -> bool:
            return {row["status"] for row in await rows_of(ours, bots)} == {"error"}

        await until(refused, "both bots refused")
        texts = [row["extra_metadata"]["last_error"] for row in await rows_of(ours, bots)]
    assert "has direction 'SHORT', which the rules can't exit; allowed: long" in texts[0]
    assert "has size None and entry_price 3000" in texts[1]


def test_new_rows_are_written_as_the_older_table_wants_them(
    older: tuple[OlderDatabase, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    database, url = older
    tradingbot(url, monkeypatch, "db", "upgrade")
    (tmp_path / "several.json").write_text(json.dumps({"strategies": [LEGACY, WITH_ID]}))
    (tmp_path / "part.json").write_text(json.dumps({"strategy": LOGIC}))
    (tmp_path / "none.json").write_text("")
    live = a_document(broker={"type": "ibkr", "trading_mode": "live", "live_trading_confirmed": True})
    (tmp_path / "live.json").write_text(json.dumps(live))
    assert tradingbot(url, monkeypatch, "bots", "sample") == 0
    assert tradingbot(url, monkeypatch, "bots", "import", str(tmp_path)) == 0
    told = capsys.readouterr()
    assert "several.json#strategies[1]" in told.out
    assert "part.json: strategy: is all there is" in told.err
    assert "none.json: is an empty file" in told.err
    assert tradingbot(url, monkeypatch, "bots", "import", str(tmp_path / "part.json")) == 1
    assert tradingbot(url, monkeypatch, "bots", "list") == 0
    assert "ETHUSDT" in capsys.readouterr().out
    rows = database.execute("SELECT id, created_at, error_count, config::text FROM trading_bots ORDER BY id")
    assert [row[0] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert all(row[1] is not None and row[2] == 0 for row in rows)
    assert json.loads(rows[4][3]) == LEGACY
    if database.variant.mode_column:
        modes = database.execute('SELECT "type" FROM trading_bots ORDER BY id')
        assert modes == [("paper",)] * 3 + [("live",), ("paper",), ("paper",)]


def test_a_change_of_a_document_is_notified_whatever_the_type_of_its_column(
    older: tuple[OlderDatabase, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, url = older
    tradingbot(url, monkeypatch, "db", "upgrade")
    bot = database.bot(LEGACY, "running")
    with database.listening() as heard:
        database.execute("UPDATE trading_bots SET last_heartbeat = now() WHERE id = %s", bot)
        database.execute("UPDATE trading_bots SET config = %s WHERE id = %s", json.dumps(WITH_ID), bot)
        assert heard() == [str(bot)]


def test_a_role_without_rights_to_triggers_is_told_and_its_bots_run_by_polling(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = postgres.create_database()
    role = f"trader_{name}"
    database = OlderDatabase(postgres.url(name), Variant())
    try:
        postgres.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
        url = postgres.url(name).replace("tradingbot:" + postgres.password, f"{role}:x")
        assert tradingbot(url, monkeypatch, "db", "upgrade") == 1
        assert "needed: CREATE on the schema, REFERENCES on trading_bots" in capsys.readouterr().err
        database.execute(f"GRANT CREATE ON SCHEMA public TO {role}")
        database.execute(f"GRANT SELECT, INSERT, UPDATE, REFERENCES ON ALL TABLES IN SCHEMA public TO {role}")
        database.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}")
        assert tradingbot(url, monkeypatch, "db", "upgrade") == 0
        assert "no NOTIFY trigger on trading_bots" in capsys.readouterr().err
        database.bot(LEGACY, "running")

        async def polled() -> None:
            async with serving(url) as ours:

                async def traded() -> bool:
                    return bool(await rows_of(ours, trades, status="closed"))

                await until(traded, "a trade of a bot found by polling")

        asyncio.run(polled())
        assert tradingbot(postgres.url(name), monkeypatch, "db", "upgrade") == 0
        capsys.readouterr()
        assert tradingbot(url, monkeypatch, "db", "upgrade") == 0
        assert capsys.readouterr().err == "", "triggers that somebody else made are triggers"
    finally:
        postgres.drop_database(name)
        postgres.execute(f"DROP ROLE IF EXISTS {role}")


def test_sessions_are_in_utc_wherever_the_server_is(postgres: PostgresServer) -> None:
    name = postgres.create_database()
    try:
        postgres.execute(f"ALTER DATABASE {name} SET timezone TO 'Asia/Tokyo'")

        async def zone() -> Any:
            database = Database(postgres.url(name))
            async with database.read() as connection:
                found = (await connection.exec_driver_sql("SHOW TimeZone")).scalar()
            await database.aclose()
            return found

        assert asyncio.run(zone()) == "UTC"
    finally:
        postgres.drop_database(name)
