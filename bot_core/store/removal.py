"""Deleting a bot for good. Refused for one that runs, holds a position or has orders that a venue may still fill."""

from collections.abc import Collection, Mapping

from sqlalchemy import delete, exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.models.errors import TradingBotError
from bot_core.schema import bots, events, leases, state, trades, users
from bot_core.store.database import Database
from bot_core.store.events import record_event
from bot_core.store.journal import working_orders


async def count_trades(database: Database, bot_id: int) -> int:
    """How many trades go with a bot."""
    async with database.read() as connection:
        return await connection.scalar(select(func.count()).select_from(trades).where(trades.c.bot_id == bot_id)) or 0


async def remove_bot(database: Database, bot_id: int, *, actor: str, whatever_it_holds: bool = False) -> bool:
    """Delete the row and what refers to it, trades included; `bot_events` stays. False if there is no row.

    Raises TradingBotError naming what stands against it: then nothing is deleted. `whatever_it_holds` is for bots that
    can have nothing at a venue; a process that runs it stands against its removal all the same.
    """
    async with database.write() as connection:
        # No process can take the bot's first lease while its row is locked.
        if await connection.scalar(select(bots.c.id).where(bots.c.id == bot_id).with_for_update()) is None:
            return False
        obstacle = await _holder(database, connection, bot_id)
        if obstacle is None and not whatever_it_holds:
            obstacle = await _holdings(connection, bot_id)
        if obstacle is not None:
            raise TradingBotError(f"bot {bot_id} is not deleted: {obstacle}")
        await record_event(connection, bot_id, "deleted", "the row and its trades were deleted", actor=actor)
        await connection.execute(delete(bots).where(bots.c.id == bot_id))
        return True


async def remove_traces(database: Database, bot_ids: Collection[int], user_id: int) -> None:
    """Delete the events of bots that are gone, and their user if no bot is left to them."""
    async with database.write() as connection:
        gone = ~exists().where(bots.c.id == events.c.bot_id)
        await connection.execute(delete(events).where(events.c.bot_id.in_(bot_ids), gone))
        alone = ~exists().where(bots.c.user_id == users.c.id)
        await connection.execute(delete(users).where(users.c.id == user_id, alone))


async def _holder(database: Database, connection: AsyncConnection, bot_id: int) -> str | None:
    # Locked, so that a process that takes the lease in this moment waits, and then finds no bot.
    lease = select(leases.c.holder, (leases.c.expires_at > database.now()).label("held"))
    found = (await connection.execute(lease.where(leases.c.bot_id == bot_id).with_for_update())).one_or_none()
    if found is not None and found.held:
        return f"it runs, in {found.holder}; `tradingbot bots disable {bot_id}` first, and wait until it has stopped"
    return None


async def _holdings(connection: AsyncConnection, bot_id: int) -> str | None:
    account = await connection.scalar(select(state.c.account).where(state.c.bot_id == bot_id))
    open_trades = select(trades.c.id).where(trades.c.bot_id == bot_id, trades.c.status == "open").limit(1)
    saved = isinstance(account, Mapping) and account.get("position") is not None
    if saved or await connection.scalar(open_trades):
        return f"it holds a position; `tradingbot halt --bot {bot_id} --flatten` closes it while the bot runs"
    working = await working_orders(connection, bot_id)
    if working:
        return f"the venue may still fill its order {working[0]['client_order_id']}"
    return None
