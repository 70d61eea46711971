import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.models.config import BotConfig, parse_config
from bot_core.models.errors import DatabaseUnavailableError, TransientError
from bot_core.schema import bots, orders, positions, trades
from bot_core.store.database import Database
from bot_core.store.journal import WORKING, OrderState
from bot_runtime import broker_manager, row_reader
from bot_runtime.brokers.base import Fence, NotSentError, UnknownOutcomeError, VenueUnavailableError
from bot_runtime.brokers.registry import build_broker
from bot_runtime.domain.bar import Bar
from bot_runtime.domain.money import round_money
from bot_runtime.domain.order import OrderIntent, OrderReport
from bot_runtime.engine import assembly, bot_instance
from bot_runtime.engine.backtest import BacktestResult, run_backtest
from bot_runtime.engine.board import Phase
from bot_runtime.engine.bot_engine import Rhythm
from bot_runtime.feeds.base import Feed
from bot_runtime.feeds.generated import GeneratedFeed
from bot_runtime.feeds.registry import build_feed
from bot_runtime.risk.guard import RiskGuard
from bot_runtime.strategies.registry import build_sizing, build_strategy
from bot_runtime.strategy_manager import StrategyManager
from support.bars import strategy_document
from support.bots import ENDED, a_document, insert_bot, surroundings

BOTS = 200
BARS = 600  # of a minute each: ten hours
SEED = 20260101
NEAR = Decimal("0.000001")
#: Bots that are broken for good, by what is wrong with them.
RAISES, NEVER_COMES, INVALID = {17, 101}, {23, 150}, {31, 199}
BROKEN = RAISES | NEVER_COMES | INVALID
BROKEN_FRACTION = 0.123
#: Unexpected errors of one bot, which count towards its quarantine; others do not.
MOST_UNEXPECTED = 2
#: Few trades each: a transaction costs more than a bar.
RULES = (
    ("RSIOrBBEntryMixin", {"e_rsi_oversold": 20, "e_cooldown_bars": 60}, "ATRExitMixin", {"x_sl_multiplier": 3.0}),
    ("RSIOrBBEntryMixin", {"e_rsi_oversold": 25, "e_cooldown_bars": 60}, "TimeBasedExitMixin", {"x_max_bars": 60}),
    ("RSIBBEntryMixin", {"e_rsi_oversold": 30, "e_cooldown_bars": 60}, "TimeBasedExitMixin", {"x_max_bars": 40}),
    ("RSIOrBBEntryMixin", {"e_rsi_oversold": 25, "e_cooldown_bars": 60}, "RSIBBExitMixin", {}),
)


class Dice:
    """One bot's luck, the same in every run as long as the bot asks the same questions."""

    def __init__(self, name: object) -> None:
        self._random = random.Random(f"{SEED}:{name}")
        self.thrown: Counter[str] = Counter()
        self.off = False
        self.spared: set[str] = set()

    def falls(self, what: str, chance: float, *, most: int = 1_000_000) -> bool:
        if self.off or self.thrown[what] >= most or self._random.random() >= chance:
            return False
        self.thrown[what] += 1
        return True

    def maybe_unexpected(self) -> None:
        if self.falls("unexpected", 0.0002, most=MOST_UNEXPECTED):
            raise ValueError("a bug in an adapter")


class FlakyDatabase(Database):
    """Refuses transactions while it is `away`: some before the work, some after the commit, which nobody is told."""

    def __init__(self, url: str) -> None:
        super().__init__(url, pool_size=10)
        self.dice = Dice("database")
        self.away = False
        self.outages = 0

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        committed = self._refuse()
        async with super().write() as connection:
            yield connection
        self._lose(committed)

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[AsyncConnection]:
        committed = self._refuse()
        async with super().autocommit() as connection:
            yield connection
        self._lose(committed)

    def _refuse(self) -> bool:
        if not self.away and not self.dice.falls("single", 0.002):
            return False
        if self.dice.falls("committed", 0.3):
            return True
        raise DatabaseUnavailableError("the database is away")

    @staticmethod
    def _lose(committed: bool) -> None:
        if committed:
            raise DatabaseUnavailableError("the database did not say whether it committed")

    async def come_and_go(self) -> None:
        """Stretches without a database, for every bot at once."""
        while True:
            await asyncio.sleep(self.dice._random.uniform(8.0, 12.0))
            self.away = True
            self.outages += 1
            await asyncio.sleep(self.dice._random.uniform(0.2, 0.5))
            self.away = False


class FlakyFeed:
    """A real feed whose connection breaks now and then; the feed of a bot in NEVER_COMES goes silent for good."""

    def __init__(self, feed: Feed, dice: Dice, *, silent: bool) -> None:
        self._feed, self._dice, self._silent = feed, dice, silent

    def __getattr__(self, name: str) -> Any:
        return getattr(self._feed, name)

    async def history(self, until: datetime, limit: int | None) -> list[Bar]:
        if self._dice.falls("history", 0.1):
            raise TransientError("502 from the market data")
        return await self._feed.history(until, limit)

    async def bars(self, after: datetime | None) -> AsyncIterator[Bar]:
        if self._silent:
            await asyncio.Event().wait()
        async for bar in self._feed.bars(after):
            if self._dice.falls("bar", 0.001):
                raise TransientError("the connection to the market data broke")
            self._dice.maybe_unexpected()
            yield bar


