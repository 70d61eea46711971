"""Reports that are due: each once, whoever writes them and whenever it dies; on both databases."""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from bot_core.models.errors import LeaseLostError
from bot_core.schema import bots, duties, events, messages, positions, trades
from bot_core.store.database import Database
from bot_core.store.duties import Duty, DutyStore
from bot_runtime.notifications.summaries import UNTIL, SummaryWriter
from support.bots import a_document, insert_bot

DAILY = {"daily_summary": True, "telegram_enabled": True}
ALL = {"performance_summaries": ["daily", "weekly", "monthly"], "telegram_enabled": True, "email_enabled": True}
BERLIN = {"timezone": "Europe/Berlin"}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


async def the_duty(database: Database, holder: str = "pod:a") -> Duty:
    duty = await DutyStore(database, holder).acquire("dispatch")
    assert duty is not None
    return duty


async def a_bot(database: Database, notifications: Any, **changes: Any) -> int:
    bot_id = await insert_bot(database, a_document(notifications=notifications, **changes))
    async with database.write() as connection:
        made = {"created_at": at("2026-01-01T00:00"), "current_balance": Decimal("10050.25")}
        await connection.execute(update(bots).where(bots.c.id == bot_id).values(made))
    return bot_id


async def a_trade(database: Database, bot_id: int, closed: str | None, net: str = "10") -> None:
    values = {
        "bot_id": bot_id,
        "trade_type": "paper",
        "entry_logic_name": "in",
        "exit_logic_name": "out",
        "symbol": "ETHUSDT",
        "interval": "1h",
        "direction": "long",
        "entry_time": at("2026-03-01T00:00"),
        "entry_price": Decimal(2000),
        "size": Decimal("0.5"),
        "commission": Decimal(2),
        "status": "open" if closed is None else "closed",
        "created_at": at("2026-03-01T00:00"),
    }
    if closed is not None:
        gone = {"exit_time": at(closed), "exit_price": Decimal(2024), "net_pnl": Decimal(net), "exit_reason": "rule"}
        values |= gone
    async with database.write() as connection:
        await connection.execute(insert(trades).values(values))


async def queued(database: Database) -> list[dict[str, Any]]:
    async with database.read() as connection:
        return [dict(row) for row in (await connection.execute(select(messages).order_by(messages.c.id))).mappings()]


async def reports(database: Database) -> list[str]:
    """The first line of each message, without the bot's name."""
    return [row["content"]["message"].splitlines()[0].partition("] ")[2] for row in await queued(database)]


async def begin(database: Database, moment: str) -> tuple[SummaryWriter, Duty]:
    writer, duty = SummaryWriter(database), await the_duty(database)
    assert await writer.write_due(duty, at(moment)) == 0  # the first call ever only notes the time
    return writer, duty


