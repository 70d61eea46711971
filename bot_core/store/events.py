"""`bot_events`: append what happened, read it back. Written in the transaction of what it tells of."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.correlation import bound_correlation
from bot_core.schema import events


async def record_event(
    connection: AsyncConnection,
    bot_id: int,
    kind: str,
    message: str,
    *,
    actor: str,
    old: Any = None,
    new: Any = None,
    correlation_id: str | None = None,
) -> None:
    """Append; without a correlation id, that of the tenure in which this task runs, if it runs in one."""
    values = {
        "bot_id": bot_id,
        "at": datetime.now(UTC),
        "kind": kind,
        "actor": actor[:100],
        "message": message,
        "old_value": old,
        "new_value": new,
        "correlation_id": correlation_id or bound_correlation(),
    }
    await connection.execute(insert(events).values(values))


async def recent_events(connection: AsyncConnection, bot_id: int, limit: int = 50) -> list[dict[str, Any]]:
    """The newest events of a bot, newest first."""
    query = select(events).where(events.c.bot_id == bot_id).order_by(events.c.id.desc()).limit(limit)
    return [dict(row) for row in (await connection.execute(query)).mappings()]
