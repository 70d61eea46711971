"""What a bot's tables say beyond its row: the open position, which document it runs, who is halted. It only reads."""

from collections.abc import Iterable

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.models.figures import Figures, OpenPosition
from bot_core.models.halt import Halt
from bot_core.schema import bots, orders, positions, state
from bot_core.store.database import Database
from bot_core.store.halts import active_halts

#: An order in one of these states may still become something.
_OPEN = ("intended", "submitted", "unknown", "open")


class ProjectionStore:
    def __init__(self, database: Database) -> None:
        self.database = database

    async def figures(self, ids: Iterable[int] | None = None) -> dict[int, Figures]:
        """Figures of all bots, or of those of the ids; a bot of which nothing is known is absent."""
        wanted = None if ids is None else list(ids)
        async with self.database.read() as connection:
            open_positions = await _open_positions(connection, wanted)
            hashes = await _config_hashes(connection, wanted)
            ordering = await _with_open_orders(connection, wanted)
        known = open_positions.keys() | hashes.keys() | ordering
        return {bot_id: Figures(open_positions.get(bot_id), hashes.get(bot_id), bot_id in ordering) for bot_id in known}

    async def halts(self) -> list[Halt]:
        """The halts that stand, whomever they are for."""
        async with self.database.read() as connection:
            return await active_halts(connection)

    async def any_bot(self) -> bool:
        """Whether the table of bots holds any row at all."""
        async with self.database.read() as connection:
            return await connection.scalar(select(bots.c.id).limit(1)) is not None


async def _open_positions(connection: AsyncConnection, ids: list[int] | None) -> dict[int, OpenPosition]:
    table = positions.c
    query = select(table.bot_id, table.symbol, table.direction, table.qty_open, table.avg_price)
    # No constraint keeps a bot to one open position: the newest is shown.
    query = query.where(table.status == "open", table.qty_open != 0).order_by(table.id)
    if ids is not None:
        query = query.where(table.bot_id.in_(ids))
    rows = await connection.execute(query)
    return {row.bot_id: OpenPosition(row.symbol, row.direction, row.qty_open, row.avg_price) for row in rows}


async def _config_hashes(connection: AsyncConnection, ids: list[int] | None) -> dict[int, str]:
    query = select(state.c.bot_id, state.c.config_hash).where(state.c.config_hash.is_not(None))
    if ids is not None:
        query = query.where(state.c.bot_id.in_(ids))
    return {row.bot_id: row.config_hash for row in await connection.execute(query)}


async def _with_open_orders(connection: AsyncConnection, ids: list[int] | None) -> set[int]:
    # Bot by bot through the index, since the journal keeps every order that there ever was.
    found = exists().where(orders.c.bot_id == bots.c.id, orders.c.state.in_(_OPEN))
    query = select(bots.c.id).where(found)
    if ids is not None:
        query = query.where(bots.c.id.in_(ids))
    return set(await connection.scalars(query))
