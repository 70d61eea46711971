"""The lease of a bot: one trader at a time, proved by an epoch that every write checks.

Expiry is judged by the database's clock when a lease is taken, and by a clock that counts suspension
(`CLOCK_BOOTTIME`) in the process that holds it.
"""

import os
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.models.errors import LeaseLostError, RowGoneError
from bot_core.schema import bots, leases
from bot_core.store.database import Database

LEASE_SECONDS = 30.0
_PROC = Path("/proc")


def suspend_aware_clock() -> float:
    """Seconds on a clock that never goes back and also counts while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass
class Lease:
    """A held lease. `deadline` is on `suspend_aware_clock`, counted from before the renewal was sent."""

    bot_id: int
    holder: str
    epoch: int
    deadline: float = field(default=0.0)

    @property
    def valid(self) -> bool:
        return self.seconds_left() > 0

    def seconds_left(self) -> float:
        """Seconds until the deadline, on a clock that counts suspension; negative once it has passed."""
        return self.deadline - suspend_aware_clock()

    async def check(self, connection: AsyncConnection) -> None:
        """Lock the lease's row and compare the epoch; a transaction that called this can't outlive the lease.

        Raises LeaseLostError when another holder has taken it.
        """
        query = select(leases.c.epoch).where(leases.c.bot_id == self.bot_id).with_for_update(read=True)
        if await connection.scalar(query) != self.epoch:
            raise LeaseLostError(
                f"bot {self.bot_id}: the lease of epoch {self.epoch} was taken by another process, or the bot is gone"
            )


class LeaseStore:
    def __init__(self, database: Database, holder: str, *, seconds: float = LEASE_SECONDS) -> None:
        self.database = database
        self.holder = holder
        self.seconds = seconds

    async def acquire(self, bot_id: int) -> Lease | None:
        """Take the lease if it is free, lapsed, ours, or of a process that is known to be dead; else None."""
        started = suspend_aware_clock()
        try:
            async with self.database.write() as connection:
                epoch = await self._take(connection, bot_id)
        except IntegrityError as error:
            # Another process inserted the first lease in this very moment, or the bot's row is gone.
            if await self._has_row(bot_id):
                return None
            raise RowGoneError(f"bot {bot_id}: its row is gone") from error
        if epoch is None:
            return None
        return Lease(bot_id, self.holder, epoch, started + self.seconds)

    async def _has_row(self, bot_id: int) -> bool:
        async with self.database.read() as connection:
            return await connection.scalar(select(bots.c.id).where(bots.c.id == bot_id)) is not None

    async def _take(self, connection: AsyncConnection, bot_id: int) -> int | None:
        now, until = self.database.now(), self.database.after(self.seconds)
        query = select(leases, (leases.c.expires_at <= now).label("lapsed"))
        found = (await connection.execute(query.where(leases.c.bot_id == bot_id).with_for_update())).one_or_none()
        values: dict[str, Any] = {"holder": self.holder, "acquired_at": now, "expires_at": until}
        if found is None:
            await connection.execute(insert(leases).values(bot_id=bot_id, epoch=1, **values))
            return 1
        if not (found.lapsed or found.holder == self.holder or is_dead(found.holder)):
            return None
        epoch = int(found.epoch) + 1
        await connection.execute(update(leases).where(leases.c.bot_id == bot_id).values(epoch=epoch, **values))
        return epoch

    async def forget(self, bot_id: int) -> None:
        """Remove the lease of a bot whose row is gone, where the database did not (SQLite, by whoever deleted it)."""
        orphan = (leases.c.bot_id == bot_id) & ~select(bots.c.id).where(bots.c.id == bot_id).exists()
        async with self.database.write() as connection:
            await connection.execute(delete(leases).where(orphan))

    async def release(self, lease: Lease) -> None:
        """Let the next process take over at once."""
        mine = (leases.c.bot_id == lease.bot_id) & (leases.c.epoch == lease.epoch)
        async with self.database.write() as connection:
            await connection.execute(update(leases).where(mine).values(expires_at=self.database.now()))
        lease.deadline = 0.0


def process_holder() -> str:
    """A name for this process that another one can recognise as dead.

    In a pod: the pod's uid, since the kubelet starts a container again only after the old one has ended.
    Elsewhere: host, boot, process id and start time, which `is_dead` compares with what runs on this host.
    """
    pod = os.environ.get("POD_UID")
    if pod:
        return f"pod:{pod}"
    pid = os.getpid()
    return f"process:{socket.gethostname()}:{_boot_id()}:{pid}:{_start_time(pid)}"


def is_dead(holder: str) -> bool:
    """Whether the holder is certainly gone. False when that can't be known from here."""
    kind, _, rest = holder.partition(":")
    parts = rest.split(":")
    if kind != "process" or len(parts) != 4 or not _PROC.is_dir() or _boot_id() == "":  # noqa: PLR2004
        return False
    host, boot, pid, started = parts
    if host != socket.gethostname():
        return False
    return boot != _boot_id() or not pid.isdecimal() or _start_time(int(pid)) != started


def _boot_id() -> str:
    # Two containers may share a host name and a boot id, but not a process id space: its inode tells them apart.
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}@{(_PROC / 'self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _start_time(pid: int) -> str:
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in {"Z", "X"} else fields[19]
