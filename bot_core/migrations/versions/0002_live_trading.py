"""Limits across bots, halts that flatten, prices of limit and stop orders, and the account that a bot trades with."""

import sqlalchemy as sa
from alembic import op

from bot_core.schema.types import AwareUTC, BigId, Money

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "bot_limits",
        sa.Column("id", BigId, sa.Identity(always=True), nullable=False),
        sa.Column("scope", sa.String(length=8), nullable=False),
        sa.Column(
            "target", sa.String(length=100), nullable=False, comment="the user's id, the account's name, or * for all"
        ),
        sa.Column(
            "trading_mode",
            sa.String(length=10),
            nullable=False,
            comment="paper or live: what counts, and what is limited",
        ),
        sa.Column(
            "max_exposure",
            Money(),
            nullable=True,
            comment="most value of open positions and entries on their way, quote currency",
        ),
        sa.Column(
            "max_daily_loss",
            Money(),
            nullable=True,
            comment="most net loss of trades closed in one UTC day, quote currency",
        ),
        sa.Column("updated_by", sa.String(length=100), nullable=False),
        sa.Column("updated_at", AwareUTC(), nullable=False),
        sa.CheckConstraint("scope IN ('user', 'account', 'all')", name="ck_bot_limits_scope"),
        sa.CheckConstraint("trading_mode IN ('paper', 'live')", name="ck_bot_limits_mode"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("scope", "target", "trading_mode", name="uq_bot_limits_scope_target_mode"),
    )
    account = "the money that is traded with, such as binance:bot-keys"
    op.add_column("bot_orders", sa.Column("limit_price", Money(), comment="of a limit order"))
    op.add_column("bot_orders", sa.Column("stop_price", Money(), comment="what triggers a stop order"))
    op.add_column("bot_orders", sa.Column("account", sa.String(length=100), comment=account))
    told = "the newest fill, on the clock of the bars or of the venue"
    op.add_column("bot_orders", sa.Column("filled_at", AwareUTC(), comment=told))
    account = "the money that it trades with, such as binance:bot-keys"
    op.add_column("bot_state", sa.Column("broker_account", sa.String(length=100), comment=account))
    told = "close positions, beside letting none be opened"
    op.add_column(
        "bot_halts", sa.Column("flatten", sa.Boolean(), nullable=False, server_default=sa.false(), comment=told)
    )
