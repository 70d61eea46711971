import random
import time
from pathlib import Path

import pytest

from bot_core.store.database import Database
from bot_core.store.upgrade import upgrade
from support.bots import ENDED, a_document, insert_bot, the_books
from support.service import Service
from support.waiting import wait_until

KILLS = 20
BARS = 1500
BARS_A_SECOND = 125.0


async def prepared(url: str, *, speed: float) -> int:
    database = Database(url)
    data = {"data_source": "generated", "interval": "1h", "seed": 5, "speed": speed, "bars": BARS}
    try:
        return await insert_bot(database, a_document(data=data))
    finally:
        await database.aclose()


def run_to_the_end(folder: Path, url: str, bot_id: int) -> None:
    with Service(folder, url, "serve") as service:
        wait_until(lambda: service.bot(bot_id).get("message") == ENDED, 120, "the end", tell=service.log.read_text)
        assert service.stop() == 0


@pytest.mark.slow
async def test_twenty_kills_at_random_moments_of_a_replay_change_nothing(database_url: str, tmp_path: Path) -> None:
    calm_url = f"sqlite:///{tmp_path / 'undisturbed.db'}"
    upgrade(calm_url)
    calm_id = await prepared(calm_url, speed=0)
    run_to_the_end(tmp_path, calm_url, calm_id)
    expected = await the_books(calm_url, calm_id)
    assert len(expected["trading_trades"]) > 50

    dice = random.Random(20260101)
    bot_id = await prepared(database_url, speed=BARS_A_SECOND)
    assert bot_id == calm_id, "ids are part of the order ids that are compared"
    cursors = []
    for _ in range(KILLS):
        with Service(tmp_path, database_url, "serve", TRADINGBOT_HEARTBEAT_SECONDS="0.2") as service:
            service.wait_for_phase(bot_id, "running")
            time.sleep(dice.uniform(0.0, 0.6))
            service.kill()
        cursors.append((await the_books(database_url, bot_id))["bot_state"][0]["cursor"])
    assert len(set(cursors)) > KILLS / 2, "the kills hit the replay in many different places"

    run_to_the_end(tmp_path, database_url, bot_id)
    assert await the_books(database_url, bot_id) == expected
