"""`trading_performance_metrics`: computed figures over time. The existing platform's table, in its shape."""

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table

from bot_core.schema.base import created_at, identity, metadata
from bot_core.schema.types import Json, NaiveUTC

performance_metrics = Table(
    "trading_performance_metrics",
    metadata,
    identity(),
    Column("bot_id", Integer, ForeignKey("trading_bots.id", ondelete="CASCADE"), nullable=False),
    Column("trade_type", String(10), nullable=False),
    Column("symbol", String(20)),
    Column("interval", String(10)),
    Column("entry_logic_name", String(100)),
    Column("exit_logic_name", String(100)),
    Column("metrics", Json, nullable=False),
    Column("calculated_at", NaiveUTC()),
    created_at(),
    *(Index(f"ix_trading_performance_metrics_{name}", name) for name in ("bot_id", "calculated_at", "symbol")),
)
