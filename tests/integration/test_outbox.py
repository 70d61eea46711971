"""What is queued for whom, in the transaction of what it tells of: on both databases, with a bot that trades."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from bot_core.models.bot import BotStatus, Quarantine
from bot_core.models.config import parse_config
from bot_core.models.halt import Halt, HaltScope
from bot_core.models.recipients import CHAT_VARIABLE, EMAIL_VARIABLE
from bot_core.schema import auth_identities, bots, events, messages, trades, users
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_core.store.leases import Lease, LeaseStore
from bot_runtime.persistence.bot_journal import BotJournal
from support.bots import a_document, an_instance, insert_bot, run_to_the_end, surroundings

SHORT = {"data_source": "generated", "interval": "1h", "seed": 3, "speed": 0, "bars": 70}
ERRORS = {"error_notifications": True, "telegram_enabled": True, "email_enabled": True}


@pytest.fixture
async def database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    for name in (EMAIL_VARIABLE, CHAT_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    database = Database(database_url)
    yield database
    await database.aclose()


async def queued(database: Database, **wanted: Any) -> list[dict[str, Any]]:
    async with database.read() as connection:
        found = [dict(row) for row in (await connection.execute(select(messages).order_by(messages.c.id))).mappings()]
    return [row for row in found if all(row[name] == value for name, value in wanted.items())]


async def add_user(
    database: Database, role: str, email: str | None, *telegram: str, provider: str = "telegram"
) -> None:
    async with database.write() as connection:
        values = {"email": email, "role": role, "created_at": datetime.now(UTC)}
        user = (await connection.execute(insert(users).values(values).returning(users.c.id))).scalar_one()
        for identity in telegram:
            row = {"user_id": user, "provider": provider, "external_id": identity, "created_at": datetime.now(UTC)}
            await connection.execute(insert(auth_identities).values(row))


async def break_the_queue(database: Database) -> None:
    """A queue that takes no rows, as one of another make might."""
    async with database.write() as connection:
        if database.is_sqlite:
            await connection.execute(
                text("CREATE TRIGGER full BEFORE INSERT ON msg_messages BEGIN SELECT RAISE(ABORT, 'full'); END")
            )
        else:
            await connection.execute(text("ALTER TABLE msg_messages ADD CHECK (recipient_id = 'nobody') NOT VALID"))


async def a_bot(database: Database, notifications: Any, **changes: Any) -> int:
    return await insert_bot(database, a_document(notifications=notifications, data=SHORT, **changes))


async def the_lease(database: Database, bot_id: int) -> Lease:
    lease = await LeaseStore(database, "here").acquire(bot_id)
    assert lease is not None
    return lease


async def a_journal(database: Database, bot_id: int) -> BotJournal:
    row = await BotStore(database, actor="test").get(bot_id)
    assert row is not None
    config = parse_config(row.config).config
    assert config is not None
    leases, lease = LeaseStore(database, "here"), await the_lease(database, bot_id)
    return BotJournal(database, leases, lease, row, config, "paper", "b1-3f2a91c0-e1")


async def test_each_fill_is_told_on_each_channel_with_its_order_and_what_it_earned(database: Database) -> None:
    flags = {"position_opened": True, "position_closed": True, "telegram_enabled": True, "email_enabled": True}
    bot_id = await a_bot(database, flags | {"bot_events": False})
    await run_to_the_end(await an_instance(surroundings(database), bot_id))
    async with database.read() as connection:
        closed = [*await connection.execute(select(trades).where(trades.c.status == "closed").order_by(trades.c.id))]
    told = await queued(database, message_type="trade_exit")
    assert len(closed) >= 5
    assert [row["channels"] for row in told] == [["email"], ["telegram"]] * len(closed)
    for trade, row in zip(closed, told[::2], strict=True):
        about = row["metadata"]
        assert about["client_order_id"] == trade.extra_metadata["exit_order_id"]
        assert about["reason"] == trade.exit_reason
        assert Decimal(about["pnl"]) == trade.net_pnl
        assert about["holding_seconds"] == (trade.exit_time - trade.entry_time).total_seconds()
        assert row["content"]["title"] == "Position Closed: ETHUSDT"
        assert "(P&L: " in row["content"]["message"]
        assert row["content"]["message"].endswith(" (Paper Trading)")
    assert len(await queued(database, message_type="trade_entry")) in {2 * len(closed), 2 * len(closed) + 2}
    assert {row["recipient_id"] for row in await queued(database)} == {"1"}


async def test_a_trade_and_its_message_are_one_commit(database: Database) -> None:
    bot_id = await a_bot(database, {"position_opened": True, "telegram_enabled": True, "bot_events": False})
    seen: list[tuple[int, int]] = []

    class Watched(Database):
        """Looks at the committed tables whenever a transaction begins."""

        def write(self) -> Any:
            return _looked(super().write(), self, seen)

    watched = Watched(database.url.render_as_string(hide_password=False))
    try:
        await run_to_the_end(await an_instance(surroundings(watched), bot_id))
    finally:
        await watched.aclose()
    assert seen[-1][0] >= 5
    assert all(made == told for made, told in seen)


class _looked:  # noqa: N801  # a context manager around one
    def __init__(self, inner: Any, database: Database, seen: list[tuple[int, int]]) -> None:
        self._inner, self._database, self._seen = inner, database, seen

    async def __aenter__(self) -> Any:
        async with self._database.engine.begin() as connection:
            counts = [await connection.scalar(text(f"SELECT count(*) FROM {name}")) for name in _TABLES]
        self._seen.append((int(counts[0] or 0), int(counts[1] or 0)))
        return await self._inner.__aenter__()

    async def __aexit__(self, *error: object) -> Any:
        return await self._inner.__aexit__(*error)


_TABLES = ("trading_trades", "msg_messages")


async def test_a_queue_that_takes_nothing_loses_no_trade_and_no_error(database: Database) -> None:
    bot_id = await a_bot(database, ERRORS | {"position_opened": True, "position_closed": True})
    await add_user(database, "admin", "root@example.com", "900")
    await break_the_queue(database)
    await run_to_the_end(await an_instance(surroundings(database), bot_id))
    store = BotStore(database, actor="test")
    await store.failed(bot_id, "boom")
    row = await store.get(bot_id)
    assert row is not None
    assert row.extra_metadata["last_error"] == "boom"
    async with database.read() as connection:
        assert len([*await connection.execute(select(trades))]) >= 5
        assert [*await connection.scalars(select(events.c.message).where(events.c.kind == "error"))] == ["boom"]
    assert await queued(database) == []


async def test_an_owner_is_told_where_admins_can_not_be_looked_up(database: Database) -> None:
    bot_id = await a_bot(database, {"error_notifications": True, "telegram_enabled": True})
    async with database.write() as connection:
        await connection.execute(text("DROP TABLE usr_auth_identities"))
    store = BotStore(database, actor="test")
    await store.failed(bot_id, "boom")
    assert [row["recipient_id"] for row in await queued(database)] == ["1"]
    row = await store.get(bot_id)
    assert row is not None
    assert row.extra_metadata["last_error"] == "boom"


async def test_admins_get_a_copy_of_every_error_but_of_those_of_a_simulation(database: Database) -> None:
    await add_user(database, "admin", "root@example.com", "900", "901")
    await add_user(database, "admin", None, "-100902")
    await add_user(database, "admin", "local@example.com")
    await add_user(database, "admin", "odd@example.com", "x", provider="google")
    await add_user(database, "trader", "trader2@example.com", "903")
    silent = await a_bot(database, {"enabled": False})
    source = {"data_source": "file", "file_path": "bars.csv", "interval": "1h"}
    simulated = await insert_bot(database, a_document(data=source, notifications=ERRORS))
    store = BotStore(database, actor="test")
    await store.failed(silent, "boom")
    await store.failed(silent, "boom")  # the same again
    await store.failed(simulated, "boom")
    told = await queued(database)
    assert [(row["recipient_id"], row["channels"], row["metadata"].get("email_receiver")) for row in told] == [
        ("900", ["telegram"], None),
        ("900", ["email"], "root@example.com"),
        ("901", ["telegram"], None),
        ("901", ["email"], "root@example.com"),
        ("-100902", ["telegram"], None),
    ]
    for row in told:
        assert row["content"]["title"] == "Bot Error: a bot (admin)"
        assert row["metadata"]["admin_notification"] is True
        assert row["metadata"]["telegram_chat_id"] == row["recipient_id"]
        assert (row["message_type"], row["priority"], row["metadata"]["bot_id"]) == ("error", "CRITICAL", silent)


async def test_errors_of_each_kind_reach_owner_and_admins(database: Database) -> None:
    await add_user(database, "admin", None, "900")
    bot_id = await a_bot(database, {"error_notifications": True, "telegram_enabled": True})
    store, journal = BotStore(database, actor="test"), await a_journal(database, bot_id)
    await store.failed(bot_id, "kept", keep_status=True)
    await store.failed(bot_id, "too often", quarantine=Quarantine(5, "hash"))
    await journal.alert("alert", "rejected", client_order_id="tb1-en-1")
    told = [(row["recipient_id"], row["priority"], row["content"]["message"]) for row in await queued(database)]
    assert told == [
        (to, priority, f"[a bot] {words} (Paper Trading)")
        for words, priority in (("kept", "HIGH"), ("too often", "CRITICAL"), ("rejected", "HIGH"))
        for to in ("2", "900")
    ]
    about = (await queued(database))[-1]["metadata"]
    assert (about["correlation_id"], about["client_order_id"]) == ("b1-3f2a91c0-e1", "tb1-en-1")


@pytest.mark.parametrize(
    "config", [{}, {"notifications": []}, [], "text", {"notifications": {"error_notifications": 1}}]
)
async def test_an_error_of_a_document_that_can_not_be_read_is_told_to_admins(database: Database, config: Any) -> None:
    await add_user(database, "admin", None, "900")
    bot_id = await a_bot(database, ERRORS)
    async with database.write() as connection:
        await connection.execute(update(bots).where(bots.c.id == bot_id).values(config=config))
    await BotStore(database, actor="test").failed(bot_id, "unreadable")
    assert [row["recipient_id"] for row in await queued(database)] == ["900"]


async def test_addresses_of_the_environment_are_those_of_the_process_that_queues(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot_id = await a_bot(database, {"error_notifications": True})
    store = BotStore(database, actor="test")
    await store.failed(bot_id, "first")
    monkeypatch.setenv(CHAT_VARIABLE, "555")
    await store.failed(bot_id, "second")
    ((text_told, chat),) = [
        (row["content"]["message"], row["metadata"]["telegram_chat_id"]) for row in await queued(database)
    ]
    assert ("second" in text_told, chat) == (True, "555")


async def statuses(database: Database) -> list[str]:
    return [
        f"{row['content']['title']}: {row['metadata']['reason']}"
        for row in await queued(database, message_type="status")
    ]


async def test_starts_and_stops_are_told_where_somebody_asked_for_them(database: Database) -> None:
    bot_id = await a_bot(database, {"telegram_enabled": True})
    store, lease = BotStore(database, actor="test"), await the_lease(database, bot_id)

    async def start() -> None:
        assert await store.observe(lease, BotStatus.STARTING)
        assert await store.observe(lease, BotStatus.STARTING)  # the first try came to nothing
        assert await store.observe(lease, BotStatus.RUNNING)
        assert await store.observe(lease, BotStatus.RUNNING)  # said again after an error was mended

    await start()
    first = ["Bot Started: a bot: first"]
    assert await statuses(database) == first
    await store.stopped(bot_id, lease)  # a shutdown
    await start()
    await store.request(bot_id, BotStatus.RESTARTING)
    await start()
    assert await statuses(database) == first
    await store.request(bot_id, BotStatus.STOPPING)
    await store.stopped(bot_id, lease)
    await store.stopped(bot_id, lease)
    stopped = [*first, "Bot Stopped: a bot: request"]
    assert await statuses(database) == stopped
    await store.request(bot_id, BotStatus.STARTING)
    await start()
    assert await statuses(database) == [*stopped, "Bot Started: a bot: request"]
    await store.failed(bot_id, "too often", quarantine=Quarantine(5, "hash"))
    await store.request(bot_id, BotStatus.STARTING)
    await start()
    assert (await statuses(database))[3:] == ["Bot Started: a bot: quarantine"]
    row = await store.get(bot_id)
    assert row is not None
    assert row.extra_metadata.keys() <= {"restarted_at"}


async def test_nobody_is_told_of_starts_who_does_not_want_to(database: Database) -> None:
    bot_id = await a_bot(database, {"telegram_enabled": True, "bot_events": False})
    store, lease = BotStore(database, actor="test"), await the_lease(database, bot_id)
    for status in (BotStatus.STARTING, BotStatus.RUNNING):
        await store.observe(lease, status)
    assert await queued(database) == []


async def test_halts_are_told_once_and_their_end_too_also_by_another_process(database: Database) -> None:
    await add_user(database, "admin", None, "900")
    halts = {"risk_alerts": True, "telegram_enabled": True, "bot_events": False}
    bot_id, silent = await a_bot(database, halts), await a_bot(database, {"telegram_enabled": True})
    halt = Halt(3, HaltScope.ALL, flatten=True, reason="odd fills", created_by="me", created_at=datetime.now(UTC))
    for bot in (bot_id, silent):
        journal = await a_journal(database, bot)
        assert not await journal.released()
        await journal.obeyed(halt)
        await journal.obeyed(halt)
        journal = await a_journal(database, bot)
        assert await journal.released()
        assert not await journal.released()
    told = await queued(database)
    assert [(row["message_type"], row["recipient_id"], row["content"]["title"]) for row in told] == [
        ("alert", "2", "Trading Halted: a bot"),
        ("alert", "2", "Trading Resumed: a bot"),
    ]
    assert "odd fills; its position is closed" in told[0]["content"]["message"]
    assert told[0]["metadata"]["halt_id"] == 3


async def test_a_limit_is_told_once_a_cause_and_day_also_after_a_restart(database: Database) -> None:
    bot_id = await a_bot(database, {"risk_alerts": True, "telegram_enabled": True, "bot_events": False})
    for amount in (1, 2):
        journal = await a_journal(database, bot_id)
        await journal.limited("max_daily_loss", f"{amount} was lost")
        await journal.limited("max_exposure", f"{amount} is held")
    assert [row["metadata"]["limit"] for row in await queued(database)] == ["max_daily_loss", "max_exposure"]
    assert {row["content"]["title"] for row in await queued(database)} == {"Risk Limit: a bot"}


@pytest.mark.parametrize("alerts", [True, False])
async def test_a_bot_that_its_limits_keep_from_entries_tells_so_where_it_is_asked_to(
    sqlite_url: str, alerts: bool
) -> None:
    database = Database(sqlite_url)
    try:
        data = SHORT | {"bars": 300}
        flags = {"risk_alerts": alerts, "telegram_enabled": True, "bot_events": False}
        limits = {"max_daily_trades": 1, "max_daily_loss": 0.01}
        bot_id = await insert_bot(database, a_document(data=data, notifications=flags, risk_management=limits))
        await run_to_the_end(await an_instance(surroundings(database), bot_id))
        told = await queued(database)
        assert {row["message_type"] for row in told} == ({"alert"} if alerts else set())
        causes = [row["metadata"]["limit"] for row in told]
        assert len(causes) == len(set(causes)), "once a cause, however many days of bars were passed through"
        assert not alerts or "max_daily_trades" in causes
    finally:
        await database.aclose()


async def test_the_end_of_a_halt_that_came_while_no_process_ran_is_told_by_the_next_one(database: Database) -> None:
    bot_id = await a_bot(database, {"risk_alerts": True, "telegram_enabled": True, "bot_events": False})
    journal = await a_journal(database, bot_id)
    await journal.obeyed(
        Halt(3, HaltScope.ALL, flatten=False, reason="", created_by="me", created_at=datetime.now(UTC))
    )
    await LeaseStore(database, "here").release(journal.lease)
    for _ in range(2):
        await run_to_the_end(await an_instance(surroundings(database), bot_id))
    titles = [row["content"]["title"] for row in await queued(database)]
    assert titles == ["Trading Halted: a bot", "Trading Resumed: a bot"]
