"""The queue of messages as a person looks at it: what waits, what was given up, and another try. It sends nothing."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.models.queued_message import QueuedMessage
from bot_core.schema import bots, delivery_status, messages
from bot_core.store.database import Database
from bot_core.store.events import record_event
from bot_core.store.message_queue import UNKNOWN


async def list_messages(connection: AsyncConnection, status: str | None, limit: int) -> list[dict[str, Any]]:
    """The newest first; `status` as the table has it, None for all."""
    columns = (
        messages.c.id, messages.c.status, messages.c.message_type, messages.c.priority, messages.c.channels,
        messages.c.recipient_id, messages.c.content, messages.c.created_at, messages.c.scheduled_for,
        messages.c.retry_count, messages.c.last_error,
    )  # fmt: skip
    query = select(*columns).order_by(messages.c.id.desc()).limit(limit)
    if status is not None:
        query = query.where(messages.c.status == status)
    return [dict(row) for row in (await connection.execute(query)).mappings()]


async def retry_messages(database: Database, ids: Sequence[int], *, by: str) -> list[int]:
    """Queue given-up messages again, with all their retries. Returns those that were; others are not given up.

    What may have arrived before is sent as a repetition; what has arrived on one channel is sent on the others only.
    """
    given_up = select(messages).where(messages.c.id.in_(ids), messages.c.status.in_(("FAILED", "CANCELLED")))
    async with database.write() as connection:
        rows = [*(await connection.execute(given_up.with_for_update())).mappings()]
        done = [int(row["id"]) for row in rows]
        if not done:
            return []
        these = delivery_status.c.message_id.in_(done) & delivery_status.c.status.in_(("FAILED", "BOUNCED"))
        unknown = delivery_status.c.error_message.startswith(UNKNOWN, autoescape=True)
        await connection.execute(update(delivery_status).where(these, unknown).values(status="PENDING"))
        await connection.execute(delete(delivery_status).where(these))
        # What has expired would expire again by its age alone, were it not scheduled anew.
        anew = {"status": "PENDING", "retry_count": 0, "scheduled_for": database.now(), "processed_at": None}
        await connection.execute(update(messages).where(messages.c.id.in_(done)).values(anew))
        for row in rows:
            await _tell(connection, QueuedMessage.of(row, None), by)
    return sorted(done)


async def _tell(connection: AsyncConnection, message: QueuedMessage, by: str) -> None:
    bot_id = message.metadata.get("bot_id")
    if isinstance(bot_id, int) and await connection.scalar(select(exists().where(bots.c.id == bot_id))):
        text = f"message {message.id} ({message.message_type}) is to be delivered again"
        await record_event(connection, bot_id, "notification_retried", text, actor=by, new={"message": message.id})
