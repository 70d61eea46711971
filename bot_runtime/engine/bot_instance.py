"""One bot as a supervised task: lease, build from the tables, run, and again after whatever went wrong.

Start-up and recovery are the same path. The type of an error decides what comes next; no error of one bot reaches
another.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import structlog

from bot_core.models.bot import BotRow, BotStatus, document_hash
from bot_core.models.config import BotConfig
from bot_core.models.errors import FatalError, InvalidBotError, LeaseLostError, TransientError
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_core.store.leases import Lease, LeaseStore
from bot_core.store.listen import backoff_seconds
from bot_runtime.brokers.paper import PaperBroker
from bot_runtime.engine.board import BotBoard, FleetBoard, Phase
from bot_runtime.engine.bot_engine import BotEngine, Rhythm
from bot_runtime.engine.kernel import Kernel
from bot_runtime.engine.progress import Progress
from bot_runtime.engine.resume import resume_account
from bot_runtime.feeds.registry import build_feed
from bot_runtime.indicators.history import History
from bot_runtime.persistence.ledger import Ledger
from bot_runtime.persistence.snapshot import Snapshot
from bot_runtime.strategies.registry import build_sizing, build_strategy

_log = structlog.get_logger(__name__)
_TURN_SECONDS = 2.0


@dataclass(frozen=True)
class Surroundings:
    """The singletons of the process that every bot shares."""

    database: Database
    store: BotStore
    leases: LeaseStore
    fleet: FleetBoard
    progress: Progress
    rhythm: Rhythm


@dataclass(frozen=True)
class Assignment:
    """What to run: the row as read, its configuration, and the hash of the document that it came from."""

    row: BotRow
    config: BotConfig
    document: Any
    config_hash: str

    @classmethod
    def of(cls, row: BotRow, config: BotConfig, document: Any) -> "Assignment":
        return cls(row, config, document, document_hash(document))


class BotInstance:
    """`start` once; `stop` drains: the bar in hand is finished, the cursor booked, the lease released."""

    def __init__(self, around: Surroundings, assignment: Assignment) -> None:
        self._around = around
        self.assignment = assignment
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._engine: BotEngine | None = None
        row, config = assignment.row, assignment.config
        self.board = around.fleet.board(row.id, row.name)
        _describe(self.board, assignment)
        self._log = _log.bind(bot_id=row.id, symbol=config.symbol)

    @property
    def done(self) -> bool:
        return self._task is not None and self._task.done()

    @property
    def flat(self) -> bool:
        return self._engine is not None and self._engine.flat

    def start(self, on_end: Callable[[int, BaseException | None], None]) -> None:
        """Begin. `on_end` hears that the task is over, with what it died of where that was not dealt with."""
        self._task = asyncio.create_task(self._supervise(), name=f"bot-{self.assignment.row.id}")
        self._task.add_done_callback(
            lambda task: on_end(self.assignment.row.id, None if task.cancelled() else task.exception())
        )

    async def stop(self) -> None:
        """Ask the bot to drain and wait until it has. Never raises what the bot raised: that was dealt with."""
        self._stop.set()
        if self.board.phase in {Phase.RUNNING, Phase.STARTING, Phase.WAITING}:
            self.board.phase = Phase.STOPPING
        if self._task is not None:
            await asyncio.wait({self._task})
        self.board.phase = Phase.STOPPED

    async def kill(self) -> None:
        """Cancel without draining: for when the time to drain is over."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _supervise(self) -> None:
        structlog.contextvars.bind_contextvars(bot_id=self.assignment.row.id)
        failures = 0
        try:
            while not self._stop.is_set():
                started = asyncio.get_running_loop().time()
                if await self._attempt():
                    return
                lasted = asyncio.get_running_loop().time() - started
                failures = 1 if lasted > 60 else failures + 1  # noqa: PLR2004  # a minute of health forgives
                self.board.restarts += 1
                await self._pause(backoff_seconds(failures))
        finally:
            self._around.progress.forget(self._loop)

    async def _attempt(self) -> bool:
        """Run once. True when there is nothing to try again."""
        try:
            await self._run_once()
        except InvalidBotError as error:
            await self._fail(error, Phase.ERROR)
            return True
        except LeaseLostError as error:
            self.board.errors += 1
            self._show(Phase.WAITING, str(error))
            self._log.warning("lease_lost", error=str(error))
        except TransientError as error:
            self.board.errors += 1
            self._show(Phase.WAITING, str(error))
            self._log.warning("bot_will_be_rebuilt", error=str(error), error_type=type(error).__name__)
        except FatalError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever it was, it is this bot's alone
            self._log.exception("bot_failed")
            await self._fail(error, Phase.ERROR)
        else:
            return True
        return False

    async def _run_once(self) -> None:
        lease = await self._lease()
        if lease is None:
            return
        try:
            await self._run_under(lease)
        finally:
            await self._release(lease)

    async def _run_under(self, lease: Lease) -> None:
        around, row = self._around, self.assignment.row
        self.board.epoch = lease.epoch
        self._show(Phase.STARTING, "")
        await around.store.observe(row.id, BotStatus.STARTING)
        self._engine = await self._build(lease)
        self._show(Phase.RUNNING, "")
        if await around.store.observe(row.id, BotStatus.RUNNING):
            self._log.info("bot_running", epoch=lease.epoch, config_hash=self.assignment.config_hash)
        try:
            await self._engine.run(self._stop)
        finally:
            self._engine = None

    async def _build(self, lease: Lease) -> BotEngine:
        around, assigned = self._around, self.assignment
        config = assigned.config
        ledger = Ledger(around.database, around.leases, lease, assigned.row, config)
        saved = await ledger.load()
        strategy = build_strategy(config.strategy)
        account = await resume_account(ledger, saved, assigned.row, config)
        feed = build_feed(config.data.model_dump(exclude_none=True), config.symbol)
        capacity = feed.history_capacity(max(config.data.lookback_bars, strategy.warmup))
        history = History(feed.interval_seconds, capacity)
        kernel = Kernel(
            bot_id=assigned.row.id,
            strategy=strategy,
            account=account,
            position_size=build_sizing(config.strategy),
            history=history,
        )
        cursor = None if saved.snapshot is None else saved.snapshot.cursor
        if cursor is not None:
            kernel.warm_up(await feed.history(cursor, history.reload_limit))
        kernel.load_state({} if saved.snapshot is None else saved.snapshot.rule_state)
        await ledger.begin(Snapshot(cursor, kernel.dump_state(), account), assigned.document, assigned.config_hash)
        engine = BotEngine(
            kernel=kernel,
            ledger=ledger,
            broker=PaperBroker(config.broker),
            feed=feed,
            cursor=cursor,
            board=self.board,
            fleet=around.fleet,
            progress=around.progress,
            rhythm=around.rhythm,
        )
        await engine.recover(saved.working)
        return engine

    async def _lease(self) -> Lease | None:
        """Wait for the lease; None when told to stop meanwhile."""
        while not self._stop.is_set():
            self._around.progress.mark(self._loop)
            lease = await self._around.leases.acquire(self.assignment.row.id)
            if lease is not None:
                return lease
            self._show(Phase.WAITING, "another process holds the lease of this bot")
            await self._pause(_TURN_SECONDS)
        return None

    async def _release(self, lease: Lease) -> None:
        try:
            await self._around.leases.release(lease)
        except TransientError as error:
            self._log.warning("lease_not_released", error=str(error))  # it lapses by itself

    async def _fail(self, error: Exception, phase: Phase) -> None:
        self.board.errors += 1
        message = str(error) or type(error).__name__
        self._show(phase, message)
        self._log.error("bot_error", error=message, error_type=type(error).__name__)
        try:
            await self._around.store.failed(self.assignment.row.id, message)
        except TransientError as also:
            self._log.warning("status_not_written", error=str(also))

    async def _pause(self, seconds: float) -> None:
        """Wait, but not for longer than the bot may run, and without ever looking stuck."""
        until = asyncio.get_running_loop().time() + seconds
        while not self._stop.is_set() and (left := until - asyncio.get_running_loop().time()) > 0:
            self._around.progress.mark(self._loop)
            try:
                await asyncio.wait_for(self._stop.wait(), min(left, _TURN_SECONDS))
            except TimeoutError:
                continue

    def reassign(self, assignment: Assignment) -> None:
        """Take a row whose configuration is the same: what it says besides may have changed."""
        self.assignment = replace(assignment, config=self.assignment.config)

    @property
    def _loop(self) -> str:
        return f"bot-{self.assignment.row.id}"

    def _show(self, phase: Phase, message: str) -> None:
        if not self._stop.is_set() or phase is Phase.ERROR:
            self.board.phase = phase
        self.board.message = message


def _describe(board: BotBoard, assignment: Assignment) -> None:
    config = assignment.config
    board.name = assignment.row.name
    board.symbol = config.symbol
    board.interval = config.data.interval
    board.strategy = f"{config.strategy.entry.name} / {config.strategy.exit.name}"
    board.mode = config.broker.trading_mode
    board.config_hash = assignment.config_hash
