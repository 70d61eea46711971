"""What a bot's owner is told of its trades, its limits and halts. It words letters; the store queues them."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from bot_core.models.config import BotConfig
from bot_core.models.halt import Halt
from bot_core.models.recipients import Purpose
from bot_core.store.outbox import Letter
from bot_runtime.domain.money import ZERO
from bot_runtime.domain.position import Position
from bot_runtime.domain.trade import Trade

_MONEY_STEP = Decimal("0.01")


def opened_letter(config: BotConfig, position: Position, **order: Any) -> Letter:
    """An entry has filled. `order` is what the metadata says of its order."""
    text = f"BUY {amount(position.quantity)} {config.symbol} @ {amount(position.entry_price)}"
    price, size = str(position.entry_price), str(position.quantity)
    data = {"order_type": "BUY", "price": price, "size": size, "pnl": None, "entry_price": price}
    data |= {"reason": position.entry_reason} | order
    return Letter(Purpose.TRADE_BUY, "trade_entry", f"Position Opened: {config.symbol}", text, data)


def closed_letter(config: BotConfig, trade: Trade, **order: Any) -> Letter:
    """An exit has filled. P&L is net; its per cent is of what the entry cost without commission."""
    cost = trade.entry_price * trade.size
    percent = trade.net_pnl / cost * 100 if cost else ZERO
    held = trade.exit_time - trade.entry_time
    text = (
        f"SELL {amount(trade.size)} {config.symbol} @ {amount(trade.exit_price)} "
        f"(P&L: {money(trade.net_pnl)} / {percent:+.2f}%, held {duration(held)}, {trade.exit_reason})"
    )
    data = {
        "order_type": "SELL",
        "price": str(trade.exit_price),
        "size": str(trade.size),
        "pnl": amount(trade.net_pnl),
        "pnl_percentage": f"{percent:.4f}",
        "holding_seconds": round(held.total_seconds()),
        "reason": trade.exit_reason,
        "entry_price": str(trade.entry_price),
    }
    return Letter(Purpose.TRADE_SELL, "trade_exit", f"Position Closed: {config.symbol}", text, data | order)


def limit_letter(name: str, limit: str, message: str) -> Letter:
    """A limit keeps a bot from entries."""
    return Letter(Purpose.RISK, "alert", f"Risk Limit: {name}", message, {"limit": limit}, again=f"limit {limit}")


def halted_letter(name: str, halt: Halt) -> Letter:
    does = "its position is closed" if halt.flatten else "no entries; exits and stops go on"
    facts = {"halt_id": halt.id, "halt_scope": str(halt.scope), "flatten": halt.flatten, "reason": halt.reason}
    return Letter(Purpose.HALT, "alert", f"Trading Halted: {name}", f"{halt}; {does}", facts)


def resumed_letter(name: str) -> Letter:
    return Letter(Purpose.HALT, "alert", f"Trading Resumed: {name}", "no halt holds this bot any more")


def duration(span: timedelta) -> str:
    """`1d 2h 3m`, `4h 5m`, `6m 7s`: the two or three greatest units."""
    seconds = max(0, round(span.total_seconds()))
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days}d {hours}h {minutes}m"
    if hours:
        return f"{hours}h {minutes}m"
    return f"{minutes}m {seconds % 60}s" if minutes else f"{seconds}s"


def amount(value: Decimal) -> str:
    """At most eight decimals, without trailing zeros and without an exponent."""
    return format(round(value, 8).normalize(), "f")


def money(value: Decimal, *, sign: str = "+") -> str:
    """Two decimals, more where two would say nothing; with its sign, or with `sign` "" that of losses only."""
    return format(value, f"{sign},.2f") if abs(value) >= _MONEY_STEP or not value else format(value, f"{sign}.8f")
