from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from bot_core.models.halt import HaltScope
from bot_core.schema import auth_identities, duties, events, halts, users
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_core.store.halts import HaltStore
from bot_runtime.notifications.dispatcher import Dispatcher
from bot_runtime.notifications.metrics import NotificationFigures
from bot_runtime.notifications.telegram import TelegramNotifier
from bot_runtime.notifications.telegram_commands import TelegramCommands
from support.bots import a_document, insert_bot
from support.outgoing import QUICK, a_dispatcher, dispatching, eventually
from support.telegram_api import TOKEN, TelegramApi

TRADER, ADMIN, STRANGER = 501, 502, 503


@pytest.fixture
def api() -> Iterator[TelegramApi]:
    api = TelegramApi()
    yield api
    api.close()


async def person(database: Database, email: str, chat: int, role: str = "trader") -> int:
    user_id = await BotStore(database, actor="test").user(email)
    identity = {"user_id": user_id, "provider": "telegram", "external_id": str(chat)}
    async with database.write() as connection:
        await connection.execute(update(users).where(users.c.id == user_id).values(role=role))
        await connection.execute(insert(auth_identities).values(identity))
    return user_id


@asynccontextmanager
async def listening(database: Database, api: TelegramApi, **changes: Any) -> AsyncIterator[NotificationFigures]:
    environment = {"TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_API_URL": api.url}
    own = Database(database.url.render_as_string(False))
    figures = NotificationFigures()
    dispatcher = a_dispatcher(own, environment, figures=figures, rhythm=QUICK, **changes)
    notifier = dispatcher._notifiers["telegram"]
    assert isinstance(notifier, TelegramNotifier)
    dispatcher._commands = TelegramCommands(notifier.bot, own, figures, long_poll=1)
    async with dispatching(dispatcher):
        yield figures
    assert isinstance(dispatcher, Dispatcher)


async def standing(database: Database) -> list[tuple[HaltScope, int | None]]:
    return [(halt.scope, halt.target_id) for halt in await HaltStore(database).active()]


async def test_a_trader_halts_and_resumes_own_bots_and_sees_no_others(database: Database, api: TelegramApi) -> None:
    trader = await person(database, "trader@example.com", TRADER)
    mine = await insert_bot(database)
    theirs = await BotStore(database, actor="test").insert(
        a_document(name="theirs"), await person(database, "b@x.com", 9)
    )
    async with listening(database, api):
        api.write("/status", TRADER)
        (report,) = await eventually(lambda: api.said_to(TRADER), "a report")
        assert f"{mine} a bot" in report
        assert "theirs" not in report
        api.write(f"/halt {mine}", TRADER)
        api.write(f"/halt {theirs}", TRADER)
        api.write("/halt@bots_bot", TRADER)
        await eventually(lambda: len(api.said_to(TRADER)) == 4, "three answers")
        assert await standing(database) == [(HaltScope.BOT, mine), (HaltScope.USER, trader)]
        assert f"no bot of yours has the id {theirs}" in api.said_to(TRADER)[2]
        api.write("/resume all", TRADER)
        api.write(f"/resume {mine}", TRADER)
        await eventually(lambda: len(api.said_to(TRADER)) == 6, "two answers")
        assert await standing(database) == []
        async with database.read() as connection:
            actors = {*await connection.scalars(select(events.c.actor).where(events.c.kind.in_(("halted", "resumed"))))}
        assert actors == {f"user {trader} (Telegram)"}


async def test_an_admin_halts_all_bots_and_a_trader_can_not_lift_that(database: Database, api: TelegramApi) -> None:
    await person(database, "admin@example.com", ADMIN, "admin")
    await person(database, "trader@example.com", TRADER)
    await insert_bot(database)
    async with listening(database, api):
        api.write("/halt all", ADMIN)
        await eventually(lambda: api.said_to(ADMIN), "an answer")
        api.write("/resume all", TRADER)
        (answer,) = await eventually(lambda: api.said_to(TRADER), "an answer")
        assert "Still standing: halted (all bots)" in answer
        assert await standing(database) == [(HaltScope.ALL, None)]
        api.write("/resume", ADMIN)
        await eventually(lambda: len(api.said_to(ADMIN)) == 2, "an answer")
        assert await standing(database) == []


