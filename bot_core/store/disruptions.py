"""Tells a row, once, that its bot's process ended unasked: counted, in `bot_events`, and as a letter.

What is told stays in `extra_metadata.last_disruption`, which is also how it is known that it was told. It never answers
a request, and never says `running`: that is the runtime's.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import update

from bot_core.models.bot import BotRow, BotStatus, desired_state, may_write
from bot_core.models.recipients import Subject
from bot_core.schema import bots
from bot_core.store.database import Database
from bot_core.store.events import record_event
from bot_core.store.outbox import error_letter, queue
from bot_core.store.rows import locked_row, same_row

_KEY = "last_disruption"


@dataclass(frozen=True, slots=True)
class ProcessEnd:
    """Which process ended, as pod and number of restarts, why in words, and when (aware UTC)."""

    pod: str
    restarts: int
    text: str
    at: datetime


class DisruptionStore:
    def __init__(self, database: Database, *, actor: str) -> None:
        self.database = database
        self.actor = actor

    async def note(self, bot_id: int, end: ProcessEnd, *, down: bool, seen: BotRow) -> bool:
        """Write it, and while the bot is `down` also `error`, which the runtime takes away as soon as it runs again.

        False, with nothing written, where it was told before, or the row is no longer the one that was `seen`.
        """
        async with self.database.write() as connection:
            row = await locked_row(connection, bot_id)
            if row is None or not same_row(row, seen) or not desired_state(row).run:
                return False
            found = row.extra_metadata.get(_KEY)
            told = found if isinstance(found, dict) else {}
            if (told.get("pod"), told.get("restarts")) == (end.pod, end.restarts):
                return False
            now = datetime.now(UTC)
            fact = {"pod": end.pod, "restarts": end.restarts, "error": end.text, "at": end.at.isoformat()}
            metadata = row.extra_metadata | {_KEY: fact}
            values: dict[str, Any] = {"error_count": (row.error_count or 0) + 1, "updated_at": now}
            if down and may_write(row.status, BotStatus.ERROR):
                values["status"] = BotStatus.ERROR
                metadata |= {"last_error": end.text, "last_error_time": now.isoformat()}
            values["extra_metadata"] = metadata
            await connection.execute(update(bots).where(bots.c.id == bot_id).values(values))
            new = str(values.get("status", row.status))
            await record_event(
                connection, bot_id, "disrupted", end.text, actor=self.actor, old=str(row.status), new=new
            )
            text = f"{end.text}; it is started again"
            await queue(connection, Subject.readable(row), partial(error_letter, text, name=row.name))
            return True
