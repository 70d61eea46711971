"""Sets of bots that the safety brake holds, and who let them go."""

import sqlalchemy as sa
from alembic import op

from bot_core.schema.types import AwareUTC, BigId, Json

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "bot_shrinks",
        sa.Column("id", BigId, sa.Identity(always=True), nullable=False),
        sa.Column("holder", sa.String(length=255), nullable=False, comment="who holds them: an operator, or a service"),
        sa.Column("digest", sa.String(length=64), nullable=False, comment="the fingerprint of the set"),
        sa.Column("bots", Json, nullable=False, comment="the ids of the bots that would stop"),
        sa.Column("fleet", sa.Integer(), nullable=False, comment="of how many bots"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("asks", sa.Boolean(), nullable=False, comment="only a person lets them go, no second reading"),
        sa.Column("asked_at", AwareUTC(), nullable=False),
        sa.Column("confirmed_at", AwareUTC(), nullable=True),
        sa.Column("confirmed_by", sa.String(length=100), nullable=True),
        sa.Column("expires_at", AwareUTC(), nullable=True, comment="until when the confirmation counts"),
        sa.Column("ended_at", AwareUTC(), nullable=True),
        sa.Column("outcome", sa.String(length=40), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
