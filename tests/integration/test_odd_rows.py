import asyncio
import copy
import json
import random
from pathlib import Path

from bot_core.models.config import parse_config
from bot_core.store.database import Database
from bot_core.store.upgrade import upgrade
from bot_runtime.engine.board import Phase
from bot_runtime.strategy_manager import StrategyManager
from support.bots import a_document, insert_bot, surroundings
from support.mutation import ODD, mutate

PACED = {"data_source": "generated", "interval": "1h", "seed": 3, "speed": 5}
LIVE = ("binance", "kraken", "websocket", "yahoo", "coingecko", "ibkr")
KINDS = ("drop", "replace", "add", "rename", "move", "secret")


def odd_documents(count: int) -> list[dict[str, object]]:
    dice = random.Random(20261123)
    found = []
    while len(found) < count:
        live = {"data_source": dice.choice(LIVE), "interval": "1h"}
        document = copy.deepcopy(a_document(data=live if dice.random() < 0.2 else PACED))
        for _ in range(dice.randint(1, 3)):
            way = [dice.randrange(12) for _ in range(dice.randint(1, 5))]
            mutate(document, dice.choice(KINDS), way, dice.choice(ODD), dice.choice(["data", "type", "name", "x"]))
        try:
            json.dumps(document, allow_nan=False, ensure_ascii=False).encode()
        except ValueError:
            continue  # no database would take it
        found.append(document)
    return found


async def test_a_fleet_of_odd_rows_ends_nothing_and_each_that_does_not_run_says_why(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'odd.db'}"
    upgrade(url)
    database = Database(url)
    good = await insert_bot(database, a_document(data=PACED))
    documents = odd_documents(80)
    odd = [await insert_bot(database, document) for document in documents]
    around = surroundings(database)
    manager = StrategyManager(around, poll_seconds=0.5)
    stop = asyncio.Event()
    running = asyncio.create_task(manager.run(stop))

    def waits(bot_id: int) -> bool:
        board = around.fleet.bots.get(bot_id)
        return board is not None and board.phase is Phase.WAITING and bool(board.message)

    async def judged() -> int:
        rows = await around.store.all()
        return sum(row.status in {"error", "running"} or waits(row.id) for row in rows)

    wanted = 1 + sum(document.get("enabled") is not False for document in documents)
    async with asyncio.timeout(60):
        while await judged() < wanted:
            await asyncio.sleep(0.1)
    assert not running.done()
    board = around.fleet.bots[good]
    assert board.phase is Phase.RUNNING
    before = board.bars
    async with asyncio.timeout(20):
        while board.bars < before + 3:
            await asyncio.sleep(0.1)
    rows = {row.id: row for row in await around.store.all()}
    refused = [bot_id for bot_id in odd if rows[bot_id].status == "error"]
    assert len(refused) > 10
    assert all(rows[bot_id].extra_metadata["last_error"] for bot_id in refused)
    configs = {bot_id: parse_config(document).config for bot_id, document in zip(odd, documents, strict=True)}
    assert all(rows[bot_id].status == "error" for bot_id, config in configs.items() if config is None)
    live = [i for i, config in configs.items() if config is not None and config.data.data_source in LIVE]
    assert len(live) > 5
    for bot_id in live:  # nobody listens where the tests look for venues
        board = around.fleet.bots[bot_id]
        assert board.phase in {Phase.WAITING, Phase.STARTING}, board.message
        assert board.errors
        assert not board.bars
    stop.set()
    await running
    await manager.shutdown()
    await database.aclose()
