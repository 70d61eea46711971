"""`bot_leases`: who may trade a bot. One row a bot; the epoch grows with every new holder."""

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, String, Table

from bot_core.schema.base import metadata
from bot_core.schema.types import AwareUTC

leases = Table(
    "bot_leases",
    metadata,
    Column("bot_id", Integer, ForeignKey("trading_bots.id", ondelete="CASCADE"), primary_key=True),
    Column("holder", String(255), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("acquired_at", AwareUTC(), nullable=False),
    Column("expires_at", AwareUTC(), nullable=False),
)
