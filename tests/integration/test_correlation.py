import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, select, update

from bot_core.correlation import correlation_id
from bot_core.models.bot import document_hash
from bot_core.schema import bots, events, leases, messages, orders, trades
from bot_core.store.database import Database
from bot_runtime.cli.main import main
from bot_runtime.engine.board import Phase
from bot_runtime.engine.bot_engine import Rhythm
from support.bots import a_document, insert_bot
from support.running import new_bot, running
from support.service import Service
from support.waiting import wait_until

PACED = {"data_source": "generated", "interval": "1h", "seed": 3, "speed": 40}


def on(url: str, work: Any) -> Any:
    async def connected() -> Any:
        database = Database(url)
        try:
            return await work(database)
        finally:
            await database.aclose()

    return asyncio.run(connected())


def rows(url: str, table: Table) -> list[dict[str, Any]]:
    async def read(database: Database) -> list[dict[str, Any]]:
        async with database.read() as connection:
            found = await connection.execute(select(table).order_by(table.c.id))
            return [dict(row) for row in found.mappings()]

    found: list[dict[str, Any]] = on(url, read)
    return found


def write_document(url: str, bot_id: int, document: dict[str, Any]) -> None:
    async def change(database: Database) -> None:
        async with database.write() as connection:
            await connection.execute(update(bots).where(bots.c.id == bot_id).values(config=document))

    on(url, change)


def test_a_changed_row_is_followed_by_one_id_to_its_orders_fills_trades_and_messages(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = a_document(data=PACED)
    after = before | {"broker": before["broker"] | {"commission": 0.002}}
    bot_id = on(sqlite_url, lambda database: insert_bot(database, before))
    first, second = (correlation_id(bot_id, document_hash(document), 1) for document in (before, after))
    assert first != second

    def told() -> list[dict[str, Any]]:
        return [row for row in rows(sqlite_url, messages) if row["metadata"].get("correlation_id") == second]

    with Service(tmp_path, sqlite_url, "serve") as service:
        service.wait_for_phase(bot_id, "running")
        assert service.bot(bot_id)["correlation_id"] == first
        write_document(sqlite_url, bot_id, after)
        wait_until(lambda: len(told()) >= 3, 60, "messages of three fills", every=0.5, tell=service.log.read_text)
        assert service.stop() == 0
        lines = service.events()

    about = [row for row in rows(sqlite_url, events) if row["correlation_id"] == second]
    (changed,) = [row for row in about if row["kind"] == "config_changed"]
    assert "commission" in changed["message"]
    assert about[-1]["kind"] == "stopped"
    assert "status" in {row["kind"] for row in rows(sqlite_url, events) if row["correlation_id"] == first}

    # An order that was on its way while the document changed was decided under the first and booked under the second.
    decided = {row["client_order_id"]: row for row in rows(sqlite_url, orders) if row["correlation_id"] == second}
    names = [message["metadata"]["client_order_id"] for message in told()]
    # An entry: under the name of an exit the trail begins with the trade that it ends.
    name = next(name for name in names if name in decided and decided[name]["purpose"] == "entry")
    assert decided[name]["state"] == "filled"
    mine = [line for line in lines if line.get("client_order_id") == name]
    assert mine[0]["event"] == "order_intended"
    assert mine[-1]["event"] in {"trade_opened", "trade_closed"}
    assert {(line["bot_id"], line["correlation_id"]) for line in mine} == {(bot_id, second)}
    traded = [row["extra_metadata"] for row in rows(sqlite_url, trades)]
    ids = [(extra.get("order_id"), extra.get("correlation_id")) for extra in traded]
    ids += [(extra.get("exit_order_id"), extra.get("exit_correlation_id")) for extra in traded]
    assert (name, second) in ids

    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    assert main(["trace", name, "--json"]) == 0
    steps = json.loads(capsys.readouterr().out)
    assert steps[0]["what"] == "order intended"
    assert {"order filled", "message pending"} < {step["what"] for step in steps}
    assert [step["at"] for step in steps] == sorted(step["at"] for step in steps)
    assert main(["trace", second]) == 0
    shown = capsys.readouterr().out
    assert "config_changed" in shown
    assert name in shown
    assert main(["trace", "no_id%"]) == 2
    assert main(["trace", "b0-nobody-e1"]) == 1
    assert "nothing is known under b0-nobody-e1" in capsys.readouterr().err

    of_the_bot = [line for line in lines if line["event"] in {"bot_running", "bot_stopped", "trade_opened"}]
    assert {line["correlation_id"] for line in of_the_bot} == {first, second}
    assert {row["correlation_id"] for row in rows(sqlite_url, orders)} <= {first, second}


async def test_a_lease_that_another_process_takes_is_counted_and_the_next_tenure_has_an_id_of_its_own(
    sqlite_url: str,
) -> None:
    bot_id = await new_bot(sqlite_url)
    async with running(sqlite_url, around={"rhythm": Rhythm(beat_seconds=0.2)}) as seen:
        await seen.until_status(bot_id, "running")
        first = seen.fleet.bots[bot_id].correlation_id
        taken = {"holder": "pod:other", "epoch": leases.c.epoch + 1, "expires_at": seen.database.after(2)}
        async with seen.database.write() as connection:
            await connection.execute(update(leases).where(leases.c.bot_id == bot_id).values(taken))

        async def lost() -> bool:
            return seen.fleet.bots[bot_id].lease_losses == 1

        async def again() -> bool:
            board = seen.fleet.bots[bot_id]
            return board.phase is Phase.RUNNING and board.correlation_id != first

        await seen.until(lost, "the loss of the lease")
        await seen.until(again, "another tenure")
        assert first.endswith("-e1")
        assert seen.fleet.bots[bot_id].correlation_id == first.removesuffix("1") + "3"
        assert seen.fleet.bots[bot_id].lease_losses == 1
