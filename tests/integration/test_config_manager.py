"""What a bot's configuration is and was, as the service sees it and as the command line shows it."""

import copy
import json

from sqlalchemy import text

from bot_runtime.config_manager import ConfigManager
from support.bots import a_document
from support.running import PACED, new_bot, running


async def test_a_changed_document_is_a_version_with_what_changed(sqlite_url: str) -> None:
    async with running(sqlite_url) as seen:
        bot_id, idle = await new_bot(sqlite_url), await new_bot(sqlite_url, symbol=None)
        await seen.until_status(bot_id, "running")
        configs = ConfigManager(seen.store)
        assert [version.number for version in await configs.versions(bot_id)] == [1]
        changed = copy.deepcopy(a_document(data=PACED))
        changed["strategy"]["parameters"]["position_size"] = 0.2
        await seen.change(bot_id, config=changed)

        async def two() -> bool:
            return len(await configs.versions(bot_id)) == 2

        await seen.until(two, "a second version")
        first, second = await configs.versions(bot_id)
        assert (first.number, first.since) == (1, None)
        assert "strategy.parameters.position_size" in second.changes
        assert second.new == {"strategy.parameters.position_size": "0.2"}
        assert await configs.versions(idle) == []


async def test_rows_are_judged_each_alone_and_exported_without_secrets(sqlite_url: str) -> None:
    planted = {"type": "paper", "trading_mode": "paper", "api_key": "planted-key-Kf93"}
    good = await new_bot(sqlite_url, broker=planted, name="has token=planted-token-Kf93")
    bad, unreadable = await new_bot(sqlite_url, symbol=None), await new_bot(sqlite_url)
    async with running(sqlite_url, ids=[0]) as seen:
        async with seen.database.write() as connection:
            spoil = text("UPDATE trading_bots SET current_balance = 'abc' WHERE id = :id")
            await connection.execute(spoil, {"id": unreadable})
        found = {one.bot_id: one for one in await ConfigManager(seen.store).validate_all()}
        assert {bot_id: one.valid for bot_id, one in found.items()} == {good: True, bad: False, unreadable: False}
        assert "symbol: is missing" in found[bad].text
        assert "can't be read" in found[unreadable].text
        exported = ConfigManager.export(await seen.row(good))
    assert (exported["broker"]["api_key"], exported["name"]) == ("***", "has token=***")
    assert exported["strategy"] == a_document()["strategy"]
    assert "Kf93" not in json.dumps(exported)
