"""Reading rows of `trading_bots` and writing what was observed of them back.

An observation never overwrites a request that was written meanwhile (`may_write`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Column, MetaData, String, Table, func, insert, inspect, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.models.bot import (
    REFUSED,
    REQUESTS,
    RESTARTED_AT,
    BotRow,
    BotStatus,
    Quarantine,
    StoppedBy,
    desired_state,
    may_write,
    stopped_by,
)
from bot_core.models.config import parse_config
from bot_core.models.errors import TradingBotError, first_line
from bot_core.models.recipients import Subject
from bot_core.schema import bots, users
from bot_core.store.database import Database
from bot_core.store.events import record_event
from bot_core.store.leases import Lease
from bot_core.store.lifecycle import START, start_reason, started_letter, stopped_letter, stops
from bot_core.store.outbox import Letter, error_letter, queue
from bot_core.store.rows import COLUMNS, locked_row, one_row, parse_row, same_row

_log = structlog.get_logger(__name__)
_MODE_COLUMN = "type"
_OLDER_BOTS = bots.to_metadata(MetaData())
_OLDER_BOTS.append_column(Column(_MODE_COLUMN, String(20), nullable=False))


class BotStore:
    """Rows in, status out. `actor` names who writes, for `bot_events`."""

    def __init__(self, database: Database, *, actor: str) -> None:
        self.database = database
        self.actor = actor

    async def all(self, ids: Iterable[int] | None = None) -> list[BotRow]:
        """Every row, or those of the ids; in the order of their ids."""
        query = select(*COLUMNS).order_by(bots.c.id)
        if ids is not None:
            query = query.where(bots.c.id.in_(list(ids)))
        try:
            async with self.database.read() as connection:
                return [parse_row(row) for row in await connection.execute(query)]
        except TradingBotError:
            raise
        except Exception as error:  # noqa: BLE001  # one value that can't be read must not hide the other rows
            _log.error("rows_unreadable", error=first_line(error))
            return await self._one_by_one(ids)

    async def _one_by_one(self, ids: Iterable[int] | None) -> list[BotRow]:
        plain = select(bots.c.id, bots.c.user_id, bots.c.status).order_by(bots.c.id)
        if ids is not None:
            plain = plain.where(bots.c.id.in_(list(ids)))
        async with self.database.read() as connection:
            known = (await connection.execute(plain)).all()
        rows: list[BotRow | None] = []
        for bot_id, user_id, status in known:
            try:
                async with self.database.read() as connection:
                    rows.append(await one_row(connection, bot_id))
            except TradingBotError:
                raise
            except Exception as error:  # noqa: BLE001  # this row's alone
                problem = f"the row can't be read: {first_line(error)}"
                rows.append(BotRow(id=bot_id, user_id=user_id, status=status, unreadable=problem))
        return [row for row in rows if row is not None]

    async def get(self, bot_id: int) -> BotRow | None:
        rows = await self.all([bot_id])
        return rows[0] if rows else None

    async def insert(self, document: Mapping[str, Any], user_id: int, *, description: str | None = None) -> int:
        """A new bot, `enabled`; returns the id that the database gave it."""
        name = document.get("description") or document.get("name")
        values = {
            "user_id": user_id,
            "status": BotStatus.ENABLED,
            "error_count": 0,
            "config": dict(document),
            "description": description or (str(name) if name else None),
            "created_at": datetime.now(UTC),
        }
        async with self.database.write() as connection:
            table = await _table(connection)
            if _MODE_COLUMN in table.c:
                values[_MODE_COLUMN] = _trading_mode(document)
            result = await connection.execute(insert(table).values(values).returning(table.c.id))
            return int(result.scalar_one())

    async def user(self, email: str) -> int:
        """The id of the user with this address, who is created if absent."""
        async with self.database.write() as connection:
            found = await connection.scalar(
                select(users.c.id).where(func.lower(users.c.email) == email.lower()).order_by(users.c.id).limit(1)
            )
            if found is not None:
                return int(found)
            values = {"email": email, "role": "trader", "is_active": True, "created_at": datetime.now(UTC)}
            return int((await connection.execute(insert(users).values(values).returning(users.c.id))).scalar_one())

    async def request(self, bot_id: int, status: BotStatus) -> bool:
        """Write a request (`enabled`, `disabled`, `starting`, `stopping`, `restarting`); False if there is no row."""
        async with self.database.write() as connection:
            row = await locked_row(connection, bot_id)
            if row is None:
                return False
            values = {"status": status, "updated_at": datetime.now(UTC)}
            await connection.execute(update(bots).where(bots.c.id == bot_id).values(values))
            await self._event(connection, bot_id, "requested", f"{status} was requested", row.status, status)
            return True

    async def observe(self, lease: Lease, status: BotStatus, *, keep_error: bool = False) -> bool:
        """Write `starting` or `running`, as the holder of the lease; False where the row asks for something else.

        With `keep_error` the row's last error stands, since the bot runs on a document other than the row's.
        Raises LeaseLostError when another process trades the bot.
        """
        bot_id = lease.bot_id
        async with self.database.write() as connection:
            await lease.check(connection)
            row = await locked_row(connection, bot_id)
            if row is None or row.quarantined or not may_write(row.status, status) or not desired_state(row).run:
                return False
            now = datetime.now(UTC)
            values: dict[str, Any] = {"status": status, "updated_at": now}
            metadata = {k: v for k, v in row.extra_metadata.items() if k not in {"stopped_by", "quarantined"}}
            if row.status == BotStatus.RESTARTING:
                metadata[RESTARTED_AT] = now.isoformat()
            began = start_reason(row)
            if status is BotStatus.RUNNING:
                values |= {"started_at": now, "last_heartbeat": now}
                gone = {START} if keep_error else {START, "last_error", "last_error_time"}
                metadata = {k: v for k, v in metadata.items() if k not in gone}
            elif began:
                metadata[START] = began  # told once the bot runs, by whichever process gets that far
            values["extra_metadata"] = metadata
            await connection.execute(update(bots).where(bots.c.id == bot_id).values(values))
            if row.status != status:
                await self._event(connection, bot_id, "status", f"the bot is {status}", row.status, status)
            if status is BotStatus.RUNNING and began:
                await self._tell(connection, row, partial(started_letter, row.name, began))
            return True

    async def stopped(self, bot_id: int, lease: Lease | None = None) -> StoppedBy | None:
        """Write `stopped` and why, which the row itself tells: a request, its document, or a shutdown.

        A runtime gives its lease, so that only who traded the bot says that it stopped. None if nothing was written:
        the row is gone, or asks for a start by now. Raises LeaseLostError.
        """
        async with self.database.write() as connection:
            if lease is not None:
                await lease.check(connection)
            row = await locked_row(connection, bot_id)
            if row is None:
                return None
            reason = stopped_by(row)
            if reason is StoppedBy.SHUTDOWN and row.quarantined:
                return None  # `stopped` would heal it
            if reason is StoppedBy.SHUTDOWN and row.status in {*REQUESTS, BotStatus.STARTING, BotStatus.ENABLED}:
                return None  # somebody wrote a request while we were leaving: it stands for the next process
            metadata = row.extra_metadata | {"stopped_by": reason}
            values = {"status": BotStatus.STOPPED, "extra_metadata": metadata, "updated_at": datetime.now(UTC)}
            await connection.execute(update(bots).where(bots.c.id == bot_id).values(values))
            await self._event(connection, bot_id, "stopped", f"the bot stopped: {reason}", row.status, "stopped")
            if stops(row, reason):
                await self._tell(connection, row, partial(stopped_letter, row.name, reason))
            return reason

    async def failed(
        self,
        bot_id: int,
        message: str,
        *,
        keep_status: bool = False,
        quarantine: Quarantine | None = None,
        seen: BotRow | None = None,
    ) -> None:
        """Write `error`, count it and say why; the same message twice in a row is written and counted once.

        With `keep_status` only the message is written: the bot keeps running on what was last good. With
        `quarantine` no process tries the bot again until its document changes or somebody asks for a start.
        With `seen` nothing is written over a row that is another by now.
        """
        async with self.database.write() as connection:
            row = await locked_row(connection, bot_id)
            if row is None or (seen is not None and not same_row(row, seen)):
                return
            # `error` asks to be run again, so it is never written to a row that asks to be stopped.
            may = not keep_status and may_write(row.status, BotStatus.ERROR) and desired_state(row).run
            same = row.extra_metadata.get("last_error") == message
            if same and quarantine is None and (not may or row.status == BotStatus.ERROR):
                return
            now = datetime.now(UTC)
            metadata = row.extra_metadata | {"last_error": message, "last_error_time": now.isoformat()}
            if quarantine is not None and may:
                metadata["quarantined"] = {"since": now.isoformat(), "error": message} | asdict(quarantine)
            values: dict[str, Any] = {"extra_metadata": metadata, "updated_at": now}
            values["error_count"] = (row.error_count or 0) + 1
            if may:
                values["status"] = BotStatus.ERROR
            await connection.execute(update(bots).where(bots.c.id == bot_id).values(values))
            kind = "error" if quarantine is None else "quarantined"
            await self._event(connection, bot_id, kind, message, row.status, values.get("status", row.status))
            priority = "CRITICAL" if may else "HIGH"  # it does not run
            await self._tell(connection, row, partial(error_letter, message, name=row.name, priority=priority))

    async def refused(self, bot_id: int, message: str) -> None:
        """Say what of a running bot's document its cluster does not allow; empty takes it back. Unchanged: no write.

        It is no `last_error`: the runtime, to which the document is valid, would take that for mended.
        """
        async with self.database.write() as connection:
            row = await locked_row(connection, bot_id)
            if row is None or row.extra_metadata.get(REFUSED, "") == message:
                return
            others = {key: value for key, value in row.extra_metadata.items() if key != REFUSED}
            values = {
                "extra_metadata": others | ({REFUSED: message} if message else {}),
                "updated_at": datetime.now(UTC),
            }
            await connection.execute(update(bots).where(bots.c.id == bot_id).values(values))
            if message:
                await self._event(connection, bot_id, "not_allowed", message, row.status, row.status)
                await self._tell(connection, row, partial(error_letter, message, name=row.name, priority="HIGH"))

    async def note(
        self, bot_id: int, kind: str, message: str, *, old: Any = None, new: Any = None, seen: BotRow | None = None
    ) -> None:
        """Append to `bot_events`; with `seen` not where the row is another by now."""
        async with self.database.write() as connection:
            if seen is not None:
                row = await locked_row(connection, bot_id)
                if row is None or not same_row(row, seen):
                    return
            await record_event(connection, bot_id, kind, message, actor=self.actor, old=old, new=new)

    @staticmethod
    async def _tell(connection: AsyncConnection, row: BotRow, write: Callable[[], Letter]) -> None:
        """Queue a letter in the transaction of what it tells of, which it never spoils."""
        await queue(connection, Subject.readable(row), write)

    async def _event(
        self, connection: AsyncConnection, bot_id: int, kind: str, message: str, old: str, new: str
    ) -> None:
        await record_event(connection, bot_id, kind, message, actor=self.actor, old=str(old), new=str(new))


async def _table(connection: AsyncConnection) -> Table:
    """The table as this database has it: an older one has a column `type`, NOT NULL, for the trading mode."""
    columns = await connection.run_sync(lambda sync: inspect(sync).get_columns(bots.name))
    return _OLDER_BOTS if any(column["name"] == _MODE_COLUMN for column in columns) else bots


def _trading_mode(document: Mapping[str, Any]) -> str:
    broker = (parse_config(document).canonical or {}).get("broker")
    mode = broker.get("trading_mode") if isinstance(broker, Mapping) else None
    return mode if mode == "live" else "paper"
