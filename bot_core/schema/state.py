"""`bot_state`: where a bot is in its bars, what its rules remember, and the last configuration that was good."""

from sqlalchemy import Column, ForeignKey, Integer, String, Table

from bot_core.schema.base import metadata
from bot_core.schema.types import AwareUTC, Json

state = Table(
    "bot_state",
    metadata,
    Column("bot_id", Integer, ForeignKey("trading_bots.id", ondelete="CASCADE"), primary_key=True),
    Column("cursor", AwareUTC(), comment="open time of the last bar that was processed"),
    Column("account", Json, comment="cash, realized P&L and position, exact: decimals as text"),
    Column("broker_account", String(100), comment="the money that it trades with, such as binance:bot-keys"),
    Column("rule_state", Json),
    Column("config", Json, comment="the last document that was valid and ran"),
    Column("config_hash", String(64)),
    Column("updated_at", AwareUTC(), nullable=False),
)
