"""Who owns bots. It makes nobody: `BotStore.user` does."""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.schema import bots, users


async def find_user(connection: AsyncConnection, name: str) -> int | None:
    """The id of the user with this id or address, or None where there is none."""
    this = users.c.id == int(name) if name.isdecimal() else func.lower(users.c.email) == name.lower()
    found = await connection.scalar(select(users.c.id).where(this).order_by(users.c.id).limit(1))
    return None if found is None else int(found)


async def known_bots(connection: AsyncConnection, ids: list[int]) -> list[int]:
    """Those of the ids that are bots."""
    return [*await connection.scalars(select(bots.c.id).where(bots.c.id.in_(ids)).order_by(bots.c.id))]