class FlakyBroker:
    """The paper broker behind a bad line: what is lost is lost before or after the venue has done it."""

    def __init__(self, broker: Any, dice: Dice) -> None:
        self._broker, self._dice = broker, dice
        self._running = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    async def connect(self) -> Any:
        if self._dice.falls("connect", 0.05):
            raise VenueUnavailableError("503")
        return await self._broker.connect()

    async def submit(self, intent: OrderIntent, fence: Fence) -> OrderReport:
        dice = self._dice
        first = intent.client_order_id not in dice.spared
        dice.spared.add(intent.client_order_id)  # a second failure would outlast the bar that fills the order
        if first and dice.falls("submit", 0.05):
            raise VenueUnavailableError("503")
        if first and self._running:
            if dice.falls("not_sent", 0.05):
                raise NotSentError("connection refused")
            if dice.falls("unknown", 0.05):
                raise UnknownOutcomeError("no answer; it did not arrive")
            if dice.falls("lost", 0.05):
                await self._broker.submit(intent, fence)
                raise UnknownOutcomeError("no answer; it did arrive")
        return await self._broker.submit(intent, fence)

    async def on_bar(self, bar: Bar) -> list[OrderReport]:
        self._running = True
        if self._dice.falls("before_bar", 0.0005):
            raise VenueUnavailableError("503")
        reports = await self._broker.on_bar(bar)
        if reports and self._dice.falls("after_bar", 0.05):
            raise VenueUnavailableError("503")
        self._dice.maybe_unexpected()
        return reports


class RaisingStrategy:
    name = entry_name = exit_name = "raising"
    indicators = ()
    first_bar = 0
    warmup = 1

    def enter(self, _view: Any) -> str | None:
        raise ZeroDivisionError("a strategy with a bug")

    def load_state(self, _state: Any) -> None: ...
    def dump_state(self) -> dict[str, Any]:
        return {}


def document(bot: int) -> dict[str, Any]:
    entry, entry_params, exit_, exit_params = RULES[bot % len(RULES)]
    strategy = strategy_document(entry, exit_, entry_params, exit_params)
    if bot in RAISES:
        strategy["parameters"]["position_size"] = BROKEN_FRACTION
    if bot in INVALID:
        strategy["parameters"]["entry_logic"]["name"] = "NoSuchEntry"
    data = {"data_source": "generated", "interval": "1m", "seed": bot, "speed": 0, "bars": BARS}
    risk = {"stop_loss_pct": 0.5} if bot % 5 == 0 else {}
    return a_document(name=f"bot {bot}", strategy=strategy, data=data, risk_management=risk)


async def undisturbed(config: BotConfig) -> BacktestResult:
    data = config.data.model_dump(exclude_none=True)
    feed = GeneratedFeed(data, config.symbol)
    bars = [bar async for bar in feed.bars(None)]
    cash = config.broker.cash
    return run_backtest(
        build_strategy(config.strategy),
        bars,
        position_size=build_sizing(config.strategy),
        cash=cash,
        commission=config.broker.commission,
        guard=RiskGuard(config.risk_management, config.trading, config.scheduling, cash),
        interval_seconds=feed.interval_seconds,
    )


def disturb(patched: pytest.MonkeyPatch) -> dict[int, Dice]:
    """Put a bad line between every bot and its world; bots are told apart by the seed of their bars."""
    dice = {bot: Dice(bot) for bot in range(1, BOTS + 1)}

    def flaky_feed(data: Any, symbol: str) -> FlakyFeed:
        bot = data["seed"]
        return FlakyFeed(build_feed(data, symbol), dice[bot], silent=bot in NEVER_COMES)

    def flaky_broker(config: BotConfig, **options: Any) -> FlakyBroker:
        bot = config.data.model_dump()["seed"]
        return FlakyBroker(build_broker(config, **options), dice[bot])

    def maybe_raising(config: Any) -> Any:
        return RaisingStrategy() if config.fraction == Decimal(str(BROKEN_FRACTION)) else build_strategy(config)

    def soon(failures: int) -> float:
        return min(0.02 * 2.0**failures, 0.5) * random.uniform(0.5, 1.0)

    patched.setattr(assembly, "build_feed", flaky_feed)
    patched.setattr(broker_manager, "build_broker", flaky_broker)
    patched.setattr(assembly, "build_strategy", maybe_raising)
    patched.setattr(bot_instance, "backoff_seconds", soon)
    patched.setattr(row_reader, "backoff_seconds", soon)
    return dice


