"""The rows that a bot's facts become, and back. Pure: the ledger decides when they are written."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from bot_core.models.bot import BotRow
from bot_core.models.config import BotConfig
from bot_core.models.shapes.market import plain_symbol
from bot_core.store.journal import OrderState
from bot_runtime.domain.order import OrderIntent, OrderType, Purpose, RestingOrder, Side
from bot_runtime.domain.position import Position
from bot_runtime.domain.trade import Trade
from bot_runtime.persistence.snapshot import Snapshot, dump_account, load_account

#: In `trading_trades.extra_metadata` of an open trade that another one, which was adopted, outdates.
SUPERSEDED = "superseded_by_trade"


@dataclass(frozen=True)
class WorkingOrder:
    """An order of the journal that the venue may still act on."""

    intent: OrderIntent
    state: OrderState
    symbol: str
    since: datetime
    resting: RestingOrder


def order_values(
    row: BotRow, config: BotConfig, intent: OrderIntent, epoch: int, account: str | None, correlation_id: str
) -> dict[str, Any]:
    return {
        "bot_id": row.id,
        "client_order_id": intent.client_order_id,
        "epoch": epoch,
        "purpose": str(intent.purpose),
        "side": str(intent.side),
        "type": str(intent.type),
        "symbol": config.symbol,
        "quantity": intent.quantity,
        "price": intent.signal_price,
        "limit_price": intent.limit_price,
        "stop_price": intent.stop_price,
        "account": account,
        "bar_time": intent.signal_time,
        "reason": intent.reason[:100],
        "correlation_id": correlation_id,
    }


def working_order(order: Mapping[str, Any]) -> WorkingOrder:
    intent = OrderIntent(
        client_order_id=order["client_order_id"],
        purpose=Purpose(order["purpose"]),
        side=Side(order["side"]),
        type=OrderType(order["type"]),
        quantity=order["quantity"],
        signal_time=order["bar_time"],
        signal_price=order["price"],
        reason=order["reason"],
        limit_price=order["limit_price"],
        stop_price=order["stop_price"],
    )
    filled = order["filled_quantity"] or Decimal(0), order["filled_price"], order["commission"] or Decimal(0)
    resting = RestingOrder(intent, *filled, order["filled_at"])
    return WorkingOrder(intent, OrderState(order["state"]), order["symbol"], order["updated_at"], resting)


def position_values(row: BotRow, config: BotConfig, position: Position) -> dict[str, Any]:
    return {
        "bot_id": row.id,
        "trade_type": config.broker.trading_mode,
        "symbol": config.symbol,
        "direction": str(position.direction),
        "opened_at": position.entry_time,
        "qty_open": position.quantity,
        "avg_price": position.entry_price,
        "realized_pnl": Decimal(0),
        "status": "open",
    }


def closed_position_values(trade: Trade) -> dict[str, Any]:
    return {
        "qty_open": Decimal(0),
        "avg_price": None,
        "realized_pnl": trade.gross_pnl,
        "status": "closed",
        "closed_at": trade.exit_time,
    }


def reduced_position_values(position: Position) -> dict[str, Any]:
    gross = position.exit_value - position.exited * position.entry_price
    return {"qty_open": position.held, "realized_pnl": gross}


def open_trade_values(
    row: BotRow, config: BotConfig, intent: OrderIntent, position: Position, correlation_id: str
) -> dict[str, Any]:
    logic = config.strategy
    extra = {
        "order_id": intent.client_order_id,
        "paper_trading": config.broker.trading_mode == "paper",
        "signal_time": intent.signal_time.isoformat(),
        "entry_reason": position.entry_reason,
        "correlation_id": correlation_id,
    }
    return {
        "bot_id": row.id,
        "trade_type": config.broker.trading_mode,
        "strategy_name": logic.type,
        "entry_logic_name": logic.entry.name,
        "exit_logic_name": logic.exit.name,
        "symbol": config.symbol,
        "interval": config.data.interval,
        "entry_time": position.entry_time,
        "buy_order_created": position.signal_time,
        "buy_order_closed": position.entry_time,
        "entry_price": position.entry_price,
        "entry_value": position.entry_price * position.quantity,
        "size": position.quantity,
        "direction": str(position.direction),
        "commission": position.entry_commission,
        "status": "open",
        "extra_metadata": extra,
        "created_at": datetime.now(UTC),
    }


def closed_trade_values(
    config: BotConfig, intent: OrderIntent, trade: Trade, extra: Any, correlation_id: str
) -> dict[str, Any]:
    """The trade may have been opened under another document or tenure: both ids are kept."""
    exit_ids = {"exit_order_id": intent.client_order_id, "exit_correlation_id": correlation_id}
    return {
        "exit_time": trade.exit_time,
        "sell_order_created": intent.signal_time,
        "sell_order_closed": trade.exit_time,
        "exit_price": trade.exit_price,
        "exit_value": trade.exit_price * trade.size,
        "commission": trade.commission,
        "gross_pnl": trade.gross_pnl,
        "net_pnl": trade.net_pnl,
        "pnl_percentage": trade.pnl_percentage,
        "exit_reason": trade.exit_reason[:100],
        "status": "closed",
        "exit_logic_name": config.strategy.exit.name,
        "extra_metadata": _object(extra) | exit_ids,
        "updated_at": datetime.now(UTC),
    }


def state_values(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "cursor": snapshot.cursor,
        "rule_state": snapshot.rule_state,
        # The price is for whoever looks on: what a position is worth.
        "account": dump_account(snapshot.account) | ({} if snapshot.price is None else {"price": str(snapshot.price)}),
        "updated_at": datetime.now(UTC),
    }


def read_snapshot(state: Any) -> Snapshot:
    price = state.account.get("price")
    return Snapshot(
        cursor=state.cursor,
        rule_state=state.rule_state or {},
        account=load_account(state.account),
        price=None if price is None else Decimal(price),
    )


def is_mine(trade: Mapping[Any, Any], config: BotConfig) -> bool:
    """Whether an open trade is of the bot's market and mode, however its symbol is spelt, and not outdated."""
    return (
        plain_symbol(trade["symbol"]) == config.symbol
        and trade["trade_type"] == config.broker.trading_mode
        and not is_superseded(trade["extra_metadata"])
    )


def is_superseded(extra: Any) -> bool:
    return SUPERSEDED in _object(extra)


def superseded(extra: Any, by: int) -> dict[str, Any]:
    """The metadata of an outdated trade, with the id of the one that was adopted."""
    return _object(extra) | {SUPERSEDED: by}


def _object(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}
