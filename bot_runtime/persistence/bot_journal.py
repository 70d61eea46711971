"""One bot's journal: what becomes of its orders, what happened to it, and its heartbeat, under one lease.

Each method that writes is one transaction. It books nothing: that is the ledger's.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.models.bot import BotRow
from bot_core.models.config import BotConfig
from bot_core.models.halt import Halt
from bot_core.models.recipients import Subject
from bot_core.schema import events
from bot_core.store.database import Database
from bot_core.store.events import record_event
from bot_core.store.heartbeat import Beat, beat
from bot_core.store.intents import move_at_once
from bot_core.store.journal import (
    OrderState,
    fill_in_part,
    filled_values,
    journaled,
    move,
    order_of,
    reopen,
)
from bot_core.store.leases import Lease, LeaseStore
from bot_core.store.outbox import Letter, error_letter, queue
from bot_runtime.domain.order import OrderIntent, OrderReport
from bot_runtime.persistence.messages import halted_letter, limit_letter, resumed_letter
from bot_runtime.persistence.rows import (
    state_values,
    working_order,
)
from bot_runtime.persistence.snapshot import Snapshot


class BotJournal:
    """Reads and writes for one bot under one lease."""

    def __init__(
        self,
        database: Database,
        leases: LeaseStore,
        lease: Lease,
        row: BotRow,
        config: BotConfig,
        account: str,
        correlation_id: str,
    ) -> None:
        self.database = database
        self.leases = leases
        self.lease = lease
        self.row = row
        self.config = config
        self.account = account
        self.subject = Subject.of(row, config)
        self.correlation_id = correlation_id

    async def mark(self, client_order_id: str, state: OrderState, **values: Any) -> bool:
        """Move an order in the journal; False where its present state does not allow it."""
        if not self.database.is_sqlite and await move_at_once(
            self.database, self.lease, client_order_id, state, values
        ):
            return True
        async with self.database.write() as connection:
            await self.lease.check(connection)
            return await move(connection, client_order_id, state, **values)

    async def filled_in_part(self, report: OrderReport) -> None:
        """Note what of a working order has filled so far."""
        async with self.database.write() as connection:
            await self.lease.check(connection)
            await fill_in_part(connection, report.client_order_id, filled_columns(report))

    async def dropped(self, intent: OrderIntent, state: OrderState, kind: str, why: str) -> bool:
        """Close an order that came to nothing, and say why; False where it is closed already."""
        async with self.database.write() as connection:
            await self.lease.check(connection)
            if not await move(connection, intent.client_order_id, state):
                return False
            await self._event(connection, kind, why, client_order_id=intent.client_order_id)
            return True

    async def journaled(self, client_order_ids: Collection[str]) -> dict[str, tuple[OrderState, Decimal]]:
        """State and filled quantity of some orders; those that the journal has not are not in the answer."""
        async with self.database.read() as connection:
            return await journaled(connection, client_order_ids)

    async def intent_of(self, client_order_id: str) -> OrderIntent:
        """Read an order of the journal. Raise LookupError where it has none of that id."""
        async with self.database.read() as connection:
            found = await order_of(connection, client_order_id)
        if found is None:
            raise LookupError(client_order_id)
        return working_order(found).intent

    async def reopen(self, client_order_id: str, why: str) -> bool:
        """Take back that an order came to nothing, and tell the owner; False where the journal says something else."""
        async with self.database.write() as connection:
            await self.lease.check(connection)
            if not await reopen(connection, client_order_id):
                return False
            await self._event(connection, "order_late", why, client_order_id=client_order_id)
            await self._tell_error(connection, why, client_order_id)
            return True

    async def beat(self, snapshot: Snapshot | None) -> Beat:
        """Renew the lease, say that the bot lives, move the cursor if there is something new; return the news."""
        state = None if snapshot is None else state_values(snapshot)
        return await beat(self.database, self.lease, self.row.user_id, self.leases.seconds, state=state)

    async def note(self, kind: str, message: str, *, new: Any = None, client_order_id: str | None = None) -> None:
        """Append to `bot_events`."""
        async with self.database.write() as connection:
            await self.lease.check(connection)
            await self._event(connection, kind, message, new=new, client_order_id=client_order_id)

    async def alert(self, kind: str, message: str, *, client_order_id: str | None = None) -> None:
        """Append to `bot_events` and tell owner and admins: for what a person should look at."""
        async with self.database.write() as connection:
            await self.lease.check(connection)
            await self._event(connection, kind, message, client_order_id=client_order_id)
            await self._tell_error(connection, message, client_order_id)

    async def limited(self, limit: str, message: str) -> None:
        """Tell the owner that a limit keeps the bot from entries, where he wants to know: once a limit and day."""
        if not self.config.notifications.risk_alerts:
            return
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        new = {"limit": limit, "day": today.date().isoformat()}
        noted = select(events.c.new_value).where(
            events.c.bot_id == self.row.id, events.c.at >= today, events.c.kind == "limit_reached"
        )
        async with self.database.write() as connection:
            await self.lease.check(connection)
            if new in [*await connection.scalars(noted)]:
                return
            await self._event(connection, "limit_reached", message, new=new)
            await self._tell(connection, partial(limit_letter, self.row.name, limit, message))

    async def obeyed(self, halt: Halt) -> None:
        """Note that a halt holds the bot from now on, and tell the owner: once, whoever obeys it again."""
        newest = select(events.c.new_value).where(events.c.bot_id == self.row.id, events.c.kind == "halt_obeyed")
        async with self.database.write() as connection:
            noted = await connection.scalar(newest.order_by(events.c.id.desc()).limit(1))
            if isinstance(noted, Mapping) and noted.get("halt") == halt.id:
                return
            new = {"halt": halt.id, "scope": halt.scope, "flatten": halt.flatten}
            await self._event(connection, "halt_obeyed", str(halt), new=new)
            await self._tell(connection, partial(halted_letter, self.row.name, halt))

    async def released(self) -> bool:
        """Note that no halt holds the bot any more, and tell the owner; False where none had been obeyed."""
        both = (events.c.bot_id == self.row.id) & events.c.kind.in_(("halt_obeyed", "halt_over"))
        newest = select(events.c.kind).where(both).order_by(events.c.id.desc()).limit(1)
        async with self.database.write() as connection:
            if await connection.scalar(newest) != "halt_obeyed":
                return False
            await self.lease.check(connection)
            await self._event(connection, "halt_over", "no halt holds this bot any more")
            await self._tell(connection, partial(resumed_letter, self.row.name))
            return True

    async def _tell_error(self, connection: AsyncConnection, message: str, order: str | None) -> None:
        facts = {} if order is None else {"client_order_id": order}
        await self._tell(connection, partial(error_letter, message, name=self.row.name, **facts))

    async def _tell(self, connection: AsyncConnection, write: Callable[[], Letter]) -> None:
        """Queue a letter in the transaction of what it tells of, which it never spoils."""
        await queue(connection, self.subject, write, correlation_id=self.correlation_id)

    async def _event(
        self,
        connection: AsyncConnection,
        kind: str,
        message: str,
        *,
        new: Any = None,
        client_order_id: str | None = None,
    ) -> None:
        """An event about an order names it in its new value."""
        if client_order_id is not None and new is None:
            new = {"client_order_id": client_order_id}
        about = {"actor": "runtime", "new": new, "correlation_id": self.correlation_id}
        await record_event(connection, self.row.id, kind, message, **about)


def filled_columns(report: OrderReport) -> dict[str, Any]:
    """What the journal says of the fills of an order."""
    return filled_values(report.filled, report.average_price, report.commission, report.time)
