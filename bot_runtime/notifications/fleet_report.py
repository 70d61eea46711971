"""A few lines on the bots of a user, or on all, for a chat. It reads tables and decides nothing."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.models.halt import halt_of
from bot_core.schema import bots, positions
from bot_core.store.halts import active_halts

_MOST = 40


async def fleet_report(connection: AsyncConnection, user_id: int | None) -> str:
    """`user_id` None means everybody's. Plain text."""
    query = select(
        bots.c.id, bots.c.user_id, bots.c.status, bots.c.config, bots.c.total_pnl, bots.c.current_balance
    ).order_by(bots.c.id)
    if user_id is not None:
        query = query.where(bots.c.user_id == user_id)
    rows = [*(await connection.execute(query)).mappings()]
    if not rows:
        return "There are no bots of yours."
    halts = await active_halts(connection)
    held = {*await connection.scalars(select(positions.c.bot_id).where(positions.c.status == "open"))}
    lines = [
        _line(row, halted=halt_of(halts, row["id"], row["user_id"]) is not None, held=row["id"] in held)
        for row in rows[:_MOST]
    ]
    more = [f"… and {len(rows) - _MOST} more"] if len(rows) > _MOST else []
    return "\n".join(lines + more)


def _line(row: Mapping[Any, Any], *, halted: bool, held: bool) -> str:
    config = row["config"] if isinstance(row["config"], Mapping) else {}
    name = str(config.get("name") or config.get("symbol") or "")[:40]
    parts = [f"{row['id']} {name}: {row['status']}"]
    if halted:
        parts.append("HALTED")
    if held:
        parts.append("in position")
    if row["total_pnl"] is not None:
        parts.append(f"P&L {row['total_pnl']:.2f}")
    return ", ".join(parts)
