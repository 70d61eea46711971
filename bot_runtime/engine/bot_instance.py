"""One bot as a supervised task: lease, build from the tables, run, and again after whatever went wrong.

Start-up, recovery and a changed document are the same path. The type of an error decides what comes next; no error of
one bot reaches another. A bot that fails too often is quarantined: it ends, and its row says so.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any

import structlog
from structlog.contextvars import bind_contextvars

from bot_core.correlation import about_bot, bind_correlation
from bot_core.log_levels import set_bot_level
from bot_core.logs import masked
from bot_core.models.bot import BotRow, Quarantine
from bot_core.models.errors import (
    FatalError,
    InvalidBotError,
    LeaseLostError,
    RowGoneError,
    SchemaMissingError,
    TransientError,
    first_line,
)
from bot_core.store.leases import Lease
from bot_core.store.listen import backoff_seconds
from bot_runtime.engine.assembly import Assignment, Surroundings
from bot_runtime.engine.board import Phase
from bot_runtime.engine.config_choice import ConfigChoice
from bot_runtime.engine.failures import FailureLimit, FailureLog
from bot_runtime.engine.reload_plan import When, plan_reload
from bot_runtime.engine.tenure import Tenure

_log = structlog.get_logger(__name__)
_TURN_SECONDS = 2.0
#: How long a task that was cancelled may take to end.
CANCEL_SECONDS = 10.0


class StalledError(Exception):
    """The bot's loop stood still and was cancelled."""


