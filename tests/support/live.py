"""Documents and orders of live bots, for tests of brokers."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from bot_core.models.config import BotConfig, parse_config
from bot_runtime.domain.order import OrderIntent, OrderType, Purpose, Side
from support.bots import a_document


def a_live_config(kind: str, symbol: str, *, secret: str | None = "bot-keys", **broker: Any) -> BotConfig:
    document = a_document(
        symbol=symbol,
        broker={"type": kind, "trading_mode": "live", "live_trading_confirmed": True, "cash": 10000.0, **broker},
        credentials_secret=secret,
        data={"data_source": "binance", "interval": "1m"},
    )
    parsed = parse_config(document)
    assert parsed.config is not None, parsed.error
    return parsed.config


def an_intent(
    name: str = "tb7-en-1",
    *,
    side: Side = Side.BUY,
    kind: OrderType = OrderType.MARKET,
    quantity: str = "2",
    limit: str | None = None,
    stop: str | None = None,
) -> OrderIntent:
    return OrderIntent(
        client_order_id=name,
        purpose=Purpose.ENTRY if side is Side.BUY else Purpose.EXIT,
        side=side,
        type=kind,
        quantity=Decimal(quantity),
        signal_time=datetime.now(UTC),
        signal_price=Decimal(100),
        reason="a test",
        limit_price=None if limit is None else Decimal(limit),
        stop_price=None if stop is None else Decimal(stop),
    )


def time_left() -> float:
    return 60.0
