"""`bot_duties`: what one process does for all, such as delivering messages: who does it, what it must remember."""

from sqlalchemy import BigInteger, Column, String, Table

from bot_core.schema.base import metadata
from bot_core.schema.types import AwareUTC, Json

duties = Table(
    "bot_duties",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("holder", String(255), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("expires_at", AwareUTC(), nullable=False),
    Column("memory", Json, comment="what the next holder has to know"),
)
