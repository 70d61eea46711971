"""`bot_limits`: what the bots of one user, of one broker account or all of them may risk together."""

from sqlalchemy import CheckConstraint, Column, String, Table, UniqueConstraint

from bot_core.schema.base import identity, metadata
from bot_core.schema.types import AwareUTC, Money

limits = Table(
    "bot_limits",
    metadata,
    identity(big=True),
    Column("scope", String(8), nullable=False),
    Column("target", String(100), nullable=False, comment="the user's id, the account's name, or * for all"),
    Column("trading_mode", String(10), nullable=False, comment="paper or live: what counts, and what is limited"),
    Column("max_exposure", Money(), comment="most value of open positions and entries on their way, quote currency"),
    Column("max_daily_loss", Money(), comment="most net loss of trades closed in one UTC day, quote currency"),
    Column("updated_by", String(100), nullable=False),
    Column("updated_at", AwareUTC(), nullable=False),
    UniqueConstraint("scope", "target", "trading_mode", name="uq_bot_limits_scope_target_mode"),
    CheckConstraint("scope IN ('user', 'account', 'all')", name="ck_bot_limits_scope"),
    CheckConstraint("trading_mode IN ('paper', 'live')", name="ck_bot_limits_mode"),
)
