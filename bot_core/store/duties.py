"""A duty that one process has for the whole fleet: taken, renewed and lost like a bot's lease, proved by an epoch.

Its memory is what the next holder has to know, such as how far a stream of commands was read. It does no duty itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.models.errors import LeaseLostError
from bot_core.schema import duties
from bot_core.store.database import Database
from bot_core.store.leases import LEASE_SECONDS, is_dead, suspend_aware_clock


@dataclass
class Duty:
    """A duty that is held. `deadline` is on `suspend_aware_clock`, counted from before the renewal was sent."""

    name: str
    epoch: int
    deadline: float

    @property
    def valid(self) -> bool:
        return suspend_aware_clock() < self.deadline

    async def check(self, connection: AsyncConnection) -> dict[str, Any]:
        """Lock the duty's row, compare the epoch and return the memory.

        Raises LeaseLostError when another process has taken the duty: nothing of this transaction may then be done.
        """
        found = await connection.execute(
            select(duties.c.epoch, duties.c.memory).where(duties.c.name == self.name).with_for_update()
        )
        row = found.one_or_none()
        if row is None or row.epoch != self.epoch:
            raise LeaseLostError(f"duty {self.name}: another process has taken it (epoch {self.epoch} is over)")
        return dict(row.memory) if isinstance(row.memory, Mapping) else {}

    async def remember(self, connection: AsyncConnection, **facts: Any) -> None:
        """Add to the memory, in the transaction of what it tells of. Raises LeaseLostError."""
        memory = await self.check(connection) | facts
        await connection.execute(update(duties).where(duties.c.name == self.name).values(memory=memory))


class DutyStore:
    def __init__(self, database: Database, holder: str, *, seconds: float = LEASE_SECONDS) -> None:
        self.database = database
        self.holder = holder
        self.seconds = seconds

    async def acquire(self, name: str) -> Duty | None:
        """Take the duty if it is free, lapsed, ours, or of a process that is known to be dead; else None."""
        started = suspend_aware_clock()
        try:
            async with self.database.write() as connection:
                epoch = await self._take(connection, name)
        except IntegrityError:
            return None  # another process inserted the row in this very moment
        return None if epoch is None else Duty(name, epoch, started + self.seconds)

    async def _take(self, connection: AsyncConnection, name: str) -> int | None:
        now, until = self.database.now(), self.database.after(self.seconds)
        query = select(duties, (duties.c.expires_at <= now).label("lapsed")).where(duties.c.name == name)
        found = (await connection.execute(query.with_for_update())).one_or_none()
        if found is None:
            await connection.execute(
                insert(duties).values(name=name, holder=self.holder, epoch=1, expires_at=until, memory={})
            )
            return 1
        if not (found.lapsed or found.holder == self.holder or is_dead(found.holder)):
            return None
        epoch = int(found.epoch) + 1
        values = {"holder": self.holder, "epoch": epoch, "expires_at": until}
        await connection.execute(update(duties).where(duties.c.name == name).values(values))
        return epoch

    async def renew(self, duty: Duty) -> None:
        """Hold it for longer. Raises LeaseLostError when another process has taken it."""
        sent = suspend_aware_clock()
        mine = (duties.c.name == duty.name) & (duties.c.epoch == duty.epoch)
        async with self.database.write() as connection:
            done = await connection.execute(
                update(duties).where(mine).values(expires_at=self.database.after(self.seconds))
            )
        if done.rowcount != 1:
            raise LeaseLostError(f"duty {duty.name}: another process has taken it (epoch {duty.epoch} is over)")
        duty.deadline = sent + self.seconds

    async def release(self, duty: Duty) -> None:
        """Let the next process take over at once."""
        mine = (duties.c.name == duty.name) & (duties.c.epoch == duty.epoch)
        async with self.database.write() as connection:
            await connection.execute(update(duties).where(mine).values(expires_at=self.database.now()))
        duty.deadline = 0.0
