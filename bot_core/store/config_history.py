"""`config_changed` in `bot_events`: which document a bot goes on with, and how it differs from the one before.

Called in the transaction that notes the new document as the last good one: the event and the note are one fact.
"""

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.models.bot import document_hash
from bot_core.models.changes import document_changes, summary, values
from bot_core.schema import state
from bot_core.store.events import record_event


async def record_change(connection: AsyncConnection, bot_id: int, document: Any) -> None:
    """Compare with the last good document, which the caller replaces afterwards. A first document is no change."""
    query = select(state.c.config, state.c.config_hash).where(state.c.bot_id == bot_id)
    before = (await connection.execute(query)).one_or_none()
    if before is None or before.config is None or before.config_hash == document_hash(document):
        return
    changes = document_changes(before.config, document)
    if changes:
        old, new = values(changes)
        await record_event(connection, bot_id, "config_changed", summary(changes), actor="runtime", old=old, new=new)
