"""`trading_positions`: what a bot holds. The existing platform's table, in its shape."""

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, text

from bot_core.schema.base import identity, metadata
from bot_core.schema.types import Json, Money, NaiveUTC

positions = Table(
    "trading_positions",
    metadata,
    identity(),
    Column("bot_id", Integer, ForeignKey("trading_bots.id", ondelete="CASCADE"), nullable=False),
    Column("trade_type", String(10), nullable=False),
    Column("symbol", String(20), nullable=False),
    Column("direction", String(10), nullable=False),
    Column("opened_at", NaiveUTC()),
    Column("closed_at", NaiveUTC()),
    Column("qty_open", Money(), nullable=False, server_default=text("0")),
    Column("avg_price", Money()),
    Column("realized_pnl", Money(), server_default=text("0")),
    Column("status", String(12), nullable=False),
    Column("extra_metadata", Json),
    Index("ix_trading_positions_bot_id", "bot_id"),
    Index("ix_trading_positions_symbol", "symbol"),
)
