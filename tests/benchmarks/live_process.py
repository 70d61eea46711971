"""A process of bots whose bars come when a benchmark says so; it notes when each bar came and when each order left."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, TypeAlias
from unittest.mock import patch

import psycopg
from sqlalchemy.engine import make_url

from benchmarks.documents import paper_bot
from benchmarks.rows import insert_bots
from bot_core.logs import configure_logging
from bot_core.models.config import BotConfig
from bot_core.models.problem import Notice
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_core.store.leases import LeaseStore
from bot_runtime import broker_manager
from bot_runtime.brokers.base import Fence
from bot_runtime.brokers.paper import PaperBroker
from bot_runtime.domain.bar import Bar
from bot_runtime.domain.order import OrderIntent, OrderReport
from bot_runtime.engine import assembly
from bot_runtime.engine.assembly import Surroundings
from bot_runtime.engine.board import FleetBoard, Phase
from bot_runtime.engine.bot_engine import BotEngine, Rhythm
from bot_runtime.engine.progress import Progress
from bot_runtime.feeds.base import PastFeed
from bot_runtime.strategy_manager import StrategyManager
from support.bars import START, made_up_bars, strategy_document

#: Latencies in seconds: `ours`, and those of the reference, `bare`.
Found: TypeAlias = dict[str, list[float]]

_SYMBOLS = 20
_CONNECTIONS = 10
_WARM_BARS = 1_000
#: An entry; its fill and the exit; its fill, and no entry.
_CYCLE = 3
_ALWAYS = {"e_rsi_oversold": 100, "e_cooldown_bars": _CYCLE}
_TABLE = "CREATE TABLE bare (id bigserial PRIMARY KEY, bot_id int, name text, amount numeric, at timestamptz)"
_INSERT = "INSERT INTO bare (bot_id, name, amount, at) VALUES (%s, %s, %s, %s)"


class PushedFeed(PastFeed):
    """The bars of one bot, each as soon as it is pushed."""

    interval_seconds = 60
    finite = False
    notices: tuple[Notice, ...] = ()

    def __init__(self, past: list[Bar]) -> None:
        self._past = past
        self.pushed: asyncio.Queue[Bar] = asyncio.Queue()

    def history_capacity(self, warmup: int) -> int | None:
        return warmup

    async def history(self, until: datetime, limit: int | None) -> list[Bar]:
        return [bar for bar in self._past if bar.time <= until][-(limit or 0) :]

    async def bars(self, after: datetime | None) -> AsyncIterator[Bar]:  # noqa: ARG002  # none came before
        while True:
            yield await self.pushed.get()

    async def aclose(self) -> None:
        """Nothing is held."""


class TimedBroker(PaperBroker):
    """The paper broker, which notes when it was given an order."""

    def __init__(self, config: BotConfig, sent: dict[str, float]) -> None:
        super().__init__(config.broker.commission)
        self._sent = sent
        self._name = _name(config.data.model_dump())

    async def submit(self, intent: OrderIntent, fence: Fence) -> OrderReport:
        self._sent[self._name] = time.perf_counter()
        return await super().submit(intent, fence)


class LiveProcess:
    """`async with`: so many bots that have warmed up and wait for their next bar."""

    def __init__(self, url: str, count: int) -> None:
        self._url = url
        self._count = count
        self._stack = AsyncExitStack()
        self._past = {f"COIN{n}USDT": made_up_bars(_WARM_BARS, interval=60, symbol=f"COIN{n}") for n in range(_SYMBOLS)}
        self._feeds: dict[str, PushedFeed] = {}
        self._sent: dict[str, float] = {}
        self._fleet = FleetBoard()
        self._bare: asyncio.Queue[psycopg.AsyncConnection[Any]] = asyncio.Queue()
        self._bars = 0
        self._done = 0

    async def __aenter__(self) -> "LiveProcess":
        configure_logging("INFO", json=True)
        await self._insert()
        for _ in range(_CONNECTIONS):
            self._bare.put_nowait(await self._stack.enter_async_context(await self._connect()))
        async with self._connection() as connection:
            await connection.execute(_TABLE)
        self._stack.enter_context(patch.object(broker_manager, "build_broker", self._broker))
        self._stack.enter_context(patch.object(assembly, "build_feed", self._feed))
        self._stack.enter_context(patch.object(BotEngine, "on_bar", self._noting_its_end(BotEngine.on_bar)))
        database = await self._stack.enter_async_context(aclosing(Database(self._url, pool_size=_CONNECTIONS)))
        around = Surroundings(
            database,
            BotStore(database, actor="benchmark"),
            LeaseStore(database, "benchmark"),
            self._fleet,
            Progress(),
            Rhythm(10),
        )
        manager, stop = StrategyManager(around), asyncio.Event()
        running = asyncio.create_task(manager.run(stop))
        self._stack.push_async_callback(manager.shutdown)
        self._stack.push_async_callback(asyncio.wait_for, running, 10)
        self._stack.callback(stop.set)
        async with asyncio.timeout(300):
            while sum(board.phase is Phase.RUNNING for board in self._fleet.bots.values()) < self._count:
                await asyncio.sleep(0.05)
        await asyncio.sleep(1)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def at_once(self) -> Found:
        """All bots get a bar that makes them enter; then as many bare transactions."""
        self._sent.clear()
        since = time.perf_counter()
        for name in self._feeds:
            self._push(name)
        await self._settled()
        ours = [sent - since for sent in self._sent.values()]
        began = time.perf_counter()
        bare = await asyncio.gather(*(self._insert_bare(number, began) for number in range(self._count)))
        await self._leave()
        assert len(ours) == self._count, f"{len(ours)} of {self._count} bots sent an order"
        return {"ours": ours, "bare": list(bare)}

    async def spread(self, gap: float) -> Found:
        """One bot after another gets such a bar, with a bare transaction half-way between each two."""
        self._sent.clear()
        since: dict[str, float] = {}
        bare: list[asyncio.Task[float]] = []
        begun = time.perf_counter()
        for number, name in enumerate(self._feeds):
            await asyncio.sleep(max(0.0, begun + number * gap - time.perf_counter()))
            since[name] = time.perf_counter()
            self._push(name)
            await asyncio.sleep(max(0.0, begun + (number + 0.5) * gap - time.perf_counter()))
            bare.append(asyncio.create_task(self._insert_bare(number, time.perf_counter())))
        await self._settled()
        ours = [sent - since[name] for name, sent in self._sent.items()]
        found = {"ours": ours, "bare": [await one for one in bare]}
        await self._leave()
        assert len(ours) == self._count, f"{len(ours)} of {self._count} bots sent an order"
        return found

    async def _leave(self) -> None:
        for _ in range(_CYCLE - 1):
            for name in self._feeds:
                self._push(name)
            await self._settled()

    def _push(self, name: str) -> None:
        price = 100.0 + self._bars % 2
        at = START + timedelta(minutes=_WARM_BARS + self._bars)
        self._feeds[name].pushed.put_nowait(Bar(at, price, price, price, price, 1.0))

    async def _settled(self) -> None:
        """Until every bot has done all that its bar makes it do."""
        self._bars += 1
        async with asyncio.timeout(60):
            while self._done < self._bars * self._count:
                await asyncio.sleep(0.005)

    def _noting_its_end(self, on_bar: Callable[[BotEngine, Bar], Awaitable[None]]) -> Any:
        async def noted(engine: BotEngine, bar: Bar) -> None:
            await on_bar(engine, bar)
            self._done += 1

        return noted

    def _feed(self, data: Mapping[str, Any], symbol: str) -> PushedFeed:
        return self._feeds.setdefault(_name(data), PushedFeed(self._past[symbol]))

    def _broker(self, config: BotConfig, *, interval_seconds: float) -> TimedBroker:  # noqa: ARG002
        return TimedBroker(config, self._sent)

    async def _insert(self) -> None:
        """Bots that stand at the last bar that they warm up with."""
        cursor = START + timedelta(minutes=_WARM_BARS - 1)
        strategy = strategy_document(exit_="TimeBasedExitMixin", entry_params=_ALWAYS, exit_params={"x_max_bars": 1})
        documents = [
            paper_bot(seed=number) | {"symbol": f"COIN{number % _SYMBOLS}USDT", "strategy": strategy}
            for number in range(self._count)
        ]
        await insert_bots(self._url, documents, cursor=cursor)

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        url = make_url(self._url).set(drivername="postgresql")
        return await psycopg.AsyncConnection.connect(url.render_as_string(hide_password=False))

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        connection = await self._bare.get()
        try:
            yield connection
            await connection.commit()
        finally:
            self._bare.put_nowait(connection)

    async def _insert_bare(self, number: int, began: float) -> float:
        async with self._connection() as connection:
            await connection.execute(_INSERT, (number, f"tb{number}-en-1704127260000", 1.5, datetime.now(UTC)))
        return time.perf_counter() - began


def _name(data: Mapping[str, Any]) -> str:
    """Of a bot, by the section of its document that both its feed and its broker are built from."""
    return str(data["seed"])
