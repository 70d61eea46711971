"""A bot's engine, put together from its tables: how it starts, and how it recovers. Nothing is kept from before.

It trades nothing: it reads, warms up, adopts, and settles what the last process left in the journal.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from bot_core.models.bot import BotRow, document_hash
from bot_core.models.config import BotConfig
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_core.store.leases import Lease, LeaseStore
from bot_runtime.broker_manager import BrokerManager
from bot_runtime.domain.account import Account
from bot_runtime.domain.market import MarketRules
from bot_runtime.domain.money import CENT8
from bot_runtime.engine.board import BotBoard, FleetBoard
from bot_runtime.engine.bot_engine import BotEngine, Rhythm
from bot_runtime.engine.carry_over import begins_anew, carried_state
from bot_runtime.engine.kernel import Kernel
from bot_runtime.engine.order_desk import OrderDesk
from bot_runtime.engine.progress import Progress
from bot_runtime.engine.resume import resume_account
from bot_runtime.feeds.base import Feed
from bot_runtime.feeds.intervals import interval_seconds
from bot_runtime.feeds.registry import build_feed
from bot_runtime.indicators.history import History
from bot_runtime.persistence.ledger import Ledger, Saved
from bot_runtime.persistence.snapshot import Snapshot
from bot_runtime.risk.guard import RiskGuard
from bot_runtime.strategies.registry import build_sizing, build_strategy


@dataclass(frozen=True)
class Surroundings:
    """The singletons of the process that every bot shares."""

    database: Database
    store: BotStore
    leases: LeaseStore
    fleet: FleetBoard
    progress: Progress
    rhythm: Rhythm
    brokers: BrokerManager = field(default_factory=BrokerManager)


@dataclass(frozen=True)
class Assignment:
    """What to run: the row as read, its configuration, and the hash of the document that it came from."""

    row: BotRow
    config: BotConfig
    document: Any
    config_hash: str

    @property
    def document_hash(self) -> str:
        """The hash of the document itself, which is not the row's where the row's can't run."""
        return document_hash(self.document)

    @classmethod
    def of(cls, row: BotRow, config: BotConfig, document: Any) -> "Assignment":
        return cls(row, config, document, document_hash(document))


async def build_engine(
    around: Surroundings, assigned: Assignment, lease: Lease, board: BotBoard, mark: Callable[[], None]
) -> BotEngine:
    """Build and recover an engine under a lease; `mark` is called between steps, to be seen alive.

    Raises InvalidBotError for what only a change of the row mends, TransientError for what time may.
    """
    config = assigned.config
    async with AsyncExitStack() as undo:
        seconds = interval_seconds(config.data.interval)
        broker, rules = await around.brokers.connect(assigned.row.id, config, interval_seconds=seconds)
        undo.push_async_callback(broker.aclose)
        market = _storable(rules)
        mark()
        board.account, board.clock_skew = broker.account, broker.clock_skew
        ledger = Ledger(
            around.database, around.leases, lease, assigned.row, config, broker.account, board.correlation_id
        )
        await ledger.beat(None)  # a venue may have taken its time
        saved = await ledger.load()
        account = await resume_account(ledger, saved, assigned.row, config)
        feed = build_feed(config.data.model_dump(exclude_none=True), config.symbol)
        undo.push_async_callback(feed.aclose)
        kernel = _kernel(assigned, account, feed, market)
        mark()
        cursor = await _warm_up(kernel, feed, saved, config)
        if kernel.guard is not None:
            board.note_peak(float(kernel.guard.peak))
        price = None if saved.snapshot is None else saved.snapshot.price
        snapshot = Snapshot(cursor, kernel.dump_state(), account, price)
        await ledger.begin(snapshot, assigned.document, assigned.document_hash)
        mark()
        desk = OrderDesk(
            kernel=kernel,
            ledger=ledger,
            broker=broker,
            board=board,
            fleet=around.fleet,
            interval_seconds=feed.interval_seconds,
        )
        desk.cursor = kernel.now = cursor
        desk.price = price
        engine = BotEngine(
            kernel=kernel,
            ledger=ledger,
            broker=broker,
            feed=feed,
            desk=desk,
            board=board,
            progress=around.progress,
            rhythm=around.rhythm,
        )
        await engine.recover(saved.working)
        undo.pop_all()
        return engine


def _storable(market: MarketRules) -> MarketRules:
    """The same rules with steps that the tables can hold: they round to eight decimals."""
    return replace(market, quantity_step=max(market.quantity_step, CENT8), price_step=max(market.price_step, CENT8))


def _kernel(assigned: Assignment, account: Account, feed: Feed, market: MarketRules) -> Kernel:
    config = assigned.config
    strategy = build_strategy(config.strategy)
    capacity = feed.history_capacity(max(config.data.lookback_bars, strategy.warmup))
    return Kernel(
        bot_id=assigned.row.id,
        strategy=strategy,
        account=account,
        position_size=build_sizing(config.strategy),
        history=History(feed.interval_seconds, capacity),
        guard=RiskGuard(
            config.risk_management,
            config.trading,
            config.scheduling,
            config.broker.cash,
            buying_power=config.broker.trading_mode == "live",
            commission=config.broker.commission,
        ),
        market=market,
        limit_entries=config.trading.order_type == "limit",
    )


async def _warm_up(kernel: Kernel, feed: Feed, saved: Saved, config: BotConfig) -> datetime | None:
    """Bring the kernel to the cursor, which is returned: None where the bot begins with the data's first bar."""
    adopted = kernel.account.position if saved.snapshot is None else None
    cursor = saved.cursor
    if cursor is None and adopted is not None:
        cursor = adopted.entry_time  # its exit is looked for from the bar after the one that it was opened on
    if cursor is None:
        cursor = await feed.newest()  # on live data a bot begins now
    if cursor is not None:
        kernel.warm_up(await feed.history(cursor, kernel.history.reload_limit))
    before = {} if saved.snapshot is None else saved.snapshot.rule_state
    carried = carried_state(saved.document, config, before)
    kernel.load_state(carried)
    position = kernel.account.position
    if position is not None and (adopted is not None or begins_anew(before, carried)):
        kernel.strategy.opened(position)
    return cursor
