"""What a running bot shows of itself: read by `/status`, the metrics and the terminal, written by the engine only."""

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from bot_core.models.figures import few_digits, iso_utc
from bot_runtime.domain.position import Position
from bot_runtime.domain.trade import Trade
from bot_runtime.engine.figures import ProcessFigures

#: What `count_order` counts a signal as that became no order.
REFUSED = "refused"


class Phase(StrEnum):
    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    ERROR = "error"


@dataclass
class BotBoard:
    """Facts of one bot. Money in the quote currency, times aware UTC; `bar_time` is on the clock of the bars."""

    bot_id: int
    name: str
    symbol: str = ""
    interval: str = ""
    strategy: str = ""
    mode: str = ""
    phase: Phase = Phase.STARTING
    message: str = ""
    database_away: bool = False
    halted: str = ""
    removal_held: str = ""
    account: str = ""
    feed_trouble: str = ""
    venue_trouble: str = ""
    clock_skew: float | None = None
    protective_stop: Decimal | None = None
    refused: str = ""
    balance: Decimal | None = None
    total_pnl: Decimal | None = None
    position: Position | None = None
    bar_time: datetime | None = None
    last_price: float | None = None
    heartbeat: datetime | None = None
    bars: int = 0
    trades: int = 0
    orders: dict[str, int] = field(default_factory=dict)
    errors: int = 0
    restarts: int = 0
    epoch: int | None = None
    config_hash: str = ""
    config_error: str = ""
    correlation_id: str = ""
    config_invalid: bool = False
    keeps_last_good: bool = False
    quarantined: bool = False
    lease_losses: int = 0
    fills: dict[str, int] = field(default_factory=dict)
    #: Seconds from the close of the last bar until it was processed.
    bar_lag: float | None = None
    #: On the monotonic clock: when the feed last delivered. None where it has nothing more to deliver.
    fed_at: float | None = None
    #: The highest equity that is known of this bot.
    peak: float | None = None

    @property
    def shown_message(self) -> str:
        """The one thing to say: an error, a halt, a database that is away, what the bot says, what troubles it."""
        if self.phase is Phase.ERROR and self.message:
            return self.message
        away = "the database does not answer; no order is sent meanwhile" if self.database_away else ""
        invalid = f"keeps its last good configuration: {self.config_error}" if self.config_error else ""
        return (
            self.halted
            or away
            or self.message
            or self.removal_held
            or self.venue_trouble
            or self.feed_trouble
            or invalid
        )

    @property
    def heartbeat_age(self) -> float | None:
        return None if self.heartbeat is None else (datetime.now(UTC) - self.heartbeat).total_seconds()

    @property
    def position_text(self) -> str:
        held = self.position
        return "" if held is None else f"{held.direction} {few_digits(held.quantity)} @ {few_digits(held.entry_price)}"

    @property
    def exposure(self) -> float | None:
        """The open position at the last price; at what it cost before the first bar."""
        held = self.position
        if held is None:
            return None if self.balance is None else 0.0
        return float(held.held) * self._price(held)

    @property
    def equity(self) -> float | None:
        """Cash plus the open position at the last price; None before the account is known."""
        if self.balance is None:
            return None
        held = self.position
        if held is None:
            return float(self.balance)
        return float(self.balance) + float(held.held) * (self._price(held) - float(held.entry_price))

    @property
    def drawdown(self) -> float | None:
        """How far equity is below its peak, as a part of it."""
        equity = self.equity
        if equity is None:
            return None
        peak = equity if self.peak is None else max(self.peak, equity)
        return (peak - equity) / peak if peak > 0 else None

    def note_peak(self, amount: float | None = None) -> None:
        """Remember an equity, such as today's, if it is higher than any before."""
        value = self.equity if amount is None else amount
        if value is not None and (self.peak is None or value > self.peak):
            self.peak = value

    def _price(self, held: Position) -> float:
        return float(held.entry_price) if self.last_price is None else self.last_price

    def count_order(self, state: str) -> None:
        self.orders[state] = self.orders.get(state, 0) + 1

    def count_fill(self, side: str) -> None:
        self.fills[side] = self.fills.get(side, 0) + 1

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.bot_id,
            "name": self.name,
            "symbol": self.symbol,
            "interval": self.interval,
            "strategy": self.strategy,
            "mode": self.mode,
            "phase": self.phase,
            "message": self.shown_message,
            "halted": self.halted or None,
            "removal_held": self.removal_held or None,
            "account": self.account or None,
            "balance": _text(self.balance),
            "total_pnl": _text(self.total_pnl),
            "position": self.position_text or None,
            "protective_stop": _text(self.protective_stop),
            "bar_time": _iso(self.bar_time),
            "last_heartbeat": _iso(self.heartbeat),
            "heartbeat_age_seconds": None if self.heartbeat_age is None else round(self.heartbeat_age, 1),
            "bars": self.bars,
            "trades": self.trades,
            "orders": self.orders,
            "last_refusal": self.refused or None,
            "feed_trouble": self.feed_trouble or None,
            "venue_trouble": self.venue_trouble or None,
            "clock_skew_seconds": None if self.clock_skew is None else round(self.clock_skew, 3),
            "errors": self.errors,
            "restarts": self.restarts,
            "lease_epoch": self.epoch,
            "config_hash": self.config_hash,
            "config_error": self.config_error or None,
            "correlation_id": self.correlation_id or None,
        }


@dataclass(frozen=True)
class TradeLine:
    """A fill as people read it."""

    at: datetime
    bot_id: int
    symbol: str
    text: str


class FleetBoard:
    """The boards of all bots of this process and the newest trades of any of them."""

    def __init__(self, newest: int = 100) -> None:
        self.bots: dict[int, BotBoard] = {}
        self.process = ProcessFigures()
        self.trades: deque[TradeLine] = deque(maxlen=newest)

    def board(self, bot_id: int, name: str) -> BotBoard:
        return self.bots.setdefault(bot_id, BotBoard(bot_id, name))

    def forget(self, bot_id: int) -> None:
        self.bots.pop(bot_id, None)

    def opened(self, board: BotBoard, position: Position) -> None:
        held = f"{few_digits(position.quantity)} @ {few_digits(position.entry_price)}"
        text = f"BUY  {held}  {position.entry_reason}"
        self.trades.append(TradeLine(position.entry_time, board.bot_id, board.symbol, text))

    def closed(self, board: BotBoard, trade: Trade) -> None:
        sold = f"{few_digits(trade.size)} @ {few_digits(trade.exit_price)}"
        text = f"SELL {sold}  {trade.exit_reason}  net {trade.net_pnl:+.2f}"
        self.trades.append(TradeLine(trade.exit_time, board.bot_id, board.symbol, text))


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


def _iso(time: datetime | None) -> str | None:
    return None if time is None else iso_utc(time)
