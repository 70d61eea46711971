"""Whether a bot holds anything, as its tables say. It only reads."""

from collections.abc import Mapping

from sqlalchemy import select

from bot_core.schema import state
from bot_core.store.database import Database
from bot_core.store.journal import working_orders


async def is_flat(database: Database, bot_id: int) -> bool:
    """Neither a saved position nor an order that may still fill."""
    async with database.read() as connection:
        account = await connection.scalar(select(state.c.account).where(state.c.bot_id == bot_id))
        holds = isinstance(account, Mapping) and account.get("position") is not None
        return not holds and not await working_orders(connection, bot_id)
