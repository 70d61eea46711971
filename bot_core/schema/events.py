"""`bot_events`: what happened to a bot, who or what did it. Append-only; outlives the bot's row."""

from sqlalchemy import Column, Index, Integer, String, Table, Text

from bot_core.schema.base import identity, metadata
from bot_core.schema.types import AwareUTC, Json

events = Table(
    "bot_events",
    metadata,
    identity(big=True),
    Column("bot_id", Integer, nullable=False),
    Column("at", AwareUTC(), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("actor", String(100), nullable=False),
    Column("message", Text, nullable=False),
    Column("old_value", Json),
    Column("new_value", Json),
    Column("correlation_id", String(64)),
    Index("ix_bot_events_bot_id_at", "bot_id", "at"),
)
