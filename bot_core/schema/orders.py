"""`bot_orders`: the journal. A row is written before an order is sent, and never deleted."""

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, Integer, String, Table, UniqueConstraint

from bot_core.schema.base import identity, metadata
from bot_core.schema.types import AwareUTC, Money

ORDER_STATES = ("intended", "submitted", "unknown", "open", "filled", "canceled", "rejected")

orders = Table(
    "bot_orders",
    metadata,
    identity(big=True),
    Column("bot_id", Integer, ForeignKey("trading_bots.id", ondelete="CASCADE"), nullable=False),
    Column("client_order_id", String(64), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("purpose", String(12), nullable=False),
    Column("side", String(4), nullable=False),
    Column("type", String(12), nullable=False),
    Column("symbol", String(20), nullable=False),
    Column("quantity", Money(), nullable=False),
    Column("price", Money(), comment="what the decision was taken at: the close of the signal bar"),
    Column("limit_price", Money(), comment="of a limit order"),
    Column("stop_price", Money(), comment="what triggers a stop order"),
    Column("account", String(100), comment="the money that is traded with, such as binance:bot-keys"),
    Column("state", String(12), nullable=False),
    Column("broker_order_id", String(100)),
    Column("filled_quantity", Money()),
    Column("filled_price", Money()),
    Column("commission", Money()),
    Column("filled_at", AwareUTC(), comment="the newest fill, on the clock of the bars or of the venue"),
    Column("bar_time", AwareUTC(), nullable=False, comment="open time of the bar that the signal came from"),
    Column("reason", String(100)),
    Column("correlation_id", String(64)),
    Column("created_at", AwareUTC(), nullable=False),
    Column("updated_at", AwareUTC(), nullable=False),
    UniqueConstraint("client_order_id", name="uq_bot_orders_client_order_id"),
    CheckConstraint("state IN ('" + "', '".join(ORDER_STATES) + "')", name="ck_bot_orders_state"),
    Index("ix_bot_orders_bot_id_state", "bot_id", "state"),
)