class BotInstance:
    """`start` once; `stop` drains: the bar in hand is finished, the cursor booked, the lease released."""

    def __init__(
        self,
        around: Surroundings,
        assignment: Assignment,
        *,
        limit: FailureLimit | None = None,
        on_news: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_news` is called when the heartbeat finds the row changed."""
        row = assignment.row
        self.bot_id = row.id
        self.board = around.fleet.board(row.id, row.name)
        self._around = around
        self._choice = ConfigChoice(around, self.board, assignment)
        self._failures = FailureLog(limit or FailureLimit())
        self._stop = asyncio.Event()
        self._tenure = Tenure(around, self.board, self._choice, self._stop, on_news)
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._attempt_task: asyncio.Task[None] | None = None
        self._stalled: StalledError | None = None
        self._row_gone = False

    @property
    def _log(self) -> Any:
        """A log for lines that are written outside of the bot's own task as well."""
        about = {"correlation_id": self.board.correlation_id} if self.board.correlation_id else {}
        return _log.bind(bot_id=self.bot_id, symbol=self._choice.running.config.symbol, **about)

    @property
    def assignment(self) -> Assignment:
        """What runs now."""
        return self._choice.running

    @property
    def wanted_hash(self) -> str:
        """The hash of the newest document that this bot was given."""
        return self._choice.wanted.config_hash

    @property
    def holds(self) -> bool:
        """Whether it has a position or an order, as far as is known here."""
        return self._tenure.holds or self.board.position is not None

    @property
    def done(self) -> bool:
        return self._task is not None and self._task.done()

    def start(self, on_end: Callable[[int, BaseException | None], None]) -> None:
        """Begin. `on_end` hears that the task is over, with what it died of where that was not dealt with."""
        self._task = asyncio.create_task(self._supervise(), name=self._loop)
        self._task.add_done_callback(lambda task: on_end(self.bot_id, None if task.cancelled() else task.exception()))

    async def stop(self) -> None:
        """Ask the bot to drain and wait until it has. Never raises what the bot raised: that was dealt with."""
        self._stop.set()
        self._hurry.set()
        if self.board.phase in {Phase.RUNNING, Phase.STARTING, Phase.WAITING}:
            self.board.phase = Phase.STOPPING
        if self._task is not None:
            await asyncio.wait({self._task})
        self._around.brokers.forget(self.bot_id)
        self.board.phase = Phase.STOPPED

    async def finish(self, lease: Lease) -> None:
        """Instead of `start`: end what the last process left of a bot that is to be stopped; release the lease."""
        bind_contextvars(bot_id=self.bot_id)
        try:
            await self._tenure.finish(lease)
        except InvalidBotError as error:
            await self._write_error(self._shown_error(error))
            await self._pause(_TURN_SECONDS)  # the request stands: it is tried again
        except TransientError as error:
            self._wait_after(error, "stop_not_finished")
            await self._pause(_TURN_SECONDS)
        else:
            self.board.phase = Phase.STOPPED
        finally:
            self._around.progress.forget(self._loop)
            self._around.brokers.forget(self.bot_id)
            set_bot_level(self.bot_id, None)
            await self._release(lease)

    async def kill(self, seconds: float = CANCEL_SECONDS) -> None:
        """Cancel without draining and wait so long: for when the time to drain is over."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=seconds)

    async def reload(self, assignment: Assignment) -> None:
        """Go on with another document: at the next bar boundary, or once the bot is flat, or not before a restart.

        Lease, position and status stay; the rules keep of their state what still means something.
        """
        plan = plan_reload(self._choice.running.config, assignment.config)
        comes = plan.when is not When.NEXT_START
        self._choice.awaited = assignment if comes else None
        self._tenure.steer()
        if comes:
            self._failures.forget()
            self._hurry.set()
        if not comes or (plan.when is When.FLAT and self._tenure.holds):
            with about_bot(self.bot_id, self.board.correlation_id):
                await self._choice.tell_held(assignment, plan.reason)

    def withdraw(self) -> None:
        """The row asks for what runs: forget the document that was waited with."""
        self._choice.withdraw()
        self._tenure.steer()

    def hurry(self) -> None:
        """There may be news in the database: let the next heartbeat come at once; a row may be back."""
        self._tenure.hurry()
        if self._row_gone:
            self._hurry.set()

    async def reaffirm(self, row: BotRow) -> None:
        """Write `running` over a row that says something else of a bot that runs, and take away a mended error."""
        with about_bot(self.bot_id, self.board.correlation_id):
            await self._tenure.reaffirm(row)

    async def interrupt(self, age: float) -> None:
        """Cancel a run that stands still, which counts as a failure; report one that can't be cancelled, and leave it.

        The mark of such a loop stays old, so that `/healthz` fails.
        """
        task = self._attempt_task
        if task is None or self._stalled is not None:
            return
        self._stalled = StalledError(f"its loop stood still for {age:.0f} s")
        self._log.error("bot_stalled", seconds=round(age))
        task.cancel()
        _, left = await asyncio.wait({task}, timeout=CANCEL_SECONDS)
        text = f"{self._stalled} and was cancelled"
        if left:
            text = f"{self._stalled} and can't be cancelled; it ends with this process only"
            self._show(Phase.ERROR, text)
            self._log.critical("bot_stuck", seconds=round(age))
        with about_bot(self.bot_id, self.board.correlation_id):
            await self._around.store.note(self.bot_id, "stalled", text)

    async def _supervise(self) -> None:
        bind_contextvars(bot_id=self.bot_id)
        clock = asyncio.get_running_loop().time
        in_a_row = 0
        try:
            while not self._stop.is_set():
                started = clock()
                if await self._attempt():
                    return
                in_a_row = 1 if clock() - started > 60 else in_a_row + 1  # noqa: PLR2004  # a minute of health forgives
                self.board.restarts += 1
                await self._pause(backoff_seconds(in_a_row))
        finally:
            self._around.progress.forget(self._loop)
            set_bot_level(self.bot_id, None)

    async def _attempt(self) -> bool:
        """Run once. True when there is nothing to try again."""
        try:
            await self._run_apart()
        except InvalidBotError as error:
            await self._write_error(self._shown_error(error))
            return True
        except LeaseLostError as error:
            self.board.lease_losses += 1
            self._wait_after(error, "lease_lost")
        except RowGoneError as error:
            await self._wait_for_row(error)
        except (TransientError, SchemaMissingError) as error:
            self._wait_after(error, "bot_will_be_rebuilt")
        except FatalError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever it was, it is this bot's alone
            self._log.error("bot_failed", error=str(error), exc_info=error)
            return await self._count_failure(error)
        else:
            return True
        return False

    async def _run_apart(self) -> None:
        """Run in a task of its own, which can be cancelled without ending this one."""
        self._stalled = None  # `interrupt` sets it
        task = self._attempt_task = asyncio.create_task(self._contained(), name=f"{self._loop}-run")
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait({task}, timeout=CANCEL_SECONDS)
            raise
        finally:
            self._attempt_task = None
            if self.board.correlation_id:  # what comes of this attempt is told below
                bind_correlation(self.board.correlation_id)
        if task.cancelled():
            raise self._stalled or RuntimeError("its task was cancelled from within")
        task.result()

    async def _contained(self) -> None:
        """A plugin that leaves the process leaves its bot only."""
        try:
            await self._run_once()
        except SystemExit as error:
            raise RuntimeError(f"SystemExit: {error.code}") from error

    async def _run_once(self) -> None:
        lease = await self._lease()
        if lease is None:
            return
        try:
            await self._tenure.run(lease)
            self._row_gone = False
        except asyncio.CancelledError:
            raise  # it stood still, or the time to drain is over: a lease lapses, or is taken again by its holder
        except BaseException:
            await self._release(lease)
            raise
        else:
            await self._release(lease)

    async def _lease(self) -> Lease | None:
        """Wait for the lease; None when told to stop meanwhile."""
        while not self._stop.is_set():
            self._mark()
            lease = await self._around.leases.acquire(self.bot_id)
            if lease is not None:
                return lease
            self._show(Phase.WAITING, "another process holds the lease of this bot")
            await self._pause(_TURN_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311  # not all bots at once
        return None

    async def _release(self, lease: Lease) -> None:
        try:
            await self._around.leases.release(lease)
        except Exception as error:  # noqa: BLE001  # it lapses by itself
            self._log.warning("lease_not_released", error=str(error))

    def _wait_after(self, error: Exception, event: str) -> None:
        """The world is not ready: no failure of the bot's."""
        self.board.errors += 1
        self._show(Phase.WAITING, masked(str(error)))
        self._log.warning(event, error=str(error), error_type=type(error).__name__)

    async def _wait_for_row(self, error: RowGoneError) -> None:
        """Its state went with its row: what it holds stays at the venue as it is until the row is back, or SIGTERM."""
        held = self.board.position_text or ("an order" if self.holds else "")
        left = f"{held} at account {self.board.account!r} stays as it is" if held else "it holds no position"
        text = f"{error}; {left}, and nothing is sent until the row is back"
        self._wait_after(RowGoneError(text), "row_missing")
        if not self._row_gone:
            self._row_gone = True
            try:
                await self._around.store.note(self.bot_id, "row_missing", text)
            except Exception as also:  # noqa: BLE001  # it is in the log
                self._log.warning("event_not_written", error=str(also))

    async def _count_failure(self, error: Exception) -> bool:
        """True where it was one too many."""
        message = self._shown_error(error)
        if not self._failures.add(asyncio.get_running_loop().time()):
            await self._write_error(message)
            return False
        return await self._quarantine(f"quarantined after {self._failures.limit}: {message}")

    async def _quarantine(self, message: str) -> bool:
        """Write it into the row, however long the database is away; False where the row changes meanwhile."""
        self._show(Phase.ERROR, message)
        self.board.quarantined = True
        self._log.error("bot_quarantined", error=message)
        quarantine = Quarantine(self._failures.limit.failures, self.wanted_hash)
        for tries in count(1):
            try:
                await self._around.store.failed(self.bot_id, message, quarantine=quarantine)
            except Exception as error:  # noqa: BLE001  # as long as the row does not say it, any process tries again
                self._log.warning("status_not_written", error=str(error))
                await self._pause(backoff_seconds(tries))
                if self._stop.is_set() or self._choice.awaited is not None:
                    break
            else:
                return True
        return False

    def _shown_error(self, error: Exception) -> str:
        self.board.errors += 1
        self._mark()
        message = masked(first_line(error))
        self._show(Phase.ERROR, message)
        self._log.error("bot_error", error=message, error_type=type(error).__name__)
        return message

    async def _write_error(self, message: str) -> None:
        try:
            await self._around.store.failed(self.bot_id, message)
        except Exception as also:  # noqa: BLE001  # the first error is what matters; it is in the log
            self._log.warning("status_not_written", error=str(also))

    async def _pause(self, seconds: float) -> None:
        """Wait, but not for longer than the bot may run or its document stays, and without ever looking stuck."""
        until = asyncio.get_running_loop().time() + seconds
        while not self._hurry.is_set() and (left := until - asyncio.get_running_loop().time()) > 0:
            self._mark()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), min(left, _TURN_SECONDS))
        if not self._stop.is_set():
            self._hurry.clear()

    def _mark(self) -> None:
        self._around.progress.mark(self._loop)

    @property
    def _loop(self) -> str:
        return f"bot-{self.bot_id}"

    def _show(self, phase: Phase, message: str) -> None:
        if not self._stop.is_set() or phase is Phase.ERROR:
            self.board.phase = phase
        self.board.message = message
