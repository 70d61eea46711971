"""The account that a bot goes on with: what it saved, or what the old platform left, or its opening cash.

It writes only marks on trades that an older program left open; it never closes one silently.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import structlog

from bot_core.models.bot import BotRow
from bot_core.models.config import BotConfig
from bot_core.models.errors import InvalidBotError, NotFlatError
from bot_core.models.shapes.market import plain_symbol
from bot_runtime.domain.account import Account
from bot_runtime.domain.money import round_money
from bot_runtime.domain.position import Direction, Position
from bot_runtime.persistence.ledger import Ledger, Saved
from bot_runtime.persistence.rows import is_mine, is_superseded
from bot_runtime.persistence.snapshot import Snapshot

_log = structlog.get_logger(__name__)


async def resume_account(ledger: Ledger, saved: Saved, row: BotRow, config: BotConfig) -> Account:
    """Raise InvalidBotError when the saved position and the trades table contradict each other."""
    _refuse_other_symbols(saved, config)
    mine = [trade for trade in saved.open_trades if is_mine(trade, config)]
    if saved.snapshot is None:
        return await _adopted(ledger, saved, row, config, mine)
    account = saved.snapshot.account
    if account.position is not None and not mine:
        raise InvalidBotError(
            f"bot_state holds a position ({account.position.quantity} {config.symbol} since "
            f"{account.position.entry_time}), but trading_trades has no open trade for it; allowed: reopen that trade, "
            f"or account = NULL in row {row.id} of bot_state, to go on with what the tables say"
        )
    if account.position is None and mine:
        ids = ", ".join(str(trade["id"]) for trade in mine)
        raise InvalidBotError(
            f"trading_trades has open trades ({ids}) that the bot does not hold; allowed: close them, "
            f"or account = NULL in row {row.id} of bot_state, to adopt the newest"
        )
    return account


def _refuse_other_symbols(saved: Saved, config: BotConfig) -> None:
    """A position or an order belongs to its symbol: a document that names another one has to wait."""
    held = saved.snapshot is not None and saved.snapshot.account.position is not None
    others = {plain_symbol(order.symbol) for order in saved.working}
    if held and saved.snapshot is not None:
        others |= {plain_symbol(trade["symbol"]) for trade in saved.open_trades if _is_of(trade, saved.snapshot)}
    if others and config.symbol not in others:
        raise NotFlatError(
            f"symbol: {config.symbol!r} can't be traded while a position or an order in {', '.join(sorted(others))} "
            "is open; allowed: that symbol until the bot is flat"
        )


def _is_of(trade: dict[str, Any], snapshot: Snapshot) -> bool:
    """Whether an open trade is the position that was saved, as the table rounds it."""
    position = snapshot.account.position
    return (
        position is not None
        and not is_superseded(trade["extra_metadata"])
        and trade["entry_time"] == position.entry_time
        and trade["size"] == round_money(position.quantity)
    )


async def _adopted(ledger: Ledger, saved: Saved, row: BotRow, config: BotConfig, mine: list[dict[str, Any]]) -> Account:
    opening = row.current_balance if row.current_balance is not None else config.broker.cash
    account = Account(cash=round_money(opening), realized_pnl=round_money(saved.realized_pnl))
    if not mine:
        return account
    *older, newest = mine
    account.position = _position(newest)
    account.cash = round_money(opening - account.position.held * account.position.entry_price)
    marked = [trade["id"] for trade in older]
    await ledger.adopt(newest, account.position, marked)
    text = f"adopted open trade {newest['id']}; {len(older)} older open ones were marked superseded"
    others = [t["id"] for t in saved.open_trades if t not in mine and not is_superseded(t["extra_metadata"])]
    text += f"; open trades of other symbols or modes stay as they are: {others}" if others else ""
    _log.warning("trade_adopted", trade_id=newest["id"], superseded=marked, left_open=others)
    await ledger.note("adopted", text, new={"trade": newest["id"], "superseded": marked, "left_open": others})
    return account


def _position(trade: dict[str, Any]) -> Position:
    entered = trade["entry_time"] or trade["buy_order_created"] or trade["created_at"] or datetime.now(UTC)
    if not (trade["size"] or 0) > 0 or not (trade["entry_price"] or 0) > 0:
        raise InvalidBotError(
            f"open trade {trade['id']} has size {trade['size']} and entry_price {trade['entry_price']}; "
            "allowed: both above 0"
        )
    if str(trade["direction"]).lower() != Direction.LONG:
        raise InvalidBotError(
            f"open trade {trade['id']} has direction {trade['direction']!r}, which the rules can't exit; allowed: long"
        )
    exited = _exited(trade)
    return Position(
        direction=Direction.LONG,
        quantity=trade["size"],
        entry_price=trade["entry_price"],
        entry_time=entered,
        signal_time=entered,
        entry_commission=trade["commission"] or Decimal(0),
        entry_reason=trade["entry_logic_name"],
        exited=exited,
        exit_value=exited * trade["entry_price"] + (trade["position_pnl"] or Decimal(0)) if exited else Decimal(0),
    )


def _exited(trade: dict[str, Any]) -> Decimal:
    """What exits that filled in part have sold, as the trade's position says. What they cost is in the balance."""
    size, left = trade["size"], trade["qty_open"]
    if left is not None and not 0 < left <= size:
        raise InvalidBotError(
            f"open trade {trade['id']} has size {size}, and its position (row {trade['position_id']} of "
            f"trading_positions) has qty_open {left}; allowed: above 0, and {size} at the most"
        )
    return Decimal(0) if left is None else size - left
