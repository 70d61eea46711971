"""The existing platform's tables and our own beside them.

On an existing database only what is missing is created: a table that is there is never touched.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from bot_core.schema.types import AwareUTC, BigId, Json, Money, NaiveUTC, TextList

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    existing = set(sa.inspect(op.get_bind()).get_table_names())

    def create_table(name: str, *columns: Any, **options: Any) -> None:
        if name not in existing:
            op.create_table(name, *columns, **options)

    def create_index(name: str, table: str, columns: list[str]) -> None:
        if table not in existing:
            op.create_index(name, table, columns)

    create_table(
        "bot_events",
        sa.Column("id", BigId, sa.Identity(always=True), nullable=False),
        sa.Column("bot_id", sa.Integer(), nullable=False),
        sa.Column("at", AwareUTC(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("old_value", Json, nullable=True),
        sa.Column("new_value", Json, nullable=True),
        sa.Column("correlation_id", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    create_index("ix_bot_events_bot_id_at", "bot_events", ["bot_id", "at"])
    create_table(
        "bot_halts",
        sa.Column("id", BigId, sa.Identity(always=True), nullable=False),
        sa.Column("scope", sa.String(length=8), nullable=False),
        sa.Column("target_id", sa.Integer(), nullable=True, comment="the bot's or the user's id; NULL for everybody"),
        sa.Column("created_by", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", AwareUTC(), nullable=False),
        sa.Column("cleared_at", AwareUTC(), nullable=True),
        sa.Column("cleared_by", sa.String(length=100), nullable=True),
        sa.CheckConstraint("(scope = 'all') = (target_id IS NULL)", name="ck_bot_halts_target"),
        sa.CheckConstraint("scope IN ('bot', 'user', 'all')", name="ck_bot_halts_scope"),
        sa.PrimaryKeyConstraint("id"),
    )
    create_table(
        "msg_messages",
        sa.Column("id", BigId, sa.Identity(always=True), nullable=False),
        sa.Column("message_type", sa.String(length=50), nullable=False),
        sa.Column("priority", sa.String(length=20), server_default=sa.text("'NORMAL'"), nullable=False),
        sa.Column("channels", TextList, nullable=False),
        sa.Column("recipient_id", sa.String(length=100), nullable=True),
        sa.Column("template_name", sa.String(length=100), nullable=True),
        sa.Column("content", Json, nullable=False),
        sa.Column("metadata", Json, nullable=True),
        sa.Column("created_at", AwareUTC(), server_default=sa.func.now(), nullable=False),
        sa.Column("scheduled_for", AwareUTC(), server_default=sa.func.now(), nullable=False),
        sa.Column("status", sa.String(length=20), server_default=sa.text("'PENDING'"), nullable=False),
        sa.Column("retry_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("max_retries", sa.Integer(), server_default=sa.text("3"), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("processed_at", AwareUTC(), nullable=True),
        sa.Column("locked_by", sa.String(length=100), nullable=True),
        sa.Column("locked_at", AwareUTC(), nullable=True),
        sa.CheckConstraint("priority IN ('LOW', 'NORMAL', 'HIGH', 'CRITICAL')", name="check_priority"),
        sa.CheckConstraint(
            "status IN ('PENDING', 'PROCESSING', 'DELIVERED', 'FAILED', 'CANCELLED')", name="check_status"
        ),
        sa.CheckConstraint("max_retries >= 0", name="check_max_retries_positive"),
        sa.CheckConstraint("retry_count >= 0", name="check_retry_count_positive"),
        sa.PrimaryKeyConstraint("id"),
    )
    create_index("ix_msg_messages_status_scheduled_for", "msg_messages", ["status", "scheduled_for"])
    create_table(
        "usr_users",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("email", sa.String(length=100), nullable=True),
        sa.Column("role", sa.String(length=20), server_default=sa.text("'trader'"), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("(true)"), nullable=True),
        sa.Column("created_at", AwareUTC(), server_default=sa.func.now(), nullable=True),
        sa.Column("updated_at", NaiveUTC(), nullable=True),
        sa.Column("last_login", NaiveUTC(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    create_index("ix_users_email", "usr_users", ["email"])
    create_table(
        "msg_delivery_status",
        sa.Column("id", BigId, sa.Identity(always=True), nullable=False),
        sa.Column("message_id", BigId, nullable=False),
        sa.Column("channel", sa.String(length=50), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("delivered_at", AwareUTC(), nullable=True),
        sa.Column("response_time_ms", sa.Integer(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("external_id", sa.String(length=255), nullable=True),
        sa.Column("created_at", AwareUTC(), server_default=sa.func.now(), nullable=True),
        sa.CheckConstraint(
            "status IN ('PENDING', 'SENT', 'DELIVERED', 'FAILED', 'BOUNCED')", name="check_delivery_status_valid"
        ),
        sa.ForeignKeyConstraint(["message_id"], ["msg_messages.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    create_index("ix_msg_delivery_status_message_id", "msg_delivery_status", ["message_id"])
    create_table(
        "trading_bots",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("started_at", NaiveUTC(), nullable=True),
        sa.Column("last_heartbeat", NaiveUTC(), nullable=True),
        sa.Column("error_count", sa.Integer(), nullable=True),
        sa.Column("current_balance", Money(), nullable=True),
        sa.Column("total_pnl", Money(), nullable=True),
        sa.Column("extra_metadata", Json, nullable=True),
        sa.Column("created_at", AwareUTC(), server_default=sa.func.now(), nullable=True),
        sa.Column("updated_at", NaiveUTC(), nullable=True),
        sa.Column("config", Json, nullable=False),
        sa.Column("description", sa.Text(), nullable=True, comment="description given by the trader"),
        sa.ForeignKeyConstraint(["user_id"], ["usr_users.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    create_table(
        "usr_auth_identities",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("external_id", sa.String(length=255), nullable=False),
        sa.Column("metadata", Json, nullable=True),
        sa.Column("created_at", AwareUTC(), server_default=sa.func.now(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["usr_users.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    create_index("ix_usr_auth_identities_provider", "usr_auth_identities", ["provider"])
    create_index("ix_usr_auth_identities_user_id", "usr_auth_identities", ["user_id"])
    create_table(
        "bot_leases",
        sa.Column("bot_id", sa.Integer(), nullable=False),
        sa.Column("holder", sa.String(length=255), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("acquired_at", AwareUTC(), nullable=False),
        sa.Column("expires_at", AwareUTC(), nullable=False),
        sa.ForeignKeyConstraint(["bot_id"], ["trading_bots.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("bot_id"),
    )
    create_table(
        "bot_orders",
        sa.Column("id", BigId, sa.Identity(always=True), nullable=False),
        sa.Column("bot_id", sa.Integer(), nullable=False),
        sa.Column("client_order_id", sa.String(length=64), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.String(length=12), nullable=False),
        sa.Column("side", sa.String(length=4), nullable=False),
        sa.Column("type", sa.String(length=12), nullable=False),
        sa.Column("symbol", sa.String(length=20), nullable=False),
        sa.Column("quantity", Money(), nullable=False),
        sa.Column(
            "price", Money(), nullable=True, comment="what the decision was taken at: the close of the signal bar"
        ),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("broker_order_id", sa.String(length=100), nullable=True),
        sa.Column("filled_quantity", Money(), nullable=True),
        sa.Column("filled_price", Money(), nullable=True),
        sa.Column("commission", Money(), nullable=True),
        sa.Column("bar_time", AwareUTC(), nullable=False, comment="open time of the bar that the signal came from"),
        sa.Column("reason", sa.String(length=100), nullable=True),
        sa.Column("correlation_id", sa.String(length=64), nullable=True),
        sa.Column("created_at", AwareUTC(), nullable=False),
        sa.Column("updated_at", AwareUTC(), nullable=False),
        sa.CheckConstraint(
            "state IN ('intended', 'submitted', 'unknown', 'open', 'filled', 'canceled', 'rejected')",
            name="ck_bot_orders_state",
        ),
        sa.ForeignKeyConstraint(["bot_id"], ["trading_bots.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("client_order_id", name="uq_bot_orders_client_order_id"),
    )
    create_index("ix_bot_orders_bot_id_state", "bot_orders", ["bot_id", "state"])
    create_table(
        "bot_state",
        sa.Column("bot_id", sa.Integer(), nullable=False),
        sa.Column("cursor", AwareUTC(), nullable=True, comment="open time of the last bar that was processed"),
        sa.Column("account", Json, nullable=True, comment="cash, realized P&L and position, exact: decimals as text"),
        sa.Column("rule_state", Json, nullable=True),
        sa.Column("config", Json, nullable=True, comment="the last document that was valid and ran"),
        sa.Column("config_hash", sa.String(length=64), nullable=True),
        sa.Column("updated_at", AwareUTC(), nullable=False),
        sa.ForeignKeyConstraint(["bot_id"], ["trading_bots.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("bot_id"),
    )
    create_table(
        "trading_performance_metrics",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("bot_id", sa.Integer(), nullable=False),
        sa.Column("trade_type", sa.String(length=10), nullable=False),
        sa.Column("symbol", sa.String(length=20), nullable=True),
        sa.Column("interval", sa.String(length=10), nullable=True),
        sa.Column("entry_logic_name", sa.String(length=100), nullable=True),
        sa.Column("exit_logic_name", sa.String(length=100), nullable=True),
        sa.Column("metrics", Json, nullable=False),
        sa.Column("calculated_at", NaiveUTC(), nullable=True),
        sa.Column("created_at", AwareUTC(), server_default=sa.func.now(), nullable=True),
        sa.ForeignKeyConstraint(["bot_id"], ["trading_bots.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    create_index("ix_trading_performance_metrics_bot_id", "trading_performance_metrics", ["bot_id"])
    create_index("ix_trading_performance_metrics_calculated_at", "trading_performance_metrics", ["calculated_at"])
    create_index("ix_trading_performance_metrics_symbol", "trading_performance_metrics", ["symbol"])
    create_table(
        "trading_positions",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("bot_id", sa.Integer(), nullable=False),
        sa.Column("trade_type", sa.String(length=10), nullable=False),
        sa.Column("symbol", sa.String(length=20), nullable=False),
        sa.Column("direction", sa.String(length=10), nullable=False),
        sa.Column("opened_at", NaiveUTC(), nullable=True),
        sa.Column("closed_at", NaiveUTC(), nullable=True),
        sa.Column("qty_open", Money(), server_default=sa.text("0"), nullable=False),
        sa.Column("avg_price", Money(), nullable=True),
        sa.Column("realized_pnl", Money(), server_default=sa.text("0"), nullable=True),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("extra_metadata", Json, nullable=True),
        sa.ForeignKeyConstraint(["bot_id"], ["trading_bots.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    create_index("ix_trading_positions_bot_id", "trading_positions", ["bot_id"])
    create_index("ix_trading_positions_symbol", "trading_positions", ["symbol"])
    create_table(
        "trading_trades",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("bot_id", sa.Integer(), nullable=False),
        sa.Column("trade_type", sa.String(length=10), nullable=False),
        sa.Column("strategy_name", sa.String(length=100), nullable=True),
        sa.Column("entry_logic_name", sa.String(length=100), nullable=False),
        sa.Column("exit_logic_name", sa.String(length=100), nullable=False),
        sa.Column("symbol", sa.String(length=20), nullable=False),
        sa.Column("interval", sa.String(length=10), nullable=False),
        sa.Column("entry_time", NaiveUTC(), nullable=True),
        sa.Column("exit_time", NaiveUTC(), nullable=True),
        sa.Column("buy_order_created", NaiveUTC(), nullable=True),
        sa.Column("buy_order_closed", NaiveUTC(), nullable=True),
        sa.Column("sell_order_created", NaiveUTC(), nullable=True),
        sa.Column("sell_order_closed", NaiveUTC(), nullable=True),
        sa.Column("entry_price", Money(), nullable=True),
        sa.Column("exit_price", Money(), nullable=True),
        sa.Column("entry_value", Money(), nullable=True),
        sa.Column("exit_value", Money(), nullable=True),
        sa.Column("size", Money(), nullable=True),
        sa.Column("direction", sa.String(length=10), nullable=False),
        sa.Column("commission", Money(), nullable=True),
        sa.Column("gross_pnl", Money(), nullable=True),
        sa.Column("net_pnl", Money(), nullable=True),
        sa.Column("pnl_percentage", Money(10, 4), nullable=True),
        sa.Column("exit_reason", sa.String(length=100), nullable=True),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("extra_metadata", Json, nullable=True),
        sa.Column("created_at", AwareUTC(), server_default=sa.func.now(), nullable=True),
        sa.Column("updated_at", NaiveUTC(), nullable=True),
        sa.Column("position_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["bot_id"], ["trading_bots.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["position_id"], ["trading_positions.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
    )
    create_index("ix_trading_trades_bot_id", "trading_trades", ["bot_id"])
    create_index("ix_trading_trades_entry_time", "trading_trades", ["entry_time"])
    create_index("ix_trading_trades_status", "trading_trades", ["status"])
    create_index("ix_trading_trades_strategy_name", "trading_trades", ["strategy_name"])
    create_index("ix_trading_trades_symbol", "trading_trades", ["symbol"])
    create_index("ix_trading_trades_trade_type", "trading_trades", ["trade_type"])


def downgrade() -> None:
    """Only our own tables are dropped: the others may be another program's."""
    for table in ("bot_state", "bot_orders", "bot_leases", "bot_halts", "bot_events"):
        op.drop_table(table)