async def test_a_day_is_reported_once_with_what_was_closed_in_it(database: Database) -> None:
    bot_id, silent = await a_bot(database, DAILY, scheduling=BERLIN), await a_bot(database, {"telegram_enabled": True})
    # The 29th of March begins at 23:00 UTC of the day before, and ends after 23 hours.
    for closed, net in (("2026-03-28T22:59:59", "1000"), ("2026-03-28T23:00", "10"), ("2026-03-29T21:59:59", "-4")):
        await a_trade(database, bot_id, closed, net)
    await a_trade(database, bot_id, "2026-03-29T22:00", "1000")
    await a_trade(database, bot_id, None)
    await a_trade(database, silent, "2026-03-29T12:00")
    async with database.write() as connection:
        held = {"bot_id": bot_id, "trade_type": "paper", "symbol": "ETHUSDT", "direction": "long", "status": "open"}
        more = {"qty_open": Decimal("0.5"), "avg_price": Decimal(2000)}
        await connection.execute(insert(positions).values(held | more))
    writer, duty = await begin(database, "2026-03-29T21:50")
    assert await writer.write_due(duty, at("2026-03-29T21:59:59")) == 0
    assert await writer.write_due(duty, at("2026-03-29T22:00:20")) == 1
    assert await writer.write_due(duty, at("2026-03-29T22:01:20")) == 0
    (row,) = await queued(database)
    assert row["content"]["message"].splitlines() == [
        "[a bot] Daily report of 2026-03-29 (Europe/Berlin)",
        "Trades closed: 2 (1 won, 1 lost; win rate 50.0%)",
        "Net P&L: +6.00, fees 4.00",
        "Profit factor: 2.50",
        "Best: +10.00 / +1.00%, held 27d 23h 0m, rule",
        "Worst: -4.00 / -0.40%, held 28d 21h 59m, rule",
        "Balance: 10,050.25",
        "Open position: 0.5 ETHUSDT @ 2000",
        "(Paper Trading)",
    ]
    assert (row["message_type"], row["channels"], row["recipient_id"]) == ("report", ["telegram"], "1")
    assert row["metadata"]["dedup_key"]
    async with database.read() as connection:
        noted = (await connection.execute(select(events).where(events.c.kind == "report"))).one()
    assert noted.new_value == {"period": "daily", "first": "2026-03-29", "last": "2026-03-29"}


async def test_a_month_of_calls_writes_each_period_once_across_the_change_of_clocks(database: Database) -> None:
    await a_bot(database, ALL, scheduling=BERLIN)
    writer, duty = await begin(database, "2026-03-22T12:00")
    now, written = at("2026-03-22T12:00"), 0
    while now < at("2026-04-02T12:00"):
        now += timedelta(minutes=55)
        written += await writer.write_due(duty, now)
    found = (await reports(database))[::2]
    days = [f"Daily report of 2026-03-{day}" for day in range(22, 32)] + ["Daily report of 2026-04-01"]
    weeks = [f"Weekly report of {week}" for week in ("2026-03-16 to 2026-03-22", "2026-03-23 to 2026-03-29")]
    expected = [*days, *weeks, "Monthly report of 2026-03-01 to 2026-03-31"]
    assert sorted(found) == sorted(f"{line} (Europe/Berlin)" for line in expected)
    assert written == len(expected)
    assert [row["channels"] for row in await queued(database)] == [["email"], ["telegram"]] * written


async def test_a_late_report_is_written_and_what_is_long_over_is_not(database: Database) -> None:
    await a_bot(database, DAILY)
    await begin(database, "2026-03-01T12:00")
    writer, duty = SummaryWriter(database), await the_duty(database)  # another process, weeks later
    assert await writer.write_due(duty, at("2026-03-20T09:00")) == 3
    assert await reports(database) == [f"Daily report of 2026-03-{day} (UTC)" for day in (17, 18, 19)]


async def test_a_bot_is_not_told_of_days_before_it_was_made_nor_one_that_stands_still(database: Database) -> None:
    new, stopped, traded = [await a_bot(database, DAILY, name=name) for name in ("new", "stopped", "traded")]
    async with database.write() as connection:
        made = {"created_at": at("2026-03-02T06:00")}
        await connection.execute(update(bots).where(bots.c.id == new).values(made))
        off = {"status": "disabled"}
        await connection.execute(update(bots).where(bots.c.id.in_([stopped, traded])).values(off))
    await a_trade(database, traded, "2026-03-01T18:00")
    writer, duty = await begin(database, "2026-03-01T12:00")
    assert await writer.write_due(duty, at("2026-03-02T09:00")) == 1
    assert (await queued(database))[0]["metadata"]["bot_id"] == traded


