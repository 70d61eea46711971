"""The heartbeat of a bot: one statement that renews the lease, says that the bot lives, and answers with the news.

It writes nothing where the lease is another's, and decides nothing: what the row and the halts say is the caller's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Interval,
    Row,
    Select,
    Text,
    and_,
    bindparam,
    cast,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.models.bot import document_hash
from bot_core.models.errors import LeaseLostError
from bot_core.models.halt import Halt, HaltScope
from bot_core.schema import bots, halts, leases
from bot_core.schema import state as state_table
from bot_core.store.database import Database
from bot_core.store.leases import Lease, suspend_aware_clock

_HALT = tuple(
    halts.c[name].label(f"halt_{name}") for name in ("id", "scope", "flatten", "reason", "created_by", "created_at")
)


@dataclass(frozen=True, slots=True)
class Beat:
    """What the database said.

    `deadline` is on `suspend_aware_clock`, counted from before the statement was sent. `version` changes whenever the
    row's document or status does. `halt` is the one that applies to this bot: one that flattens wins, then the oldest.
    """

    deadline: float
    version: str
    status: str
    halt: Halt | None


async def beat(
    database: Database, lease: Lease, user_id: int, seconds: float, *, state: Mapping[str, Any] | None = None
) -> Beat:
    """Renew the lease for `seconds` and move its deadline; write `state` to the bot's row of `bot_state` as well.

    One round trip on PostgreSQL, one transaction on SQLite. Raises LeaseLostError, with nothing written, when another
    holder has taken the lease, and DatabaseUnavailableError when it is unknown what was written.
    """
    sent = suspend_aware_clock()
    if database.is_sqlite:
        async with database.write() as connection:
            found = await _in_turn(database, connection, lease, user_id, seconds, state)
    else:
        async with database.autocommit() as connection:
            values: dict[str, Any] = {"its_bot": lease.bot_id, "its_epoch": lease.epoch, "its_user": user_id}
            values |= {"its_seconds": timedelta(seconds=seconds), **_named(state)}
            found = (await connection.execute(_at_once(tuple(state or ())), values)).one_or_none()
    if found is None:
        raise LeaseLostError(
            f"bot {lease.bot_id}: the lease of epoch {lease.epoch} was taken by another process, or the bot is gone"
        )
    lease.deadline = sent + seconds
    return Beat(lease.deadline, document_hash(found.version), found.status.strip().lower(), _halt(found))


@cache
def _at_once(keys: tuple[str, ...]) -> Select[Any]:
    """Renewal first: what follows is written only where there is a renewed row to join. `keys`: what of the state.

    Built once, since building it costs the process as much as the rest of a beat. Its parameters have names of their
    own: SQLAlchemy would set a column that is named like one.
    """
    mine = and_(leases.c.bot_id == bindparam("its_bot"), leases.c.epoch == bindparam("its_epoch"))
    until = func.clock_timestamp() + bindparam("its_seconds", type_=Interval())
    renewed = update(leases).where(mine).values(expires_at=until).returning(leases.c.bot_id).cte("renewed")
    # Returned by the update and not selected: a row that was locked meanwhile is given back as it is now.
    live = update(bots).where(bots.c.id == renewed.c.bot_id).values(last_heartbeat=func.timezone("UTC", func.now()))
    alive = live.returning(bots.c.status, _version().label("version")).cte("alive")
    query = _with_halt(alive)
    if not keys:
        return query
    values = {key: bindparam(f"its_{key}", type_=state_table.c[key].type) for key in keys}
    kept = update(state_table).where(state_table.c.bot_id == renewed.c.bot_id).values(values)
    return query.add_cte(kept.returning(state_table.c.bot_id).cte("kept"))


def _named(state: Mapping[str, Any] | None) -> dict[str, Any]:
    return {f"its_{key}": value for key, value in (state or {}).items()}


def _version() -> ColumnElement[str]:
    # Not md5, which servers in FIPS mode refuse.
    text = func.concat(bots.c.status, " ", cast(bots.c.config, Text))
    return func.encode(func.sha256(func.convert_to(text, "UTF8")), "hex")


def _with_halt(alive: FromClause) -> Select[Any]:
    halt = select(*_HALT).where(_applies()).order_by(*_FIRST).limit(1).subquery("halt")
    return select(*alive.c, *halt.c).select_from(alive.outerjoin(halt, onclause=halt.c.halt_id.is_not(None)))


@cache
def _news() -> Select[Any]:
    version = (bots.c.status + " " + cast(bots.c.config, Text)).label("version")
    return _with_halt(select(bots.c.status, version).where(bots.c.id == bindparam("its_bot")).subquery("alive"))


async def _in_turn(
    database: Database,
    connection: AsyncConnection,
    lease: Lease,
    user_id: int,
    seconds: float,
    state: Mapping[str, Any] | None,
) -> Row[Any] | None:
    mine = and_(leases.c.bot_id == lease.bot_id, leases.c.epoch == lease.epoch)
    renewed = await connection.execute(update(leases).where(mine).values(expires_at=database.after(seconds)))
    if renewed.rowcount != 1:
        return None
    this = bots.c.id == lease.bot_id
    await connection.execute(update(bots).where(this).values(last_heartbeat=database.now()))
    if state is not None:
        await connection.execute(update(state_table).where(state_table.c.bot_id == lease.bot_id).values(dict(state)))
    news = await connection.execute(_news(), {"its_bot": lease.bot_id, "its_user": user_id})
    found: Row[Any] | None = news.one_or_none()
    return found


_FIRST = (halts.c.flatten.desc(), halts.c.created_at, halts.c.id)


def _applies() -> ColumnElement[bool]:
    aimed = or_(
        halts.c.scope == HaltScope.ALL,
        and_(halts.c.scope == HaltScope.USER, halts.c.target_id == bindparam("its_user")),
        and_(halts.c.scope == HaltScope.BOT, halts.c.target_id == bindparam("its_bot")),
    )
    return and_(halts.c.cleared_at.is_(None), aimed)


def _halt(row: Row[Any]) -> Halt | None:
    if row.halt_id is None:
        return None
    return Halt(
        id=row.halt_id,
        scope=HaltScope(row.halt_scope),
        flatten=bool(row.halt_flatten),
        reason=row.halt_reason or "",
        created_by=row.halt_created_by,
        created_at=row.halt_created_at,
    )
