"""The order journal. An order is written here, with its id, before it is sent; states only move forward."""

from collections.abc import Collection
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.schema import orders


class OrderState(StrEnum):
    INTENDED = "intended"
    SUBMITTED = "submitted"
    UNKNOWN = "unknown"
    OPEN = "open"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"


#: States in which the venue may still do something with the order.
WORKING = (OrderState.INTENDED, OrderState.SUBMITTED, OrderState.UNKNOWN, OrderState.OPEN)
#: The states that a state may follow.
MOVES_FROM = {
    OrderState.SUBMITTED: (OrderState.INTENDED,),
    OrderState.UNKNOWN: (OrderState.INTENDED, OrderState.SUBMITTED),
    OrderState.OPEN: (OrderState.INTENDED, OrderState.SUBMITTED, OrderState.UNKNOWN),
    OrderState.FILLED: WORKING,
    OrderState.CANCELED: WORKING,
    OrderState.REJECTED: WORKING,
}


async def write_intent(connection: AsyncConnection, values: dict[str, Any]) -> bool:
    """Journal an order as `intended`. False when this client order id is there already: it is the same intent."""
    known = select(orders.c.id).where(orders.c.client_order_id == values["client_order_id"])
    if await connection.scalar(known) is not None:
        return False
    now = datetime.now(UTC)
    await connection.execute(insert(orders).values(state=OrderState.INTENDED, created_at=now, updated_at=now, **values))
    return True


async def move(connection: AsyncConnection, client_order_id: str, state: OrderState, **values: Any) -> bool:
    """Move an order to a state that may follow its present one; False (and no change) where it may not."""
    result = await connection.execute(
        update(orders)
        .where(orders.c.client_order_id == client_order_id, orders.c.state.in_(MOVES_FROM[state]))
        .values(state=state, updated_at=datetime.now(UTC), **values)
    )
    return result.rowcount == 1


async def attempts_at(
    connection: AsyncConnection, client_order_id: str, bot_id: int, purpose: str, bar_time: datetime
) -> int | None:
    """How many orders of one purpose and bar came to nothing; None where one of them did not.

    `client_order_id` is the name of the first: where there is none of it, nothing else is looked through.
    """
    if await connection.scalar(select(orders.c.id).where(orders.c.client_order_id == client_order_id)) is None:
        return 0
    query = select(orders.c.state).where(
        orders.c.bot_id == bot_id, orders.c.purpose == purpose, orders.c.bar_time == bar_time
    )
    states = list(await connection.scalars(query))
    return len(states) if {*states} <= {OrderState.CANCELED, OrderState.REJECTED} else None


async def journaled(
    connection: AsyncConnection, client_order_ids: Collection[str]
) -> dict[str, tuple[OrderState, Decimal]]:
    """State and filled quantity of those orders that are in the journal."""
    columns = orders.c.client_order_id, orders.c.state, orders.c.filled_quantity
    query = select(*columns).where(orders.c.client_order_id.in_(client_order_ids))
    return {name: (OrderState(state), filled or Decimal(0)) for name, state, filled in await connection.execute(query)}


async def order_of(connection: AsyncConnection, client_order_id: str) -> dict[str, Any] | None:
    found = await connection.execute(select(orders).where(orders.c.client_order_id == client_order_id))
    row = found.mappings().one_or_none()
    return None if row is None else dict(row)


async def reopen(connection: AsyncConnection, client_order_id: str) -> bool:
    """Take back that an order came to nothing, since the venue has it after all. False where it is no such order."""
    nothing = (OrderState.CANCELED, OrderState.REJECTED)
    result = await connection.execute(
        update(orders)
        .where(orders.c.client_order_id == client_order_id, orders.c.state.in_(nothing))
        .values(state=OrderState.UNKNOWN, updated_at=datetime.now(UTC))
    )
    return result.rowcount == 1


async def fill_in_part(connection: AsyncConnection, client_order_id: str, values: dict[str, Any]) -> bool:
    """Note what of a working order has filled so far."""
    result = await connection.execute(
        update(orders)
        .where(orders.c.client_order_id == client_order_id, orders.c.state.in_(WORKING))
        .values(updated_at=datetime.now(UTC), **values)
    )
    return result.rowcount == 1


async def working_orders(connection: AsyncConnection, bot_id: int) -> list[dict[str, Any]]:
    """The orders of a bot that the venue may still act on, oldest first."""
    query = select(orders).where(orders.c.bot_id == bot_id, orders.c.state.in_(WORKING)).order_by(orders.c.id)
    return [dict(row) for row in (await connection.execute(query)).mappings()]


def filled_values(quantity: Decimal, price: Decimal | None, commission: Decimal, filled_at: datetime) -> dict[str, Any]:
    return {"filled_quantity": quantity, "filled_price": price, "commission": commission, "filled_at": filled_at}
