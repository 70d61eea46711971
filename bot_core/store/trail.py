"""Everything that the tables know under one id, a correlation id or a client order id, in the order of time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Table, Text, cast, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.schema import events, messages, orders, trades
from bot_core.store.database import Database


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened, on the clock of the machine that wrote it."""

    at: datetime
    bot_id: int | None
    what: str
    text: str
    correlation_id: str | None
    client_order_id: str | None


async def trail(database: Database, name: str) -> list[Step]:
    """Read all steps in one transaction. `name` holds letters, digits and hyphens only."""
    async with database.read() as connection:
        found = [
            *(_event(row) for row in await _rows(connection, events, _about_event(name))),
            *(step for row in await _rows(connection, orders, _about_order(name)) for step in _order(row)),
            *(
                step
                for row in await _rows(connection, trades, _holds(trades.c.extra_metadata, name))
                for step in _trade(row)
            ),
            *(_message(row) for row in await _rows(connection, messages, _holds(messages.c.metadata, name))),
        ]
    return sorted(found, key=lambda step: step.at)


async def _rows(connection: AsyncConnection, table: Table, about: ColumnElement[bool]) -> list[Mapping[str, Any]]:
    return [dict(row) for row in (await connection.execute(select(table).where(about).order_by(table.c.id))).mappings()]


def _holds(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """JSON as text: databases differ in how one asks it. The quotes keep an id from matching a longer one."""
    return cast(column, Text).like(f'%"{name}"%')


def _about_event(name: str) -> ColumnElement[bool]:
    return or_(events.c.correlation_id == name, _holds(events.c.new_value, name))


def _about_order(name: str) -> ColumnElement[bool]:
    return or_(orders.c.correlation_id == name, orders.c.client_order_id == name)


def _event(row: Mapping[str, Any]) -> Step:
    new = row["new_value"]
    order = new.get("client_order_id") if isinstance(new, Mapping) else None
    return Step(row["at"], row["bot_id"], row["kind"], row["message"], row["correlation_id"], order)


def _order(row: Mapping[str, Any]) -> list[Step]:
    ids = row["correlation_id"], row["client_order_id"]
    text = f"{row['purpose']} {row['side']} {row['quantity'].normalize():f} {row['symbol']}: {row['reason'] or ''}"
    steps = [Step(row["created_at"], row["bot_id"], "order intended", text, *ids)]
    if row["state"] != "intended":
        price = row["filled_price"]
        filled = "" if price is None else f" {row['filled_quantity'].normalize():f} @ {price.normalize():f}"
        steps.append(Step(row["updated_at"], row["bot_id"], f"order {row['state']}", f"{text}{filled}", *ids))
    return steps


def _trade(row: Mapping[str, Any]) -> list[Step]:
    extra = row["extra_metadata"] if isinstance(row["extra_metadata"], Mapping) else {}
    steps = []
    for at, what, order, run in (
        (row["created_at"], "trade opened", "order_id", "correlation_id"),
        (row["updated_at"], "trade closed", "exit_order_id", "exit_correlation_id"),
    ):
        if at is not None and order in extra:
            price = row["entry_price"] if what == "trade opened" else row["exit_price"]
            pnl = "" if what == "trade opened" else f", net {row['net_pnl']:f}"
            text = f"trade {row['id']}: {row['size'].normalize():f} {row['symbol']} @ {price.normalize():f}{pnl}"
            steps.append(Step(_aware(at), row["bot_id"], what, text, extra.get(run), extra[order]))
    return steps


def _message(row: Mapping[str, Any]) -> Step:
    about, content = row["metadata"], row["content"]
    title = content.get("title", "") if isinstance(content, Mapping) else ""
    what = f"message {str(row['status']).lower()}"
    text = f"{', '.join(row['channels'])}: {title}"
    return Step(
        row["created_at"], about.get("bot_id"), what, text, about.get("correlation_id"), about.get("client_order_id")
    )


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
