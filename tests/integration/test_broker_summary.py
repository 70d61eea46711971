"""Two live bots of one account at the stand-in exchange: what they share, what they don't, and what `/status` says."""

from typing import Any

import pytest

from support.exchange.faults import Fault, FaultKind
from support.live_bot import LiveBot, insert_live_bot, live_bot
from support.live_world import a_live_document

ACCOUNT = "binance:bot-keys"


async def test_bots_of_one_account_share_its_client_and_none_the_trouble_of_another(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = await insert_live_bot(sqlite_url, a_live_document(symbol="NOSUCHUSDT"))
    async with live_bot(sqlite_url, monkeypatch) as bot:
        await bot.running()
        account = await bot.until(lambda: known(bot, trouble={str(lost)}), "the trouble of the other bot")
        assert (account["bots"], account["connected"], account["live"]) == ([lost, bot.bot_id], 1, True)
        assert "NOSUCHUSDT" in account["trouble"][str(lost)]
        assert abs(account["clock_skew_seconds"]) < 1
        assert bot.board["restarts"] == 0

        before = account["last_answer"]
        bot.exchange.faults.plan(Fault(FaultKind.ERROR_BEFORE, "GET /api/v3/allOrders", None, status=503))
        both = {str(lost), str(bot.bot_id)}
        await bot.until(lambda: known(bot, trouble=both), "the trouble of both")
        bot.exchange.faults.clear()
        account = await bot.until(lambda: known(bot, trouble={str(lost)}), "its end")
        assert account["last_answer"] > before

        twin = await insert_live_bot(sqlite_url, a_live_document(hold_bars=10_000))
        bot.seen.manager.wake()
        account = await bot.until(lambda: known(bot, trouble={str(lost)}, connected=2), "the second bot's connection")
        assert account["bots"] == [lost, bot.bot_id, twin]
        brokers = bot.seen.manager._around.brokers._brokers
        mine, theirs = (brokers[bot_id]._broker for bot_id in (bot.bot_id, twin))
        assert mine is not theirs
        assert mine._venue.exchange is theirs._venue.exchange  # type: ignore[attr-defined]
        await bot.seen.change(twin, status="disabled")
        await bot.until(lambda: known(bot, trouble={str(lost)}, connected=1), "the second bot's end")
        await bot.running()


def known(bot: LiveBot, *, trouble: set[str], connected: int = 1) -> dict[str, Any]:
    """What is known of the account, once these bots have trouble and so many are connected."""
    for account in bot.seen.manager._around.brokers.summary():
        if (account["account"], set(account["trouble"]), account["connected"]) == (ACCOUNT, trouble, connected):
            return dict(account)
    return {}
