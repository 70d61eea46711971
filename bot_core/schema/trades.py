"""`trading_trades`: one row a trade, open or closed. The existing platform's table, in its shape."""

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table

from bot_core.schema.base import created_at, identity, metadata
from bot_core.schema.types import Json, Money, NaiveUTC

_INDEXED = ("bot_id", "entry_time", "status", "strategy_name", "symbol", "trade_type")

trades = Table(
    "trading_trades",
    metadata,
    identity(),
    Column("bot_id", Integer, ForeignKey("trading_bots.id", ondelete="CASCADE"), nullable=False),
    Column("trade_type", String(10), nullable=False),
    Column("strategy_name", String(100)),
    Column("entry_logic_name", String(100), nullable=False),
    Column("exit_logic_name", String(100), nullable=False),
    Column("symbol", String(20), nullable=False),
    Column("interval", String(10), nullable=False),
    Column("entry_time", NaiveUTC()),
    Column("exit_time", NaiveUTC()),
    Column("buy_order_created", NaiveUTC()),
    Column("buy_order_closed", NaiveUTC()),
    Column("sell_order_created", NaiveUTC()),
    Column("sell_order_closed", NaiveUTC()),
    Column("entry_price", Money()),
    Column("exit_price", Money()),
    Column("entry_value", Money()),
    Column("exit_value", Money()),
    Column("size", Money()),
    Column("direction", String(10), nullable=False),
    Column("commission", Money()),
    Column("gross_pnl", Money()),
    Column("net_pnl", Money()),
    Column("pnl_percentage", Money(10, 4)),
    Column("exit_reason", String(100)),
    Column("status", String(20), nullable=False),
    Column("extra_metadata", Json),
    created_at(),
    Column("updated_at", NaiveUTC()),
    Column("position_id", Integer, ForeignKey("trading_positions.id", ondelete="SET NULL")),
    *(Index(f"ix_trading_trades_{name}", name) for name in _INDEXED),
)
