"""Duties that one process has for all of them: delivering messages, reading commands, writing summaries."""

import sqlalchemy as sa
from alembic import op

from bot_core.schema.types import AwareUTC, Json

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "bot_duties",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("holder", sa.String(length=255), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", AwareUTC(), nullable=False),
        sa.Column("memory", Json, nullable=True, comment="what the next holder has to know"),
        sa.PrimaryKeyConstraint("name"),
    )
