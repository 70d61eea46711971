"""`msg_messages` and `msg_delivery_status`: the existing platform's notification queue, in its shape."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, String, Table, Text, func, text

from bot_core.schema.base import created_at, identity, metadata
from bot_core.schema.types import AwareUTC, BigId, Json, TextList

messages = Table(
    "msg_messages",
    metadata,
    identity(big=True),
    Column("message_type", String(50), nullable=False),
    Column("priority", String(20), nullable=False, server_default=text("'NORMAL'")),
    Column("channels", TextList, nullable=False),
    Column("recipient_id", String(100)),
    Column("template_name", String(100)),
    Column("content", Json, nullable=False),
    Column("metadata", Json),
    Column("created_at", AwareUTC(), nullable=False, server_default=func.now()),
    Column("scheduled_for", AwareUTC(), nullable=False, server_default=func.now()),
    Column("status", String(20), nullable=False, server_default=text("'PENDING'")),
    Column("retry_count", Integer, nullable=False, server_default=text("0")),
    Column("max_retries", Integer, nullable=False, server_default=text("3")),
    Column("last_error", Text),
    Column("processed_at", AwareUTC()),
    Column("locked_by", String(100)),
    Column("locked_at", AwareUTC()),
    CheckConstraint("priority IN ('LOW', 'NORMAL', 'HIGH', 'CRITICAL')", name="check_priority"),
    CheckConstraint("status IN ('PENDING', 'PROCESSING', 'DELIVERED', 'FAILED', 'CANCELLED')", name="check_status"),
    CheckConstraint("retry_count >= 0", name="check_retry_count_positive"),
    CheckConstraint("max_retries >= 0", name="check_max_retries_positive"),
    Index("ix_msg_messages_status_scheduled_for", "status", "scheduled_for"),
)

delivery_status = Table(
    "msg_delivery_status",
    metadata,
    identity(big=True),
    Column("message_id", BigId, ForeignKey("msg_messages.id", ondelete="CASCADE"), nullable=False),
    Column("channel", String(50), nullable=False),
    Column("status", String(20), nullable=False),
    Column("delivered_at", AwareUTC()),
    Column("response_time_ms", Integer),
    Column("error_message", Text),
    Column("external_id", String(255)),
    created_at(),
    CheckConstraint(
        "status IN ('PENDING', 'SENT', 'DELIVERED', 'FAILED', 'BOUNCED')", name="check_delivery_status_valid"
    ),
    Index("ix_msg_delivery_status_message_id", "message_id"),
)
