"""`bot_shrinks`: sets of bots that the safety brake holds, and who let them go. It outlives all rows."""

from sqlalchemy import Boolean, Column, Integer, String, Table, Text

from bot_core.schema.base import identity, metadata
from bot_core.schema.types import AwareUTC, Json

shrinks = Table(
    "bot_shrinks",
    metadata,
    identity(big=True),
    Column("holder", String(255), nullable=False, comment="who holds them: an operator, or a service"),
    Column("digest", String(64), nullable=False, comment="the fingerprint of the set"),
    Column("bots", Json, nullable=False, comment="the ids of the bots that would stop"),
    Column("fleet", Integer, nullable=False, comment="of how many bots"),
    Column("reason", Text, nullable=False),
    Column("asks", Boolean, nullable=False, comment="only a person lets them go, no second reading"),
    Column("asked_at", AwareUTC(), nullable=False),
    Column("confirmed_at", AwareUTC()),
    Column("confirmed_by", String(100)),
    Column("expires_at", AwareUTC(), comment="until when the confirmation counts"),
    Column("ended_at", AwareUTC()),
    Column("outcome", String(40)),
)
