"""`bot_halts`: the kill switch. A halt is latched: it stands until somebody clears it, whatever restarts meanwhile.

Bots learn of it by their heartbeat. On PostgreSQL a notification in the same transaction wakes whoever listens.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.models.halt import Halt, HaltScope
from bot_core.schema import bots, events, halts
from bot_core.store.database import Database
from bot_core.store.listen import CHANNEL

_LONGEST_REASON = 500  # it is shown in messages, Events and conditions, which are bounded
_STANDS = halts.c.cleared_at.is_(None)
#: What is committed together with a halt, or not at all.
Also = Callable[[AsyncConnection], Awaitable[None]]


class HaltStore:
    def __init__(self, database: Database) -> None:
        self.database = database

    async def halt(
        self,
        scope: HaltScope,
        target_id: int | None,
        *,
        flatten: bool,
        reason: str,
        by: str,
        also: Also | None = None,
    ) -> Halt:
        """Latch a halt, whatever others stand; `target_id` is the bot's or the user's id, None for all."""
        values = {
            "scope": scope,
            "target_id": target_id,
            "flatten": flatten,
            "reason": reason[:_LONGEST_REASON],
            "created_by": by[:100],
            "created_at": datetime.now(UTC),
        }
        async with self.database.write() as connection:
            row = (await connection.execute(insert(halts).values(values).returning(halts))).one()
            halt = _halt(row._mapping)  # noqa: SLF001  # the documented way to a mapping
            new = {"halt": halt.id, "scope": scope, "flatten": flatten}
            await self._tell(connection, scope, target_id, kind="halted", message=str(halt), by=by, old=None, new=new)
            if also is not None:
                await also(connection)
            return halt

    async def resume(self, scope: HaltScope, target_id: int | None, *, by: str, also: Also | None = None) -> int:
        """Clear the halts of exactly this scope and target; others stand. Returns how many were cleared."""
        this = halts.c.target_id.is_(None) if target_id is None else halts.c.target_id == target_id
        cleared = {"cleared_at": datetime.now(UTC), "cleared_by": by[:100]}
        async with self.database.write() as connection:
            result = await connection.execute(
                update(halts).where(_STANDS, halts.c.scope == scope, this).values(cleared).returning(halts.c.id)
            )
            ids = sorted(result.scalars())
            if ids:
                old = {"halts": ids, "scope": scope}
                message = f"resumed by {by}"
                await self._tell(
                    connection, scope, target_id, kind="resumed", message=message, by=by, old=old, new=None
                )
            if also is not None:
                await also(connection)
            return len(ids)

    async def active(self) -> list[Halt]:
        """The halts that stand, oldest first."""
        async with self.database.read() as connection:
            return await active_halts(connection)

    async def _tell(
        self,
        connection: AsyncConnection,
        scope: HaltScope,
        target_id: int | None,
        *,
        kind: str,
        message: str,
        by: str,
        old: Any,
        new: Any,
    ) -> None:
        """Note it for each bot that it concerns, and wake whoever runs them."""
        concerned = await _concerned(connection, scope, target_id)
        event = {
            "at": datetime.now(UTC),
            "kind": kind,
            "actor": by[:100],
            "message": message,
            "old_value": old,
            "new_value": new,
        }
        if concerned:
            await connection.execute(insert(events), [event | {"bot_id": bot_id} for bot_id in concerned])
        if not self.database.is_sqlite:
            # What is no number means "look at everything" to whoever listens.
            for payload in [str(scope)] if scope is HaltScope.ALL else map(str, concerned):
                await connection.execute(select(func.pg_notify(CHANNEL, payload)))


async def active_halts(connection: AsyncConnection) -> list[Halt]:
    """The halts that stand, oldest first."""
    rows = (await connection.execute(select(halts).where(_STANDS).order_by(halts.c.id))).mappings()
    return [_halt(row) for row in rows]


async def _concerned(connection: AsyncConnection, scope: HaltScope, target_id: int | None) -> list[int]:
    query = select(bots.c.id).order_by(bots.c.id)
    if scope is not HaltScope.ALL:
        query = query.where((bots.c.user_id if scope is HaltScope.USER else bots.c.id) == target_id)
    return [*await connection.scalars(query)]


def _halt(row: Mapping[Any, Any]) -> Halt:
    return Halt(
        id=row["id"],
        scope=HaltScope(row["scope"]),
        flatten=bool(row["flatten"]),
        reason=row["reason"] or "",
        created_by=row["created_by"],
        created_at=row["created_at"],
        target_id=row["target_id"],
    )
