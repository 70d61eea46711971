"""How a row of `trading_bots` is read: whole, or as far as it can be. It writes nothing.

A value that can't be read (a date that is none, an amount that is no number) spoils itself and not its row: who runs
the bot, what it is asked for and what was told of it is known all the same.
"""

from typing import Any

from pydantic import ValidationError
from sqlalchemy import Row, Text, cast, select
from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.models.bot import BotRow
from bot_core.models.errors import first_line
from bot_core.schema import bots

#: What a `BotRow` is read from.
COLUMNS = (
    bots.c.id,
    bots.c.user_id,
    bots.c.status,
    bots.c.started_at,
    bots.c.last_heartbeat,
    bots.c.error_count,
    bots.c.current_balance,
    bots.c.total_pnl,
    # As text, so that a document that can't be parsed spoils its own row and not the reading of all.
    cast(bots.c.extra_metadata, Text).label("extra_metadata"),
    cast(bots.c.config, Text).label("config"),
    bots.c.description,
)


def parse_row(row: Row[*tuple[Any, ...]]) -> BotRow:
    return BotRow.model_validate(dict(row._mapping))  # noqa: SLF001  # the documented way to a mapping


def same_row(row: BotRow, seen: BotRow) -> bool:
    """Whether neither a person nor the bot itself has written to the row since it was seen."""
    return (row.status, row.last_heartbeat, row.config_hash) == (seen.status, seen.last_heartbeat, seen.config_hash)


async def one_row(connection: AsyncConnection, bot_id: int) -> BotRow | None:
    """A row as far as it can be read; `unreadable` says what of it can't."""
    return await _read(connection, bot_id, lock=False)


async def locked_row(connection: AsyncConnection, bot_id: int) -> BotRow | None:
    """A row as it is now, as far as it can be read, and stays until the transaction ends."""
    return await _read(connection, bot_id, lock=True)


async def _read(connection: AsyncConnection, bot_id: int, *, lock: bool) -> BotRow | None:
    query = select(*COLUMNS).where(bots.c.id == bot_id)
    try:
        row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
        return None if row is None else parse_row(row)
    except Exception as error:
        if not _of_a_value(error):
            raise
        return await _piecemeal(connection, bot_id, first_line(error))


def _of_a_value(error: Exception) -> bool:
    """Whether it is a value that can't be read, and not the database that does not answer or has no such table."""
    return isinstance(error, DataError) or not isinstance(error, (DBAPIError, OSError))


async def _piecemeal(connection: AsyncConnection, bot_id: int, problem: str) -> BotRow | None:
    """Column by column, without those that can't be read; the transaction's lock stands."""
    values: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for column in COLUMNS:
        try:
            found = (await connection.execute(select(column).where(bots.c.id == bot_id))).one_or_none()
        except Exception as error:
            if not _of_a_value(error):
                raise
            wrong[str(column.name)] = first_line(error)
            continue
        if found is None:
            return None
        values[column.name] = found[0]
    try:
        BotRow.model_validate(values)
    except ValidationError as error:
        wrong |= {str(item["loc"][0]): item["msg"] for item in error.errors()}
    told = "; ".join(f"{name}: {message}" for name, message in wrong.items()) or problem
    read = {name: value for name, value in values.items() if name not in wrong}
    return BotRow(**read, unreadable=f"a value of the row can't be read: {told}")
