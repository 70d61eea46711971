"""The newest of one bot: what happened to it, its orders, its trades. It only reads."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, select

from bot_core.schema import events, orders, trades
from bot_core.store.looking import LookingDatabase

_MOST = 30


@dataclass(frozen=True, slots=True)
class BotDetail:
    """Rows as the tables hold them, newest first."""

    bot_id: int
    events: tuple[dict[str, Any], ...] = ()
    orders: tuple[dict[str, Any], ...] = ()
    trades: tuple[dict[str, Any], ...] = ()


async def read_detail(database: LookingDatabase, bot_id: int) -> BotDetail:
    """Raises as `Database.read` does."""
    found = []
    async with database.look() as connection:
        for table in (events, orders, trades):
            rows = await connection.execute(_newest(table, bot_id))
            found.append(tuple(dict(row) for row in rows.mappings()))
    return BotDetail(bot_id, *found)


def _newest(table: Table, bot_id: int) -> Any:
    return select(table).where(table.c.bot_id == bot_id).order_by(table.c.id.desc()).limit(_MOST)
