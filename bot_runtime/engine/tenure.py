"""What a bot does while it holds its lease: build an engine from the tables, run it, build the next one.

An engine that returns without having been stopped left for a changed document: the next one is built under the same
lease. Errors are the caller's, and so is the lease.
"""

import asyncio
from collections.abc import Callable

import structlog

from bot_core.correlation import bind_correlation, correlation_id
from bot_core.models.bot import BotRow, BotStatus, StoppedBy, stopped_by
from bot_core.models.config import parse_config
from bot_core.models.errors import InvalidBotError, RowGoneError
from bot_core.store.leases import Lease
from bot_runtime.engine.assembly import Assignment, Surroundings, build_engine
from bot_runtime.engine.board import BotBoard, Phase
from bot_runtime.engine.bot_engine import BotEngine
from bot_runtime.engine.config_choice import ConfigChoice
from bot_runtime.engine.reload_plan import When, plan_start

_log = structlog.get_logger(__name__)


class Tenure:
    """`on_news` is called when the heartbeat finds the row changed."""

    def __init__(
        self,
        around: Surroundings,
        board: BotBoard,
        choice: ConfigChoice,
        stop: asyncio.Event,
        on_news: Callable[[], None],
    ) -> None:
        self._around = around
        self._board = board
        self._choice = choice
        self._stop = stop
        self._on_news = on_news
        self._engine: BotEngine | None = None
        self._lease: Lease | None = None

    @property
    def holds(self) -> bool:
        """Whether an engine runs that has a position or an order."""
        return self._engine is not None and not self._engine.flat

    async def run(self, lease: Lease) -> None:
        """Run until stopped, under a lease that was just won. The row then says so."""
        self._board.epoch = lease.epoch
        self._correlate(lease, self._choice.wanted)
        self._show(Phase.STARTING, "")
        if not await self._around.store.observe(lease, BotStatus.STARTING):
            if await self._around.store.get(lease.bot_id) is None:
                raise RowGoneError(f"bot {lease.bot_id}: its row is gone")
            return  # the row asks for a stop by now
        write = True
        while not self._stop.is_set():
            engine = await self._build(lease)
            await self._announce(lease, write=write)
            write = bool(self._choice.kept)
            try:
                await self._run_engine(engine, lease)
                if self._stop.is_set():
                    await self._end(engine, lease)
            finally:
                await engine.aclose()

    async def finish(self, lease: Lease) -> None:
        """End what the last process left of a bot that is to be stopped, and answer the request."""
        engine = await self._build(lease)
        try:
            await self._end(engine, lease)
        finally:
            await engine.aclose()

    async def _end(self, engine: BotEngine, lease: Lease) -> None:
        """Stop by the policy of the document where a person or the document asked for it; a shutdown leaves all."""
        bot_id = self._board.bot_id
        row = await self._around.store.get(bot_id)
        if row is not None and stopped_by(row) is not StoppedBy.SHUTDOWN:
            newest = parse_config(row.config).config
            policy = (newest or self._choice.running.config).on_stop
            _log.info("winding_down", on_stop=policy)
            await engine.wind_down(policy)
        self._mark()
        why = await self._around.store.stopped(bot_id, lease)
        _log.info("bot_stopped", stopped_by=why)

    def steer(self) -> None:
        """Let the engine leave for a document that waits: at once, or as soon as it is flat."""
        if self._engine is None:
            return
        awaited = self._choice.awaited
        when = None if awaited is None else plan_start(self._choice.running.config, awaited.config).when
        self._engine.leave_when_flat = when is When.FLAT
        if when is When.NOW:
            self._engine.request_rebuild()

    def hurry(self) -> None:
        """Let the engine's next heartbeat come at once."""
        if self._engine is not None:
            self._engine.beat_soon()

    async def reaffirm(self, row: BotRow) -> None:
        """Write `running` again over a row that says something else of a bot that runs, and forget a mended error."""
        mended = "last_error" in row.extra_metadata and not self._troubled
        if self._lease is not None and (mended or row.status != BotStatus.RUNNING):
            await self._around.store.observe(self._lease, BotStatus.RUNNING, keep_error=self._troubled)

    @property
    def _troubled(self) -> bool:
        """Whether an older document runs because the row's can't: the row's error then stands."""
        return bool(self._choice.kept or self._board.config_error)

    async def _build(self, lease: Lease) -> BotEngine:
        self._mark()
        assignment = await self._choice.settle()
        self._correlate(lease, assignment)
        try:
            return await build_engine(self._around, assignment, lease, self._board, self._mark)
        except InvalidBotError as error:
            self._mark()
            if not await self._choice.fall_back(error):
                raise
            self._correlate(lease, self._choice.running)
            return await build_engine(self._around, self._choice.running, lease, self._board, self._mark)

    def _correlate(self, lease: Lease, assignment: Assignment) -> None:
        """Whatever is done from now on, it is done for this document under this lease."""
        found = correlation_id(lease.bot_id, assignment.document_hash, lease.epoch)
        self._board.correlation_id = found
        bind_correlation(found)

    async def _announce(self, lease: Lease, *, write: bool) -> None:
        """Say that the bot runs. The row is written at the start and where an error is mended, not at each reload."""
        self._show(Phase.RUNNING, self._choice.kept)
        if not write or await self._around.store.observe(lease, BotStatus.RUNNING, keep_error=self._troubled):
            _log.info("bot_running", epoch=lease.epoch, config_hash=self._choice.running.config_hash)

    async def _run_engine(self, engine: BotEngine, lease: Lease) -> None:
        self._engine, self._lease = engine, lease
        engine.on_version = self._on_news
        self.steer()
        try:
            await engine.run(self._stop)
        finally:
            self._engine = self._lease = None

    def _mark(self) -> None:
        self._around.progress.mark(f"bot-{self._board.bot_id}")

    def _show(self, phase: Phase, message: str) -> None:
        if not self._stop.is_set():
            self._board.phase = phase
        self._board.message = message
