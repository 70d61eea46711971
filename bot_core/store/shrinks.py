"""`bot_shrinks`: what the safety brake holds, as people see and confirm it. It decides nothing.

A confirmation is for one row: for exactly the bots that were shown, once, and not for ever.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, insert, select, update

from bot_core.models.brake import set_digest
from bot_core.models.errors import TradingBotError
from bot_core.schema import shrinks
from bot_core.store.database import Database
from bot_core.store.listen import CHANNEL

#: How long a confirmation counts: long enough to stop a large fleet, too short to be forgotten and met again.
CONFIRMED_FOR = timedelta(minutes=15)
_OPEN = shrinks.c.ended_at.is_(None)


@dataclass(frozen=True, slots=True)
class Shrink:
    """A set of bots that is held. Times are aware UTC."""

    id: int
    holder: str
    digest: str
    bots: frozenset[int]
    fleet: int
    reason: str
    asks: bool
    asked_at: datetime
    confirmed_by: str | None = None
    expires_at: datetime | None = None

    @property
    def code(self) -> str:
        """What is typed to let exactly these bots go."""
        return f"{self.id}-{self.digest}"

    def counts(self, now: datetime) -> bool:
        """Whether a person let them go, not too long ago."""
        return self.expires_at is not None and now < self.expires_at

    def facts(self) -> dict[str, Any]:
        """What programs are told."""
        return {
            "code": self.code,
            "holder": self.holder,
            "bots": sorted(self.bots),
            "fleet": self.fleet,
            "reason": self.reason,
            "asks": self.asks,
            "asked_at": self.asked_at,
            "confirmed_by": self.confirmed_by,
            "expires_at": self.expires_at,
        }


class ShrinkStore:
    def __init__(self, database: Database) -> None:
        self.database = database

    async def standing(self, holder: str | None = None) -> list[Shrink]:
        """What is held now, by this holder or by any; the oldest first."""
        query = select(shrinks).where(_OPEN).order_by(shrinks.c.id)
        if holder is not None:
            query = query.where(shrinks.c.holder == holder)
        async with self.database.read() as connection:
            return [_shrink(row) for row in (await connection.execute(query)).mappings()]

    async def ask(self, holder: str, bots: Iterable[int], *, fleet: int, reason: str, asks: bool) -> Shrink:
        """Show another set than before; what this holder showed until now can't be confirmed any more."""
        values = {
            "holder": holder[:255],
            "digest": set_digest(bots),
            "bots": sorted(bots),
            "fleet": fleet,
            "reason": reason,
            "asks": asks,
            "asked_at": datetime.now(UTC),
        }
        async with self.database.write() as connection:
            await connection.execute(
                _ending((shrinks.c.holder == holder) & shrinks.c.confirmed_at.is_(None), "replaced")
            )
            row = (await connection.execute(insert(shrinks).values(values).returning(shrinks))).one()
            return _shrink(row._mapping)  # noqa: SLF001  # the documented way to a mapping

    async def confirm(self, code: str, *, by: str) -> Shrink:
        """Let the bots of this code go. Raises TradingBotError where nothing of that code is held, or no more."""
        number, _, digest = code.partition("-")
        now = datetime.now(UTC)
        mine = _OPEN & (shrinks.c.id == (int(number) if number.isdecimal() else 0)) & (shrinks.c.digest == digest)
        values = {"confirmed_at": now, "confirmed_by": by[:100], "expires_at": now + CONFIRMED_FOR}
        async with self.database.write() as connection:
            done = await connection.execute(
                update(shrinks).where(mine, shrinks.c.confirmed_at.is_(None)).values(values).returning(shrinks)
            )
            row = done.one_or_none()
            if row is None:
                raise TradingBotError(
                    f"{code!r} is not held, or no more: the set has changed, or was let go; look again what is held"
                )
            if not self.database.is_sqlite:
                # What is no number means "look at everything" to whoever listens.
                await connection.execute(select(func.pg_notify(CHANNEL, "all")))
            return _shrink(row._mapping)  # noqa: SLF001

    async def end(self, ids: Iterable[int], outcome: str) -> None:
        """Close what is over, so that a confirmation is never met again."""
        async with self.database.write() as connection:
            await connection.execute(_ending(shrinks.c.id.in_(list(ids)), outcome))


def _ending(which: ColumnElement[bool], outcome: str) -> Any:
    return update(shrinks).where(_OPEN, which).values(ended_at=datetime.now(UTC), outcome=outcome)


def _shrink(row: Mapping[Any, Any]) -> Shrink:
    return Shrink(
        id=row["id"],
        holder=row["holder"],
        digest=row["digest"],
        bots=frozenset(row["bots"]),
        fleet=row["fleet"],
        reason=row["reason"],
        asks=bool(row["asks"]),
        asked_at=row["asked_at"],
        confirmed_by=row["confirmed_by"],
        expires_at=row["expires_at"],
    )
