"""An order journaled, and moved on, in one statement: one round trip between a signal and the venue.

Only on PostgreSQL, and only where nothing stands in the way. Where something does nothing is written, and whoever asked
goes through the journal's single steps, which tell what it was.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import CTE, BindParameter, Select, Table, bindparam, cast, exists, func, insert, select, update

from bot_core.schema import leases, orders, state
from bot_core.store.database import Database
from bot_core.store.journal import MOVES_FROM, OrderState
from bot_core.store.leases import Lease
from bot_core.store.limits import standing


async def intend_at_once(
    database: Database,
    lease: Lease,
    order: Mapping[str, Any],
    saved: Mapping[str, Any],
    *,
    limited_by: tuple[int, str] | None,
) -> bool:
    """Journal an order as `intended`, and write `saved` to the bot's row of `bot_state`, or do neither.

    Neither where the lease is another's, the order's id is known, the bot has no state, or, of an order of the user and
    with the trading mode `limited_by`, where there is any limit that it would have to be measured against.
    """
    now = datetime.now(UTC)
    order = {**order, "state": OrderState.INTENDED, "created_at": now, "updated_at": now}
    user, mode = limited_by or (0, "")
    values = {"its_bot": lease.bot_id, "its_epoch": lease.epoch, "its_user": str(user), "its_mode": mode}
    values |= {f"order_{key}": value for key, value in order.items()}
    values |= {f"saved_{key}": value for key, value in saved.items()}
    query = _intend(tuple(order), tuple(saved), limited=limited_by is not None)
    async with database.autocommit() as connection:
        return bool(await connection.scalar(query, values))


async def move_at_once(
    database: Database, lease: Lease, client_order_id: str, to: OrderState, values: Mapping[str, Any]
) -> bool:
    """Move an order to a state that may follow its present one; False (and no change) where it or the lease may not."""
    given = {"its_bot": lease.bot_id, "its_epoch": lease.epoch, "its_order": client_order_id}
    given |= {f"order_{key}": value for key, value in values.items()} | {"order_updated_at": datetime.now(UTC)}
    async with database.autocommit() as connection:
        return bool(await connection.scalar(_move(to, tuple(values)), given))


# Statements are built once: to build one takes longer than to send it. Their parameters have names of their own, since
# SQLAlchemy would set a column that is named like one.


@cache
def _intend(order: tuple[str, ...], saved: tuple[str, ...], *, limited: bool) -> Select[Any]:
    mine = _mine()
    known = exists().where(orders.c.client_order_id == _of(orders, "order", "client_order_id"))
    row = select(*(cast(_of(orders, "order", key), orders.c[key].type) for key in order)).select_from(mine)
    row = row.where(~known, exists().where(state.c.bot_id == mine.c.bot_id))
    if limited:
        limits = standing(bindparam("its_mode"), bindparam("its_user"), _of(orders, "order", "account"))
        row = row.where(~exists().where(limits))
    journaled = insert(orders).from_select(order, row).returning(orders.c.bot_id).cte("journaled")
    values = {key: _of(state, "saved", key) for key in saved}
    kept = update(state).where(state.c.bot_id == journaled.c.bot_id).values(values).returning(state.c.bot_id)
    return select(func.count()).select_from(journaled).add_cte(kept.cte("kept"))


@cache
def _move(to: OrderState, keys: tuple[str, ...]) -> Select[Any]:
    mine = _mine()
    this = orders.c.client_order_id == bindparam("its_order")
    may = update(orders).where(orders.c.bot_id == mine.c.bot_id, this, orders.c.state.in_(MOVES_FROM[to]))
    values = {key: _of(orders, "order", key) for key in (*keys, "updated_at")}
    moved = may.values({"state": to, **values}).returning(orders.c.bot_id).cte("moved")
    return select(func.count()).select_from(moved)


def _mine() -> CTE:
    """The lease, locked as `Lease.check` does it; no row where another process has taken it."""
    held = leases.c.bot_id == bindparam("its_bot"), leases.c.epoch == bindparam("its_epoch")
    return select(leases.c.bot_id).where(*held).with_for_update(read=True).cte("mine")


def _of(table: Table, prefix: str, key: str) -> BindParameter[Any]:
    return bindparam(f"{prefix}_{key}", type_=table.c[key].type)
