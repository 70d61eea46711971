import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from sqlalchemy import insert

from bot_core.schema import auth_identities
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_runtime.engine.order_desk import OrderDesk
from bot_runtime.notifications.dispatcher import DispatchRhythm
from support.bots import a_document, an_instance, insert_bot, run_to_the_end, surroundings
from support.outgoing import a_dispatcher, dispatching, eventually, rows
from support.slack_api import TOKEN as SLACK_TOKEN
from support.stand_ins import BlackHole
from support.telegram_api import TOKEN as TELEGRAM_TOKEN

ROUNDS = 3
NOTIFY = {"position_opened": True, "position_closed": True, "email_enabled": True, "telegram_enabled": True}


@pytest.fixture
def hole() -> Iterator[BlackHole]:
    hole = BlackHole()
    yield hole
    hole.close()


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    database = Database(postgres_url)
    yield database
    await database.aclose()


async def latencies(database: Database, seed: int, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Two bots trade; the seconds from each signal to the venue's acceptance."""
    taken: list[float] = []
    place = OrderDesk.place

    async def timed(self: OrderDesk, intent: Any) -> str:
        started = time.perf_counter()
        refused = await place(self, intent)
        taken.append(time.perf_counter() - started)
        return refused

    around = surroundings(database)
    data = {"data_source": "generated", "interval": "1h", "speed": 0, "bars": 80}
    bots = [
        await insert_bot(database, a_document(notifications=NOTIFY, data=data | {"seed": seed + number}))
        for number in range(2)
    ]
    with monkeypatch.context() as patch:
        patch.setattr(OrderDesk, "place", timed)
        await asyncio.gather(*[run_to_the_end(await an_instance(around, bot)) for bot in bots])
    return taken


@pytest.mark.postgres
async def test_an_order_waits_for_no_channel_though_all_of_them_are_black_holes(
    database: Database, postgres_url: str, hole: BlackHole, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{hole.port}"
    environment = {
        "SMTP_SERVER": "127.0.0.1",
        "SMTP_PORT": str(hole.port),
        "SMTP_FROM": "bots@example.com",
        "SMTP_SECURITY": "none",
        "TELEGRAM_BOT_TOKEN": TELEGRAM_TOKEN,
        "TELEGRAM_API_URL": url,
        "SLACK_BOT_TOKEN": SLACK_TOKEN,
        "SLACK_API_URL": url,
        "WEBHOOK_URL": url,
    }
    user_id = await BotStore(database, actor="test").user("trader@example.com")
    identity = {"user_id": user_id, "provider": "telegram", "external_id": "4242"}
    async with database.write() as connection:
        await connection.execute(insert(auth_identities).values(identity))
    without: list[float] = []
    holed: list[float] = []
    for number in range(ROUNDS):
        without += await latencies(database, 10 * number, monkeypatch)
        async with dispatching(
            a_dispatcher(Database(postgres_url), environment, rhythm=DispatchRhythm())
        ) as dispatcher:
            await eventually(lambda: dispatcher.leading and hole.connections > number, "messages that hang")  # noqa: B023
            holed += await latencies(database, 10 * number, monkeypatch)
    before, beside = statistics.median(without) * 1000, statistics.median(holed) * 1000
    noise = statistics.quantiles(without, n=4)[2] * 1000 - before
    print(
        f"median order latency: {before:.1f} ms without a dispatcher, {beside:.1f} ms with all channels black-holed; "
        f"{len(holed)} orders each, upper quartile {noise:.1f} ms above the median, {hole.connections} connections hung"
    )
    assert len(without) == len(holed) > 30
    assert not [row for row in await rows(database) if row["status"] == "DELIVERED"]
    assert beside < 2 * before + 20
    assert max(holed) < 5, "no order waited for the time limit of a channel"
