"""The last document of a bot that was valid and ran: what it keeps running on when its row turns invalid."""

from typing import Any

from sqlalchemy import select

from bot_core.schema import state
from bot_core.store.database import Database


async def last_good_document(database: Database, bot_id: int) -> Any:
    """The document, or None where the bot never ran."""
    async with database.read() as connection:
        return await connection.scalar(select(state.c.config).where(state.c.bot_id == bot_id))