async def test_nobody_else_gets_any_answer(database: Database, api: TelegramApi) -> None:
    trader = await person(database, "trader@example.com", TRADER)
    gone = await person(database, "gone@example.com", 600)
    await insert_bot(database)
    async with database.write() as connection:
        await connection.execute(update(users).where(users.c.id == gone).values(is_active=False))
    async with listening(database, api) as figures:
        api.write("/halt all", STRANGER)
        api.write("/halt all", 600)
        api.write("/halt all", -100, kind="group", sender=TRADER)
        await eventually(lambda: figures.commands["ignored"] == 3, "three that were ignored")
        api.write("/help", TRADER)
        await eventually(lambda: api.said_to(TRADER), "the answer to the one who is known")
    assert {one.target for one in api.arrived} == {str(TRADER)}
    assert await standing(database) == []
    assert trader


async def test_a_resume_that_is_old_is_not_obeyed_and_a_halt_is(database: Database, api: TelegramApi) -> None:
    trader = await person(database, "trader@example.com", TRADER)
    await insert_bot(database)
    async with listening(database, api):
        api.write("/halt", TRADER, age=3600)
        api.write("/resume", TRADER, age=301)
        await eventually(lambda: len(api.said_to(TRADER)) == 2, "two answers")
    assert "older than 5 minutes" in api.said_to(TRADER)[1]
    assert await standing(database) == [(HaltScope.USER, trader)]


async def test_a_command_is_carried_out_once_though_telegram_tells_it_again_after_a_restart(
    database: Database, api: TelegramApi
) -> None:
    await person(database, "trader@example.com", TRADER)
    await insert_bot(database)
    api.write("/halt", TRADER)
    kept = [*api.updates]
    for _ in range(3):
        api.updates = [*kept, *api.updates]
        async with listening(database, api):
            before = len(api.said_to(TRADER))
            api.write("/help", TRADER)
            await eventually(lambda before=before: len(api.said_to(TRADER)) > before, "an answer", timeout=10)
            await eventually(lambda: "/status" in api.said_to(TRADER)[-1], "the help")
        api.updates = []
    async with database.read() as connection:
        assert len([*await connection.scalars(select(halts.c.id))]) == 1


async def test_an_update_that_can_not_be_handled_is_passed_over(
    database: Database, api: TelegramApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    await person(database, "trader@example.com", TRADER)
    obey = TelegramCommands._obey

    async def obey_some(self: TelegramCommands, message: Any, *rest: Any) -> str:
        if message.text == "/poison":
            raise ArithmeticError("a fault of ours")
        return await obey(self, message, *rest)

    monkeypatch.setattr(TelegramCommands, "_obey", obey_some)
    async with listening(database, api):
        api.write("/poison", TRADER)
        api.write("/help", TRADER)
        await eventually(lambda: api.said_to(TRADER), "an answer to the next")


@pytest.mark.parametrize(
    "memory",
    [
        {"telegram_offset": 900_000_000, "telegram_offset:77": [900_000_000, "2200-01-01T00:00:00+00:00"]},
        {"telegram_offset:123456": [900_000_000, "2020-01-01T00:00:00+00:00"]},
    ],
    ids=["another bot's", "a week old"],
)
async def test_an_offset_that_is_no_more_this_bots_hides_no_command(
    database: Database, api: TelegramApi, memory: dict[str, Any]
) -> None:
    await person(database, "trader@example.com", TRADER)
    async with database.write() as connection:
        values = {"name": "dispatch", "holder": "", "epoch": 1, "expires_at": database.now(), "memory": memory}
        await connection.execute(insert(duties).values(values))
    async with listening(database, api):
        for count in (1, 2):
            api.write("/help", TRADER)
            await eventually(lambda count=count: len(api.said_to(TRADER)) == count, "an answer", timeout=5)
