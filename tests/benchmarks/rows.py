"""Rows of many bots at once."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any

from sqlalchemy import insert, literal, select

from bot_core.schema import bots, state
from bot_core.schema.types import AwareUTC
from bot_core.store.bots import BotStore
from bot_core.store.database import Database


async def insert_bots(url: str, documents: Sequence[Mapping[str, Any]], *, cursor: datetime | None = None) -> list[int]:
    """Return their ids. With a `cursor` they have run before, up to that bar."""
    async with aclosing(Database(url)) as database:
        user = await BotStore(database, actor="benchmark").user("trader@example.com")
        row = {"user_id": user, "status": "enabled", "error_count": 0}
        async with database.write() as connection:
            if documents:
                await connection.execute(insert(bots), [row | {"config": document} for document in documents])
            if cursor is not None:
                at = select(bots.c.id, literal(cursor, AwareUTC()), literal(cursor, AwareUTC()))
                await connection.execute(insert(state).from_select(["bot_id", "cursor", "updated_at"], at))
            return [*await connection.scalars(select(bots.c.id).order_by(bots.c.id))]
