"""What a plan writes into a bot's row, carried out: the one way by which the operator writes rows."""

import re
from typing import assert_never

from bot_core.models.bot import BotStatus, Quarantine, may_write
from bot_core.models.errors import TransientError
from bot_core.store.bots import BotStore
from bot_core.store.disruptions import DisruptionStore, ProcessEnd
from bot_operator.actions import (
    NoteRow,
    QuarantineRow,
    RowWrite,
    WriteRowDisruption,
    WriteRowError,
    WriteRowRefusal,
    WriteRowStopped,
)
from bot_operator.cluster import StaleLookError
from bot_operator.record import BotRecord
from bot_operator.rows import RowReader
from bot_operator.trouble import DEPLOYMENT_REFUSED, Trouble, reason_of


class RowWriter:
    def __init__(self, store: BotStore, rows: RowReader) -> None:
        self._store = store
        self._rows = rows
        self._disruptions = DisruptionStore(store.database, actor=store.actor)

    async def write(self, bot_id: int, action: RowWrite, record: BotRecord | None) -> BotRecord:
        """The row as it is then; `record` is what the plan was made from.

        Raises StaleLookError for a bot that was silent when it was looked at, and is no longer.
        """
        seen_row = record.row if record else None
        match action:
            case NoteRow(kind, message):
                await self._store.note(bot_id, kind, message, seen=seen_row)
            case QuarantineRow(message, failures):
                quarantine = Quarantine(failures, seen_row.config_hash if seen_row else "")
                await self._store.failed(bot_id, message, quarantine=quarantine, seen=seen_row)
            case WriteRowError(message, keep_status, seen):
                await self._store.failed(bot_id, message, keep_status=keep_status, seen=seen)
            case WriteRowRefusal(message):
                await self._store.refused(bot_id, message)
            case WriteRowDisruption(found, down, seen):
                end = ProcessEnd(found.pod, found.restarts, found.text, found.at)
                await self._disruptions.note(bot_id, end, down=down, seen=seen)
            case WriteRowStopped():
                # The store asks the row itself for the reason: a request to start that came just now stands.
                await self._store.stopped(bot_id)
            case _:
                assert_never(action)
        written = await self._rows.get(bot_id)
        if written is None:
            # Whether the whole table went with it is for a new look to find out before anything is removed.
            raise TransientError(f"bot {bot_id}: its row went away meanwhile")
        if isinstance(action, NoteRow | QuarantineRow) and record is not None and _has_beaten(written, record):
            raise StaleLookError(f"bot {bot_id}: its heart has beaten meanwhile")
        return written

    async def refused(self, bot_id: int, message: str, record: BotRecord | None, *, keep_status: bool) -> None:
        """The API server will not have the bot's Deployment: told once, figures that vary in the words aside."""
        if record is None:
            return
        text = str(Trouble(DEPLOYMENT_REFUSED, message))
        in_error = record.row.status == BotStatus.ERROR
        if keep_status and (record.config_error or (in_error and reason_of(record.last_error) != DEPLOYMENT_REFUSED)):
            return  # the row tells of something else, which each look would write anew over this
        shown = keep_status or in_error or not may_write(record.row.status, BotStatus.ERROR)
        if not shown or _without_figures(record.last_error) != _without_figures(text):
            await self._store.failed(bot_id, text, keep_status=keep_status)


def _without_figures(text: str) -> str:
    return re.sub(r"\d+", "", text)


def _has_beaten(now: BotRecord, before: BotRecord) -> bool:
    return not now.row.quarantined and now.row.last_heartbeat != before.row.last_heartbeat
