"""What all rows ask for, read at once and cheaply: ids, status and what switches a bot off, without the documents.

It decides nothing but what `desired_state` says of each row.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import Text, case, cast, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.models.bot import BotRow, BotStatus, desired_state
from bot_core.models.brake import TableState
from bot_core.models.errors import SchemaMissingError
from bot_core.schema import bots, leases
from bot_core.store.database import Database

#: Only a document that holds this word can switch its bot off; no other is carried over the wire.
_SWITCH = "%enabled%"


@dataclass(frozen=True)
class Wishes:
    """`wanted` ask to run; `stopped_lately` do not, and have stopped for it; `leased` are run by some process."""

    table: TableState
    wanted: frozenset[int] = frozenset()
    stopped_lately: frozenset[int] = field(default=frozenset())
    leased: frozenset[int] = field(default=frozenset())


async def read_wishes(database: Database) -> Wishes:
    """One query. A missing table is an answer; raises DatabaseUnavailableError where there is none."""
    try:
        async with database.read() as connection:
            return await _wishes(connection)
    except SchemaMissingError:
        return Wishes(TableState.MISSING)


async def read_fleet(database: Database, lately: float) -> Wishes:
    """The same with who runs (by the leases) and who was stopped in the last `lately` seconds, for one of many pods."""
    since = datetime.now(UTC) - timedelta(seconds=lately)
    try:
        async with database.read() as connection:
            wishes = await _wishes(connection)
            leased = await connection.scalars(select(leases.c.bot_id).where(leases.c.expires_at > database.now()))
            stopped = select(bots.c.id).where(bots.c.status == BotStatus.STOPPED, bots.c.updated_at >= since)
            lately_stopped = frozenset(await connection.scalars(stopped)) - wishes.wanted
            return Wishes(wishes.table, wishes.wanted, lately_stopped, frozenset(leased))
    except SchemaMissingError:
        return Wishes(TableState.MISSING)


async def _wishes(connection: AsyncConnection) -> Wishes:
    config, metadata = cast(bots.c.config, Text), cast(bots.c.extra_metadata, Text)
    query = select(
        bots.c.id,
        bots.c.user_id,
        bots.c.status,
        # A shutdown is no request, so the reason matters of those that stopped only.
        case((bots.c.status.ilike(f"%{BotStatus.STOPPED}%"), metadata)).label("extra_metadata"),
        case((config.like(_SWITCH), config)).label("config"),
    )
    rows = [BotRow.model_validate(dict(row)) for row in (await connection.execute(query)).mappings()]
    wanted = frozenset(row.id for row in rows if desired_state(row).run)
    return Wishes(TableState.FILLED if rows else TableState.EMPTY, wanted)
