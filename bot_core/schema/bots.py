"""`trading_bots`: one row, one bot. The existing platform's table, in its shape."""

from sqlalchemy import Column, ForeignKey, Integer, String, Table, Text

from bot_core.schema.base import created_at, identity, metadata
from bot_core.schema.types import Json, Money, NaiveUTC

bots = Table(
    "trading_bots",
    metadata,
    identity(),
    Column("user_id", Integer, ForeignKey("usr_users.id", ondelete="CASCADE"), nullable=False),
    Column("status", String(20), nullable=False),
    Column("started_at", NaiveUTC()),
    Column("last_heartbeat", NaiveUTC()),
    Column("error_count", Integer),
    Column("current_balance", Money()),
    Column("total_pnl", Money()),
    Column("extra_metadata", Json),
    created_at(),
    Column("updated_at", NaiveUTC()),
    Column("config", Json, nullable=False),
    Column("description", Text, comment="description given by the trader"),
    sqlite_autoincrement=True,  # an id is never given twice: events outlive their bot
)
