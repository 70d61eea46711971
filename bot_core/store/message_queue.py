"""`msg_messages` as a queue: rows are claimed, a send is noted before it begins, and what became of it afterwards.

Each channel of a row has a state of its own in `msg_delivery_status`. One that is PENDING there is a send that began
and of which no end is known: whoever finds it repeats it under the same key. It sends nothing, chooses no recipient.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, case, delete, exists, func, insert, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.models.queued_message import QueuedMessage
from bot_core.schema import bots, delivery_status, messages
from bot_core.store.database import Database
from bot_core.store.duties import Duty
from bot_core.store.events import record_event

_log = structlog.get_logger(__name__)
#: Locks of this dispatcher begin with it. Of those only the newest epoch can be alive.
OWN_LOCKS = "tradingbot-dispatch/"
FOREIGN_LOCK_SECONDS = 300.0
EXPIRE_SECONDS = 3 * 86_400.0
#: What `error_message` of a channel begins with that was given up while it was not known whether a send had arrived.
UNKNOWN = "unknown whether it arrived: "
_SETTLED = ("SENT", "DELIVERED", "FAILED", "BOUNCED")
_ARRIVED = ("SENT", "DELIVERED")
_LONGEST_ERROR = 1000
_AT_A_TIME = 5000
_RANKS = {"CRITICAL": 0, "HIGH": 1, "NORMAL": 2, "LOW": 3}
_RANK = case(_RANKS, value=messages.c.priority, else_=4)
_FREE: dict[str, Any] = {"locked_by": None, "locked_at": None}


class MessageQueue:
    """The queue as the holder of a duty uses it. Errors passed to it must hold no secret."""

    def __init__(self, database: Database, duty: Duty, holder: str, *, expire_seconds: float = EXPIRE_SECONDS) -> None:
        self.database = database
        self.duty = duty
        self.locked_by = f"{OWN_LOCKS}{duty.epoch}/{holder}"[:100]
        self._expire_seconds = expire_seconds

    async def reclaim(self, channels: Collection[str]) -> int:
        """Take back what an earlier epoch left locked, and other programs for five minutes; cancel what has expired.

        What another program had begun may have arrived: it is sent again as a repetition. Returns how many were freed.
        """
        ours = messages.c.locked_by.startswith(OWN_LOCKS, autoescape=True)
        lapsed = messages.c.locked_at < self.database.after(-FOREIGN_LOCK_SECONDS)
        stuck = or_(ours & (messages.c.locked_by != self.locked_by), ~ours & lapsed)
        query = select(messages).where(messages.c.status == "PROCESSING", stuck, self._has_any(channels))
        async with self.database.write() as connection:
            await self.duty.check(connection)
            rows = [*(await connection.execute(query.with_for_update(skip_locked=True))).mappings()]
            for row in rows:
                if not str(row["locked_by"]).startswith(OWN_LOCKS):
                    await self._note_unknown(connection, row)
            await self._set(connection, [row["id"] for row in rows], status="PENDING", **_FREE)
        await self._expire(channels)
        return len(rows)

    async def waiting(self, channels: Iterable[str]) -> set[str]:
        """The channels for which something is due."""
        async with self.database.snapshot() as connection:
            named = await _channels(connection)
            found = {
                name: name in named and await connection.scalar(select(exists().where(self._due(name))))
                for name in channels
            }
        return {name for name, due in found.items() if due}

    async def backlog(self, channels: Iterable[str]) -> dict[str, tuple[int, float]]:
        """How many rows wait for each channel, and for how many seconds the oldest has been due."""
        now = self.database.now()
        async with self.database.snapshot() as connection:
            named = await _channels(connection)
            result = dict.fromkeys(channels, (0, 0.0))
            for name in named & result.keys():
                this = messages.c.status.in_(("PENDING", "PROCESSING")) & self._open(name)
                oldest, count, at = (
                    await connection.execute(select(func.min(messages.c.scheduled_for), func.count(), now).where(this))
                ).one()
                age = 0.0 if oldest is None else max(0.0, (at - oldest).total_seconds())
                result[name] = (int(count), age)
        return result

    async def claim(self, channel: str, limit: int) -> list[QueuedMessage]:
        """Lock what is due for a channel, the most urgent first. Raises LeaseLostError."""
        order = (_RANK, messages.c.scheduled_for, messages.c.id)
        # The whole queue is gone through in a transaction that keeps nobody waiting; what was found is looked at again.
        async with self.database.snapshot() as connection:
            first = select(messages.c.id).where(self._due(channel)).order_by(*order).limit(limit)
            found = [*await connection.scalars(first)]
        due = select(messages).where(messages.c.id.in_(found), self._due(channel)).order_by(*order)
        async with self.database.write() as connection:
            await self.duty.check(connection)
            rows = [*(await connection.execute(due.with_for_update(skip_locked=True))).mappings()]
            attempts = await self._attempts(connection, [row["id"] for row in rows], channel)
            rows += await self._companions(connection, channel, attempts)
            attempts |= await self._attempts(connection, [row["id"] for row in rows], channel)
            await self._set(
                connection,
                [row["id"] for row in rows],
                status="PROCESSING",
                locked_by=self.locked_by,
                locked_at=self.database.now(),
            )
        return [QueuedMessage.of(row, attempts.get(row["id"])) for row in rows]

    async def earlier(self, rows: Sequence[QueuedMessage], seconds: float) -> list[QueuedMessage]:
        """Messages to the same recipients of up to `seconds` before: those that were delivered, or are to be."""
        since = min(row.created_at for row in rows) - timedelta(seconds=seconds)
        query = (
            select(messages)
            .where(
                messages.c.created_at >= since,
                messages.c.id < max(row.id for row in rows),
                messages.c.recipient_id.in_({row.recipient_id for row in rows}),
                messages.c.status.in_(("PENDING", "PROCESSING", "DELIVERED")),
            )
            .order_by(messages.c.id.desc())
            .limit(500)
        )
        async with self.database.snapshot() as connection:
            return [QueuedMessage.of(row, None) for row in (await connection.execute(query)).mappings()]

    async def begin(self, ids: Sequence[int], channel: str, key: str) -> bool:
        """Note that a send begins. False where it must not: a row was taken from us, or its channel is settled."""
        async with self.database.write() as connection:
            await self.duty.check(connection)
            if len(await self._held(connection, ids)) != len(ids):
                return False
            if await connection.scalar(select(exists().where(_state(ids, channel, _SETTLED)))):
                return False
            begun = {*await connection.scalars(select(delivery_status.c.message_id).where(_begun(ids, channel)))}
            values = {"channel": channel, "status": "PENDING", "external_id": key}
            new = [values | {"message_id": message_id} for message_id in ids if message_id not in begun]
            if new:
                await connection.execute(insert(delivery_status), new)
        return True

    async def delivered(self, ids: Sequence[int], channel: str, external_id: str | None, milliseconds: int) -> None:
        """Whoever holds the duty by now: it has arrived, and that is noted."""
        values: dict[str, Any] = {
            "status": "DELIVERED",
            "delivered_at": self.database.now(),
            "response_time_ms": milliseconds,
            "error_message": None,
        }
        if external_id:
            values["external_id"] = external_id[:255]
        async with self.database.write() as connection:
            await connection.execute(update(delivery_status).where(_begun(ids, channel)).values(values))
            await self._finish(connection, ids)

    async def failed(self, ids: Sequence[int], channel: str, error: str) -> None:
        """Give a channel up for good: a dead letter, told in `bot_events`. Rows that were taken from us are left."""
        async with self.database.write() as connection:
            ids = sorted(await self._held(connection, ids))
            begun = {*await connection.scalars(select(delivery_status.c.message_id).where(_begun(ids, channel)))}
            await connection.execute(
                update(delivery_status).where(_begun(ids, channel)).values(status="FAILED", error_message=_cut(error))
            )
            values = {"channel": channel, "status": "FAILED", "error_message": _cut(error)}
            new = [values | {"message_id": message_id} for message_id in ids if message_id not in begun]
            if new:
                await connection.execute(insert(delivery_status), new)
            await self._finish(connection, ids, error=f"{channel}: {error}")
            await self._tell(connection, ids, channel, error)

    async def postpone(
        self,
        rows: Sequence[QueuedMessage],
        channel: str,
        error: str,
        *,
        seconds: float = 0.0,
        counted: bool = False,
        unknown: bool = False,
    ) -> None:
        """Try again later. `counted`: it uses up a retry; `unknown`: it may have arrived."""
        values: dict[str, Any] = {"status": "PENDING", "last_error": _cut(f"{channel}: {error}"), **_FREE}
        if seconds:
            values["scheduled_for"] = self.database.after(seconds)
        if counted:
            values["retry_count"] = messages.c.retry_count + 1
        async with self.database.write() as connection:
            # What certainly did not arrive leaves nothing behind, unless an earlier send may have. A row that was taken
            # from us may be on its way again: the note of that is not ours.
            held = await self._held(connection, [row.id for row in rows])
            sure = [] if unknown else [row.id for row in rows if row.attempt is None and row.id in held]
            if sure:
                await connection.execute(delete(delivery_status).where(_begun(sure, channel)))
            await self._set(connection, [row.id for row in rows], mine=self.locked_by, **values)

    async def release(self, ids: Sequence[int]) -> None:
        """Let go of rows with which nothing was begun. One that another holder of the duty has settled is done."""
        async with self.database.write() as connection:
            await self._finish(connection, ids)

    async def cancel(self, ids: Sequence[int], why: str) -> None:
        async with self.database.write() as connection:
            values = {"status": "CANCELLED", "last_error": _cut(why), "processed_at": self.database.now(), **_FREE}
            await self._set(connection, ids, mine=self.locked_by, **values)

    def _has(self, channel: str) -> ColumnElement[bool]:
        """Whether a row's `channels` has this name."""
        if not self.database.is_sqlite:
            return literal(channel) == func.any(messages.c.channels)
        names = func.json_each(messages.c.channels).table_valued("value")
        return exists(select(names.c.value).where(names.c.value == channel))

    def _has_any(self, channels: Collection[str]) -> ColumnElement[bool]:
        return or_(literal(False), *(self._has(name) for name in channels))

    def _open(self, channel: str) -> ColumnElement[bool]:
        """Whether the row is for this channel, which is not settled."""
        return self._has(channel) & ~exists().where(
            delivery_status.c.message_id == messages.c.id,
            delivery_status.c.channel == channel,
            delivery_status.c.status.in_(_SETTLED),
        )

    def _due(self, channel: str) -> ColumnElement[bool]:
        due = messages.c.scheduled_for <= self.database.now()
        return (messages.c.status == "PENDING") & due & self._open(channel)

    async def _held(self, connection: AsyncConnection, ids: Sequence[int]) -> set[int]:
        """Which of the rows are still ours; they are locked."""
        mine = select(messages.c.id).where(messages.c.id.in_(ids), messages.c.locked_by == self.locked_by)
        return {*await connection.scalars(mine.with_for_update())}

    async def _attempts(self, connection: AsyncConnection, ids: Sequence[int], channel: str) -> dict[int, str]:
        query = select(delivery_status.c.message_id, delivery_status.c.external_id).where(_begun(ids, channel))
        return {row.message_id: row.external_id or "" for row in await connection.execute(query)}

    async def _companions(
        self, connection: AsyncConnection, channel: str, attempts: Mapping[int, str]
    ) -> list[Mapping[Any, Any]]:
        """The rest of what was sent under one key: it is repeated as a whole."""
        keys = {key for key in attempts.values() if key}
        if not keys:
            return []
        began = (delivery_status.c.status == "PENDING") & (delivery_status.c.channel == channel)
        ids = select(delivery_status.c.message_id).where(began, delivery_status.c.external_id.in_(keys))
        rest = select(messages).where(
            messages.c.id.in_(ids), messages.c.id.not_in(attempts), messages.c.status == "PENDING"
        )
        return [*(await connection.execute(rest.with_for_update(skip_locked=True))).mappings()]

    async def _note_unknown(self, connection: AsyncConnection, row: Mapping[Any, Any]) -> None:
        found = QueuedMessage.of(row, None)
        for channel in found.channels:
            known = _state([found.id], channel, (*_SETTLED, "PENDING"))
            if not await connection.scalar(select(exists().where(known))):
                values = {"message_id": found.id, "channel": channel, "status": "PENDING", "external_id": found.key}
                await connection.execute(insert(delivery_status).values(values))

    async def _expire(self, channels: Collection[str]) -> None:
        """In short transactions: one over a whole queue might never come to its end, and no delivery to its beginning.

        No event of a bot tells of it: after a long outage there are too many.
        """
        limit = self.database.after(-self._expire_seconds)
        late = (messages.c.created_at < limit) & (messages.c.scheduled_for < limit)
        these = select(messages.c.id).where(messages.c.status == "PENDING", late, self._has_any(channels))
        values = {
            "status": "CANCELLED",
            "last_error": f"expired: not delivered in {self._expire_seconds / 86_400:g} days",
            "processed_at": self.database.now(),
        }
        expired, done = 0, _AT_A_TIME
        while done == _AT_A_TIME:
            async with self.database.write() as connection:
                await self.duty.check(connection)
                chosen = these.limit(_AT_A_TIME)
                done = (
                    await connection.execute(update(messages).where(messages.c.id.in_(chosen)).values(values))
                ).rowcount
            expired += done
        if expired:
            _log.error("messages_expired", messages=expired, channels=sorted(channels))

    async def _finish(self, connection: AsyncConnection, ids: Sequence[int], error: str | None = None) -> None:
        """A row is done when all its channels are; while another is open, it waits for whoever has that one."""
        free = or_(messages.c.locked_by == self.locked_by, messages.c.status == "PENDING")
        query = select(messages.c.id, messages.c.channels).where(messages.c.id.in_(ids), free)
        for message_id, channels in (await connection.execute(query.with_for_update())).all():
            settled = select(delivery_status.c.channel, delivery_status.c.status).where(
                delivery_status.c.message_id == message_id, delivery_status.c.status.in_(_SETTLED)
            )
            states = {row.channel: row.status for row in await connection.execute(settled)}
            values: dict[str, Any] = {"status": "PENDING", **_FREE}
            if set(channels or ()) <= states.keys():
                arrived = all(state in _ARRIVED for state in states.values())
                values |= {"status": "DELIVERED" if arrived else "FAILED", "processed_at": self.database.now()}
            if error is not None:
                values["last_error"] = _cut(error)
            await self._set(connection, [message_id], **values)

    async def _tell(self, connection: AsyncConnection, ids: Sequence[int], channel: str, error: str) -> None:
        query = select(messages).where(messages.c.id.in_(ids)).order_by(messages.c.id)
        for row in (await connection.execute(query)).mappings():
            found = QueuedMessage.of(row, None)
            bot_id = found.metadata.get("bot_id")
            if (
                not isinstance(bot_id, int)
                or await connection.scalar(select(bots.c.id).where(bots.c.id == bot_id)) is None
            ):
                continue
            new = {"message": found.id, "type": found.message_type, "channel": channel}
            correlation = found.metadata.get("correlation_id")
            await record_event(
                connection,
                bot_id,
                "notification_failed",
                _cut(f"message {found.id} ({found.message_type}) was not delivered by {channel}: {error}"),
                actor="dispatcher",
                new=new,
                correlation_id=None if correlation is None else str(correlation)[:64],
            )

    @staticmethod
    async def _set(connection: AsyncConnection, ids: Sequence[int], mine: str | None = None, **values: Any) -> None:
        if not ids:
            return
        these = update(messages).where(messages.c.id.in_(ids))
        await connection.execute((these if mine is None else these.where(messages.c.locked_by == mine)).values(values))


async def _channels(connection: AsyncConnection) -> set[str]:
    """All names in rows that wait: one pass over the queue, where asking for each name would be one each."""
    waits = messages.c.status.in_(("PENDING", "PROCESSING"))
    lists = await connection.scalars(select(messages.c.channels).where(waits).distinct())
    return {name for names in lists for name in names or ()}


def _state(ids: Sequence[int], channel: str, states: Sequence[str]) -> ColumnElement[bool]:
    return (
        delivery_status.c.message_id.in_(ids)
        & (delivery_status.c.channel == channel)
        & delivery_status.c.status.in_(states)
    )


def _begun(ids: Sequence[int], channel: str) -> ColumnElement[bool]:
    return _state(ids, channel, ("PENDING",))


def _cut(text: str) -> str:
    return text[:_LONGEST_ERROR]
