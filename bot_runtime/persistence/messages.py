"""Notifications as rows of the existing queue `msg_messages`. It writes texts; a dispatcher delivers them."""

from decimal import Decimal
from typing import Any

from bot_core.models.bot import BotRow
from bot_core.models.config import BotConfig
from bot_core.store.outbox import build_message
from bot_runtime.domain.position import Position
from bot_runtime.domain.trade import Trade


def opened_message(row: BotRow, config: BotConfig, position: Position) -> dict[str, Any] | None:
    """The row to queue for an entry, or None if nobody asked to be told."""
    if not config.notifications.position_opened:
        return None
    text = f"BUY {_amount(position.quantity)} {config.symbol} @ {_amount(position.entry_price)}"
    data = {"order_type": "BUY", "price": str(position.entry_price), "size": str(position.quantity), "pnl": None}
    return _message(row, config, "trade_entry", f"Position Opened: {config.symbol}", text, data)


def closed_message(row: BotRow, config: BotConfig, trade: Trade) -> dict[str, Any] | None:
    """The row to queue for an exit, or None if nobody asked to be told. P&L is net; its per cent is of the entry."""
    if not config.notifications.position_closed:
        return None
    percent = trade.net_pnl / (trade.entry_price * trade.size) * 100
    text = (
        f"SELL {_amount(trade.size)} {config.symbol} @ {_amount(trade.exit_price)} "
        f"(P&L: {_amount(trade.net_pnl)} / {percent:+.2f}%, {trade.exit_reason})"
    )
    data = {
        "order_type": "SELL",
        "price": str(trade.exit_price),
        "size": str(trade.size),
        "pnl": str(trade.net_pnl),
        "reason": trade.exit_reason,
    }
    return _message(row, config, "trade_exit", f"Position Closed: {config.symbol}", text, data)


def _message(
    row: BotRow, config: BotConfig, kind: str, title: str, text: str, data: dict[str, Any]
) -> dict[str, Any] | None:
    # Bars from a file are a simulation: the old platform tells nobody of those, nor do we.
    if config.data.data_source == "file" or not config.notifications.channels:
        return None
    paper = " (Paper Trading)" if config.broker.trading_mode == "paper" else ""
    about = {"symbol": config.symbol, "trading_mode": config.broker.trading_mode}
    return build_message(row, kind, title, f"{text}{paper}", config.notifications.channels, about | data)


def _amount(value: Decimal) -> str:
    """At most eight decimals, without trailing zeros and without an exponent."""
    return format(round(value, 8).normalize(), "f")
