"""One bot as a supervised task: lease, build from the tables, run, and again after whatever went wrong.

Start-up and recovery are the same path. The type of an error decides what comes next; no error of one bot reaches
another.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import structlog

from bot_core.logs import masked
from bot_core.models.bot import BotStatus, document_hash
from bot_core.models.config import parse_config
from bot_core.models.errors import (
    FatalError,
    InvalidBotError,
    LeaseLostError,
    NotFlatError,
    SchemaMissingError,
    TransientError,
)
from bot_core.store.leases import Lease
from bot_core.store.listen import backoff_seconds
from bot_runtime.engine.assembly import Assignment, Surroundings, build_engine
from bot_runtime.engine.board import BotBoard, Phase
from bot_runtime.engine.bot_engine import BotEngine
from bot_runtime.persistence.last_good import last_good_document

_log = structlog.get_logger(__name__)
_TURN_SECONDS = 2.0


class BotInstance:
    """`start` once; `stop` drains: the bar in hand is finished, the cursor booked, the lease released."""

    def __init__(self, around: Surroundings, assignment: Assignment) -> None:
        self._around = around
        self.assignment = assignment
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._engine: BotEngine | None = None
        self._lease_held: Lease | None = None
        self._kept = ""
        self._leave_when_flat = False
        row, config = assignment.row, assignment.config
        self.board = around.fleet.board(row.id, row.name)
        _describe(self.board, assignment)
        self._log = _log.bind(bot_id=row.id, symbol=config.symbol)

    @property
    def done(self) -> bool:
        return self._task is not None and self._task.done()

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
            if not await self._fell_back(error):
                await self._fail(error)
                return True
        except LeaseLostError as error:
            self.board.errors += 1
            self._show(Phase.WAITING, str(error))
            self._log.warning("lease_lost", error=str(error))
        except (TransientError, SchemaMissingError) as error:
            self.board.errors += 1
            self._show(Phase.WAITING, masked(str(error)))
            self._log.warning("bot_will_be_rebuilt", error=str(error), error_type=type(error).__name__)
        except FatalError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a plugin's exit is this bot's alone as well
            self._log.exception("bot_failed")
            await self._fail(error)
        else:
            return True
        return False

    async def _run_once(self) -> None:
        lease = await self._lease()
        if lease is None:
            return
        try:
            await self._run_under(lease)
        except asyncio.CancelledError:
            raise  # the time to drain is over: a lease lapses by itself
        except BaseException:
            await self._release(lease)
            raise
        else:
            await self._release(lease)

    async def _run_under(self, lease: Lease) -> None:
        around, row = self._around, self.assignment.row
        self.board.epoch = lease.epoch
        self._show(Phase.STARTING, "")
        if not await around.store.observe(lease, BotStatus.STARTING):
            return  # the row asks for a stop by now, or is gone
        self._mark()
        engine = await build_engine(around, self.assignment, lease, self.board, self._mark)
        self._show(Phase.RUNNING, self._kept)
        if not self._kept and await around.store.observe(lease, BotStatus.RUNNING):
            self._log.info("bot_running", epoch=lease.epoch, config_hash=self.assignment.config_hash)
        self._engine, self._lease_held = engine, lease
        engine.leave_when_flat = self._leave_when_flat
        try:
            await engine.run(self._stop)
        finally:
            await engine.aclose()
            self._engine = self._lease_held = None
        if self._stop.is_set():
            self._mark()
            why = await around.store.stopped(row.id, lease)
            self._log.info("bot_stopped", stopped_by=why)

    async def reaffirm(self) -> None:
        """Write `running` again over a row that says something else of a bot that runs, and forget a mended error."""
        if self._lease_held is not None and not self._kept:
            await self._around.store.observe(self._lease_held, BotStatus.RUNNING)

    async def _fell_back(self, error: InvalidBotError) -> bool:
        """Go on with the last document that ran, where a newer one turned out not to; say so in the row."""
        store, assigned = self._around.store, self.assignment
        good = await last_good_document(self._around.database, assigned.row.id)
        config = None if good is None else parse_config(good).config
        if config is None or document_hash(good) == document_hash(assigned.document):
            return False
        self._kept = f"keeps its last good configuration: {masked(str(error))}"
        self._log.error("config_unusable", error=str(error), keeps_last_good=True)
        await store.failed(assigned.row.id, str(error), keep_status=True)
        self.assignment = replace(assigned, config=config, document=good)
        self._leave_when_flat = isinstance(error, NotFlatError)
        _describe(self.board, self.assignment)
        return True

    async def _lease(self) -> Lease | None:
        """Wait for the lease; None when told to stop meanwhile."""
        while not self._stop.is_set():
            self._mark()
            lease = await self._around.leases.acquire(self.assignment.row.id)
            if lease is not None:
                return lease
            self._show(Phase.WAITING, "another process holds the lease of this bot")
            await self._pause(_TURN_SECONDS)
        return None

    async def _release(self, lease: Lease) -> None:
        try:
            await self._around.leases.release(lease)
        except Exception as error:  # noqa: BLE001  # it lapses by itself
            self._log.warning("lease_not_released", error=str(error))

    async def _fail(self, error: Exception | SystemExit) -> None:
        self.board.errors += 1
        self._mark()
        message = masked((str(error).strip() or type(error).__name__).splitlines()[0])
        self._show(Phase.ERROR, message)
        self._log.error("bot_error", error=message, error_type=type(error).__name__)
        try:
            await self._around.store.failed(self.assignment.row.id, message)
        except Exception as also:  # noqa: BLE001  # the first error is what matters; it is in the log
            self._log.warning("status_not_written", error=str(also))

    async def _pause(self, seconds: float) -> None:
        """Wait, but not for longer than the bot may run, and without ever looking stuck."""
        until = asyncio.get_running_loop().time() + seconds
        while not self._stop.is_set() and (left := until - asyncio.get_running_loop().time()) > 0:
            self._mark()
            try:
                await asyncio.wait_for(self._stop.wait(), min(left, _TURN_SECONDS))
            except TimeoutError:
                continue

    def stop_when_flat(self) -> None:
        """End by itself as soon as there is neither a position nor an order; the manager then starts it anew."""
        self._leave_when_flat = True
        if self._engine is not None:
            self._engine.leave_when_flat = True

    def _mark(self) -> None:
        self._around.progress.mark(self._loop)

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