async def rows_of(database: Database, table: Any, order_by: Any) -> dict[int, list[Any]]:
    async with database.read() as connection:
        found: dict[int, list[Any]] = {}
        for row in await connection.execute(select(table).order_by(order_by)):
            found.setdefault(row.bot_id, []).append(row)
        return found


def check_trades(bot: int, found: Sequence[Any], expected: BacktestResult) -> None:
    closed = [row for row in found if row.status == "closed"]
    assert [(row.entry_time, row.exit_time, row.exit_reason) for row in closed] == [
        (trade.entry_time, trade.exit_time, trade.exit_reason) for trade in expected.trades
    ], f"bot {bot}"
    for row, trade in zip(closed, expected.trades, strict=True):
        amounts = (row.entry_price, row.exit_price, row.size, row.commission, row.net_pnl)
        wanted = (trade.entry_price, trade.exit_price, trade.size, trade.commission, trade.net_pnl)
        assert amounts == tuple(map(round_money, wanted)), f"bot {bot}"
    left = [(row.entry_time, row.size) for row in found if row.status == "open"]
    held = expected.open_position
    assert left == ([] if held is None else [(held.entry_time, round_money(held.quantity))]), f"bot {bot}"


def check_money(bot: int, row: Any, found: Sequence[Any], expected: BacktestResult) -> None:
    held = expected.open_position
    balance = expected.cash + (held.held * held.entry_price if held else 0)
    assert abs(row.current_balance - balance) < NEAR, f"bot {bot}"
    assert abs(row.total_pnl - sum(trade.net_pnl for trade in expected.trades)) < NEAR, f"bot {bot}"
    assert len(found) == len(expected.trades) + (held is not None), f"bot {bot}"
    quantity = sum((position.qty_open for position in found), Decimal(0))
    assert quantity == (round_money(held.held) if held else 0), f"bot {bot}"


async def until_all_have_ended(fleet: Any, healthy: Sequence[int], seconds: float) -> None:
    def still() -> dict[int, str]:
        boards = {bot: fleet.bots.get(bot) for bot in healthy}
        return {i: f"{b.phase} {b.message}" if b else "" for i, b in boards.items() if not b or b.message != ENDED}

    try:
        async with asyncio.timeout(seconds):
            while still():
                await asyncio.sleep(0.1)
    except TimeoutError:
        pytest.fail(f"{len(still())} bots have not ended: {still()}")


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.postgres
async def test_two_hundred_bots_trade_through_failures_of_all_they_need_as_if_there_were_none(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = {bot: document(bot) for bot in range(1, BOTS + 1)}
    database = FlakyDatabase(postgres_url)
    database.dice.off = True
    for bot, wanted in documents.items():
        assert await insert_bot(database, wanted) == bot
    configs = {bot: parse_config(wanted).config for bot, wanted in documents.items() if bot not in BROKEN}
    expected = {bot: await undisturbed(config) for bot, config in configs.items() if config is not None}
    assert len(expected) == BOTS - len(BROKEN)
    assert sum(len(result.trades) for result in expected.values()) > 2 * BOTS

    dice = disturb(monkeypatch)
    around = surroundings(database, rhythm=Rhythm(beat_seconds=5))
    manager = StrategyManager(around, poll_seconds=1.0, drain_seconds=60)
    stop = asyncio.Event()
    running = asyncio.create_task(manager.run(stop))
    database.dice.off = False
    outages = asyncio.create_task(database.come_and_go())
    try:
        await until_all_have_ended(around.fleet, list(expected), 600)
        assert not running.done(), "the process survived all of it"
        outages.cancel()
        database.away, database.dice.off = False, True
        for each in dice.values():
            each.off = True
        await until_all_have_ended(around.fleet, list(expected), 30)
        for bot in RAISES | INVALID:
            assert around.fleet.bots[bot].phase is Phase.ERROR
    finally:
        outages.cancel()
        stop.set()
        await running
        await manager.shutdown()

    thrown = sum((each.thrown for each in dice.values()), Counter())
    assert database.outages >= 3
    assert len(thrown) >= 9, f"every kind of failure happened: {thrown}"
    await check_all(database, expected)
    await database.aclose()


async def check_all(database: Database, expected: dict[int, BacktestResult]) -> None:
    traded = await rows_of(database, trades, trades.c.id)
    held = await rows_of(database, positions, positions.c.id)
    journal = await rows_of(database, orders, orders.c.id)
    async with database.read() as connection:
        rows = {row.id: row for row in await connection.execute(select(bots))}
    for bot, result in expected.items():
        check_trades(bot, traded.get(bot, []), result)
        check_money(bot, rows[bot], held.get(bot, []), result)
        filled = [order for order in journal.get(bot, []) if order.state == OrderState.FILLED]
        assert len(filled) == 2 * len(result.trades) + (result.open_position is not None), f"bot {bot}"
        assert len([order for order in journal.get(bot, []) if order.state in WORKING]) <= 2, f"bot {bot}"