async def test_simulations_and_documents_that_name_no_channel_have_no_reports(database: Database) -> None:
    source = {"data_source": "file", "file_path": "bars.csv", "interval": "1h"}
    await a_bot(database, DAILY, data=source)
    await a_bot(database, {"daily_summary": True})
    await a_bot(database, DAILY | {"enabled": False})
    await a_bot(database, {"performance_summaries": "off", "telegram_enabled": True})
    await a_bot(database, DAILY, scheduling={"timezone": "Nowhere/At_All"})  # invalid, and told of in UTC
    writer, duty = await begin(database, "2026-03-01T12:00")
    assert await writer.write_due(duty, at("2026-03-02T00:01")) == 1
    assert await reports(database) == ["Daily report of 2026-03-01 (UTC)"]


async def test_who_lost_the_duty_writes_nothing_and_the_next_one_nothing_twice(database: Database) -> None:
    for name in ("one", "two", "three"):
        await a_bot(database, DAILY, name=name)
    first = DutyStore(database, "pod:a", seconds=0.01)
    duty = await first.acquire("dispatch")
    assert duty is not None
    writer = SummaryWriter(database)
    await writer.write_due(duty, at("2026-03-01T12:00"))
    taken = None
    while taken is None:
        taken = await DutyStore(database, "pod:b").acquire("dispatch")
    with pytest.raises(LeaseLostError):
        await writer.write_due(duty, at("2026-03-02T00:01"))
    assert await queued(database) == []
    both = [SummaryWriter(database).write_due(taken, at("2026-03-02T00:01")) for _ in range(2)]
    assert sum(await asyncio.gather(*both)) == 3
    assert len(await queued(database)) == 3


async def test_one_bot_whose_rows_are_odd_does_not_keep_the_reports_of_the_others(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    odd, good = await a_bot(database, DAILY, name="odd"), await a_bot(database, DAILY, name="good")
    for bot_id in (odd, good):
        await a_trade(database, bot_id, "2026-03-01T18:00")
    async with database.write() as connection:
        await connection.execute(text("UPDATE trading_trades SET size = 'much' WHERE bot_id = :odd"), {"odd": odd})
    writer, duty = await begin(database, "2026-03-01T12:00")
    assert await writer.write_due(duty, at("2026-03-02T00:01")) == 1
    assert [row["metadata"]["bot_id"] for row in await queued(database)] == [good]
    await database.aclose()


KILLED = """
import asyncio, os, signal, sys
from datetime import datetime
from bot_core.store.database import Database
from bot_core.store.duties import DutyStore
from bot_runtime.notifications.summaries import SummaryWriter

class Dying(Database):
    left = int(sys.argv[3])
    def write(self):
        Dying.left -= 1
        if Dying.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().write()

async def main():
    database = Dying(sys.argv[1])
    duty = await DutyStore(database, f"died:{os.getpid()}", seconds=0.01).acquire("dispatch")
    if duty is not None:
        await SummaryWriter(database).write_due(duty, datetime.fromisoformat(sys.argv[2]))

asyncio.run(main())
"""


def test_kill_nine_in_the_midst_of_it_loses_and_doubles_nothing(database_url: str) -> None:
    now = "2026-03-02T00:01:00+00:00"

    async def prepare() -> None:
        database = Database(database_url)
        for name in ("one", "two"):
            await a_bot(database, ALL, name=name)
        _, duty = await begin(database, "2026-03-01T12:00")
        await DutyStore(database, "pod:a").release(duty)
        await database.aclose()

    async def told() -> tuple[int, bool]:
        database = Database(database_url)
        try:
            async with database.read() as connection:
                memory = await connection.scalar(select(duties.c.memory))
            return len(await queued(database)), (memory or {}).get(UNTIL) == now
        finally:
            await database.aclose()

    asyncio.run(prepare())
    ended = []
    for left in range(3, 14, 2):
        done = subprocess.run([sys.executable, "-c", KILLED, database_url, now, str(left)], check=False, env=os.environ)
        ended.append(done.returncode)
    assert asyncio.run(told()) == (2 * 2 * 2, True)  # two bots, daily and weekly, two channels
    assert -signal.SIGKILL in ended
    assert ended[-1] == 0
