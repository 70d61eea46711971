"""`usr_users` and `usr_auth_identities` of the existing platform, in their shape."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table, text

from bot_core.schema.base import created_at, identity, metadata
from bot_core.schema.types import Json, NaiveUTC

users = Table(
    "usr_users",
    metadata,
    identity(),
    Column("email", String(100)),
    Column("role", String(20), nullable=False, server_default=text("'trader'")),
    Column("is_active", Boolean, server_default=text("true")),
    created_at(),
    Column("updated_at", NaiveUTC()),
    Column("last_login", NaiveUTC()),
    Index("ix_users_email", "email"),
)

auth_identities = Table(
    "usr_auth_identities",
    metadata,
    identity(),
    Column("user_id", Integer, ForeignKey("usr_users.id", ondelete="CASCADE"), nullable=False),
    Column("provider", String(32), nullable=False),
    Column("external_id", String(255), nullable=False),
    Column("metadata", Json),
    created_at(),
    Index("ix_usr_auth_identities_provider", "provider"),
    Index("ix_usr_auth_identities_user_id", "user_id"),
)
