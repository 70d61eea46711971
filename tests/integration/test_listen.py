"""LISTEN past a pooler and through one: what is heard, and what is said where nothing can be."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bot_core.logs import configure_logging
from bot_core.models.bot import BotStatus
from bot_core.models.errors import FatalError
from bot_core.store.bots import BotStore
from bot_core.store.database import Database, parse_url
from bot_core.store.listen import Listener, listen_url
from support.bots import a_document

pytestmark = pytest.mark.postgres


@asynccontextmanager
async def _listening(url: str, *, probe_seconds: float = 30) -> AsyncIterator["asyncio.Queue[int | None]"]:
    heard: asyncio.Queue[int | None] = asyncio.Queue()
    task = asyncio.create_task(Listener(parse_url(url), heard.put_nowait, probe_seconds=probe_seconds).run())
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _next(heard: "asyncio.Queue[int | None]", seconds: float = 20) -> int | None:
    async with asyncio.timeout(seconds):
        return await heard.get()


async def test_a_change_made_through_a_pooler_is_heard_on_the_direct_way(postgres_url: str, pooled_url: str) -> None:
    pooled = Database(pooled_url)
    store = BotStore(pooled, actor="test")
    bot_id = await store.insert(a_document(), await store.user("trader@example.com"))
    direct = listen_url(postgres_url, pooled.url)
    async with _listening(direct.render_as_string(hide_password=False)) as heard:
        assert await _next(heard) is None
        await store.request(bot_id, BotStatus.DISABLED)
        assert await _next(heard) == bot_id
    await pooled.aclose()


async def test_listening_through_a_pooler_is_said_to_be_in_vain_once(
    pooled_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    configure_logging("INFO", json=True)
    listener = Listener(parse_url(pooled_url), lambda _bot_id: None)
    async with await listener._connect() as connection:
        for _ in range(2):  # as after each new connection
            await listener._tell_if_deaf(connection)
    told = capfd.readouterr().err
    assert told.count("listen_in_vain") == 1
    assert "DATABASE_LISTEN_URL" in told


async def test_on_the_server_itself_nothing_is_said(postgres_url: str, capfd: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", json=True)
    async with _listening(postgres_url, probe_seconds=0.1) as heard:
        assert await _next(heard) is None
        await asyncio.sleep(0.5)
    assert capfd.readouterr().err == ""
    assert logging.getLogger().handlers


def test_a_direct_url_that_is_none_is_named_without_its_password() -> None:
    usual = parse_url("postgresql://someone@server/bots")
    assert listen_url("", usual) == usual
    with pytest.raises(FatalError, match="DATABASE_LISTEN_URL names 'mysql'"):
        listen_url("mysql://someone:hunter2@server/bots", usual)
