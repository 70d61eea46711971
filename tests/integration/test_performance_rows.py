import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, select

from bot_core.schema import performance_metrics, trades
from bot_core.store.database import Database
from bot_core.store.leases import LeaseStore
from bot_runtime.cli.main import main
from bot_runtime.performance_recorder import PerformanceRecorder
from support.bots import a_document, an_instance, insert_bot, run_to_the_end, surroundings
from support.service import Service
from support.waiting import wait_until

EVERY = 3


async def rows(database: Database, bot_id: int) -> list[dict[str, Any]]:
    async with database.read() as connection:
        query = select(performance_metrics).where(performance_metrics.c.bot_id == bot_id)
        found = await connection.execute(query.order_by(performance_metrics.c.id))
        return [dict(row) for row in found.mappings()]


def marks(found: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    return Counter((row["metrics"]["kind"], row["metrics"]["mark"]) for row in found)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.aclose()


async def test_each_day_and_each_so_many_trades_have_one_row_however_often_it_is_looked_at(database: Database) -> None:
    around = surroundings(database)
    bot_id = await insert_bot(database)
    await run_to_the_end(await an_instance(around, bot_id))
    for _ in range(2):  # the second knows nothing of the first, as after a restart
        recorder = PerformanceRecorder(database, around.fleet, around.leases.holder, every=EVERY)
        await recorder.record()
        await recorder.record()
    found = await rows(database, bot_id)
    async with database.read() as connection:
        closed = trades.c.bot_id == bot_id, trades.c.status == "closed"
        count, net, first, last = (
            await connection.execute(
                select(
                    func.count(), func.sum(trades.c.net_pnl), func.min(trades.c.exit_time), func.max(trades.c.exit_time)
                ).where(*closed)
            )
        ).one()
    written = marks(found)
    assert set(written.values()) == {1}
    assert [name for kind, name in written if kind == "trades"] == [str(n) for n in range(EVERY, count + 1, EVERY)]
    days = [date.fromisoformat(name) for kind, name in written if kind == "day"]
    assert days == [first.date() + timedelta(days=n) for n in range(len(days))]
    assert days[-1] >= last.date() - timedelta(days=1)
    newest = max(found, key=lambda row: row["metrics"]["trades"])
    assert {newest[name] for name in ("trade_type", "symbol", "interval")} == {"paper", "ETHUSDT", "1h"}
    assert newest["entry_logic_name"]
    assert newest["metrics"]["trades"] <= count
    assert newest["metrics"]["trades"] < count or newest["metrics"]["net_pnl"] == pytest.approx(float(net))

    # Another process takes the bot: what the first one still believes to trade is not its to write about.
    async with database.write() as connection:
        await connection.execute(delete(performance_metrics))
    assert await LeaseStore(database, "another process").acquire(bot_id) is not None
    await PerformanceRecorder(database, around.fleet, around.leases.holder, every=EVERY).record()
    assert await rows(database, bot_id) == []


def test_rows_are_written_once_each_though_the_process_is_killed_and_the_command_shows_them(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def there() -> list[dict[str, Any]]:
        database = Database(sqlite_url)
        try:
            return await rows(database, bot_id)
        finally:
            await database.aclose()

    async def insert() -> int:
        database = Database(sqlite_url)
        try:
            paced = {"data_source": "generated", "interval": "1h", "seed": 3, "speed": 50}
            return await insert_bot(database, a_document(data=paced))
        finally:
            await database.aclose()

    bot_id = asyncio.run(insert())
    for round_ in range(2):
        with Service(tmp_path, sqlite_url, "serve", TRADINGBOT_PERFORMANCE_TRADES=str(EVERY)) as service:
            before = len(asyncio.run(there()))
            wait_until(lambda: len(asyncio.run(there())) > before, 60, "rows", every=0.3, tell=service.log.read_text)  # noqa: B023
            if round_ == 0:
                service.kill()
            else:
                assert service.stop() == 0
    found = asyncio.run(there())
    written = marks(found)
    assert set(written.values()) == {1}
    days = [date.fromisoformat(name) for kind, name in written if kind == "day"]
    assert days == [days[0] + timedelta(days=n) for n in range(len(days))]
    counts = [int(name) for kind, name in written if kind == "trades"]
    assert counts == list(range(EVERY, EVERY * len(counts) + 1, EVERY))

    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    assert main(["bots", "performance", str(bot_id), "--json", "--limit", "1000"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == len(found)
    assert main(["bots", "performance", str(bot_id)]) == 0
    shown = capsys.readouterr().out
    assert "DRAWDOWN_%" in shown
    assert "ETHUSDT" in shown
    assert main(["bots", "performance", "999"]) == 1
    assert "no bot has the id 999" in capsys.readouterr().err
