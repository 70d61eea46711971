"""`bot_halts`: latched stops for one bot, one user or everybody."""

from sqlalchemy import Boolean, CheckConstraint, Column, Integer, String, Table, Text, false

from bot_core.schema.base import identity, metadata
from bot_core.schema.types import AwareUTC

halts = Table(
    "bot_halts",
    metadata,
    identity(big=True),
    Column("scope", String(8), nullable=False),
    Column("target_id", Integer, comment="the bot's or the user's id; NULL for everybody"),
    Column(
        "flatten",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="close positions, beside letting none be opened",
    ),
    Column("created_by", String(100), nullable=False),
    Column("reason", Text),
    Column("created_at", AwareUTC(), nullable=False),
    Column("cleared_at", AwareUTC()),
    Column("cleared_by", String(100)),
    CheckConstraint("scope IN ('bot', 'user', 'all')", name="ck_bot_halts_scope"),
    CheckConstraint("(scope = 'all') = (target_id IS NULL)", name="ck_bot_halts_target"),
)
