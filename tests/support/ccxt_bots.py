"""Documents and credentials of bots that trade at the stand-in exchange."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from bot_core.models.config import BotConfig, parse_config
from bot_runtime.domain.order import OrderIntent, OrderType, Purpose, Side
from support.bots import a_document
from support.exchange.server import API_KEY, API_SECRET

SECRET_NAME = "bot-keys"
KEY_VARIABLES = {"BOT_KEYS_API_KEY": API_KEY, "BOT_KEYS_API_SECRET": API_SECRET}
NOW = datetime(2024, 1, 1, tzinfo=UTC)


def a_live_document(**changes: Any) -> dict[str, Any]:
    """Trade BTCUSDT live at binance, by the keys of `bot-keys`."""
    broker = {"type": "binance", "trading_mode": "live", "live_trading_confirmed": True}
    usual = {"symbol": "BTCUSDT", "broker": broker, "credentials_secret": SECRET_NAME}
    return a_document(**usual | {"data": {"data_source": "binance", "interval": "1m"}} | changes)


def a_live_config(broker: Mapping[str, Any] | None = None, **changes: Any) -> BotConfig:
    document = a_live_document(**changes)
    document["broker"] |= dict(broker or {})
    parsed = parse_config(document)
    assert parsed.config is not None, parsed.error
    return parsed.config


def an_order(name: str = "tb7-en-1", **changes: Any) -> OrderIntent:
    """Buy 0.01 BTC at the market."""
    intent: dict[str, Any] = {
        "client_order_id": name,
        "purpose": Purpose.ENTRY,
        "side": Side.BUY,
        "type": OrderType.MARKET,
        "quantity": Decimal("0.01"),
        "signal_time": NOW,
        "signal_price": Decimal(50000),
        "reason": "test",
    }
    return OrderIntent(**intent | changes)
