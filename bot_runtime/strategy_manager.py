"""The bots of this process: rows in, running instances out.

One pass reads the rows and makes the process agree with them; start-up, a notification and the poll are the same
pass. A failed or empty read stops nothing. It opens no socket and knows nothing of the process's own life.
"""

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any

import structlog

from bot_core.models.bot import STOP_REQUESTS, BotRow, BotStatus, desired_state
from bot_core.models.brake import BrakeLimits
from bot_core.models.config import parse_config
from bot_core.models.errors import FatalError, TransientError
from bot_core.store.brake import Brake
from bot_core.store.database import Database
from bot_core.store.shrinks import ShrinkStore
from bot_runtime.config_manager import ConfigManager
from bot_runtime.engine.assembly import Assignment, Surroundings
from bot_runtime.engine.bot_instance import BotInstance
from bot_runtime.engine.failures import FailureLimit
from bot_runtime.engine.stall_watch import StallWatch
from bot_runtime.persistence.flatness import is_flat
from bot_runtime.persistence.last_good import last_good_document
from bot_runtime.resumption import Resumption
from bot_runtime.row_reader import RowReader
from bot_runtime.stop_brake import Held, ServiceBrake, StopBrake

_log = structlog.get_logger(__name__)
LOOP = "strategy-manager"
_LOOK_SECONDS = 2.0
#: How long the pass that is under way when the process is told to stop may still take.
_LAST_PASS_SECONDS = 1.0
#: How long bots may take to end once they were cancelled, since the time to drain is over.
_KILL_SECONDS = 3.0
#: What is left in the row of a bot whose process ended before it could stop it.
_MAY_HOLD = frozenset({BotStatus.STARTING, BotStatus.RUNNING, BotStatus.ERROR})
_ASKED_AGAIN = frozenset({BotStatus.ENABLED, BotStatus.STARTING, BotStatus.RUNNING, BotStatus.RESTARTING})


class StrategyManager:
    """`ids` limits it to some bots: what a pod runs. None means every row that asks to run.

    `user` (id or address) limits it to one user's; without `resume`, bots of the last process wait to be asked for.
    """

    def __init__(
        self,
        around: Surroundings,
        *,
        ids: Collection[int] | None = None,
        user: str | None = None,
        resume: bool = True,
        poll_seconds: float = 30.0,
        drain_seconds: float = 20.0,
        stall_seconds: float = 60.0,
        limit: FailureLimit | None = None,
        brake: StopBrake | None = None,
    ) -> None:
        self._around = around
        self.rows = RowReader(around.store, ids=ids, user=user)
        self._poll_seconds = poll_seconds
        self._drain_seconds = drain_seconds
        self._instances: dict[int, BotInstance] = {}
        self._configs = ConfigManager(around.store, around.fleet)
        self._resumption = Resumption(around, resume=resume)
        self._stalls = StallWatch(around.progress, stall_seconds)
        self._limit = limit or FailureLimit()
        self._brake: StopBrake = brake or ServiceBrake(
            Brake(ShrinkStore(around.database), BrakeLimits(), f"service {around.leases.holder}")
        )
        self._held = Held()
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy: set[int] = set()
        self._awake = asyncio.Event()
        self._fatal: BaseException | None = None

    @property
    def database(self) -> Database:
        return self._around.database

    @property
    def running(self) -> int:
        return len(self._instances)

    def wake(self, bot_id: int | None = None) -> None:
        """Something may have changed: read the rows again soon. The id is a hint and no more.

        The bot's heartbeat comes at once, or every bot's: that is how it learns of a halt.
        """
        if bot_id is None or self.rows.ids is None or bot_id in self.rows.ids:
            self._awake.set()
        for instance in self._instances.values() if bot_id is None else filter(None, [self._instances.get(bot_id)]):
            instance.hurry()

    async def run(self, stop: asyncio.Event) -> None:
        """Reconcile until `stop` is set. The caller then calls `shutdown`."""
        watching = asyncio.create_task(self._watch_for_stalls())
        try:
            while not stop.is_set():
                self._awake.clear()
                if self._fatal is not None:
                    raise FatalError(f"a bot's task died: {self._fatal}") from self._fatal
                await self._unless(stop, self._pass())
                await self._wait(stop, self._poll_seconds if self.rows.up else self.rows.pause_seconds())
        finally:
            watching.cancel()

    async def _unless(self, stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
        """Do it, but leave it behind where `stop` comes meanwhile: a database that hangs must not hold us up."""
        task, told = asyncio.create_task(work), asyncio.create_task(stop.wait())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({task}, timeout=_LAST_PASS_SECONDS)
        finally:
            told.cancel()
            task.cancel()  # one that hangs may take long to end: `shutdown` waits for it, but not for ever
        if not task.done():
            _log.warning("last_pass_cut_short", seconds=_LAST_PASS_SECONDS)
            return
        task.result()

    async def shutdown(self) -> None:
        """Drain every bot; those that have not finished in time are cancelled. Rows then say `stopped`."""
        ids = list(self._instances)
        stopping = {asyncio.create_task(self._stop(i)) for i in ids if i not in self._busy} | self._tasks
        if not stopping:
            return
        _, late = await asyncio.wait(stopping, timeout=self._drain_seconds)
        for task in late:
            task.cancel()
        if late:
            _log.warning("drain_timed_out", bots=[i for i in ids if i in self._instances])
            kills = (instance.kill(_KILL_SECONDS) for instance in self._instances.values())
            await asyncio.gather(asyncio.wait(late, timeout=_KILL_SECONDS), *kills)

    async def _pass(self) -> None:
        self._around.progress.mark(LOOP)
        rows = await self.rows.read()
        if rows is None:
            return
        self._resumption.begin(rows)
        held = self._held = await self._judge(rows)
        for row in rows:
            self._around.progress.mark(LOOP)
            await self._guarded(row)
        for bot_id in self._instances.keys() - {row.id for row in rows} - self._busy - held.bots:
            self._later(bot_id, self._stop_deleted(bot_id))
        for bot_id in self._around.fleet.bots.keys() - {row.id for row in rows} - self._instances.keys():
            self._around.fleet.forget(bot_id)

    async def _judge(self, rows: list[BotRow]) -> Held:
        """What the safety brake holds of what runs here, and show it; all of it where that can't be judged."""
        running = self._instances.keys() - self._busy
        try:
            held = await self._brake.held(rows, running)
        except Exception as error:  # noqa: BLE001  # whatever the reason, nothing was judged, so nothing is stopped
            _log.warning("brake_not_judged", error=str(error), message="nothing is stopped")
            held = Held(frozenset({*running, *(row.id for row in rows)}), "the safety brake could not be asked")
        for bot_id, board in self._around.fleet.bots.items():
            board.removal_held = held.why if bot_id in held.bots else ""
        self._around.fleet.process.removals_held = len(held.bots)
        return held

    async def _guarded(self, row: BotRow) -> None:
        """One row's trouble is its own."""
        if row.id in self._busy:
            return
        try:
            await self._reconcile(row)
        except TransientError as error:
            _log.warning("row_not_reconciled", bot_id=row.id, error=str(error))
        except Exception:  # noqa: BLE001  # whatever it was, it is this row's alone
            _log.exception("row_not_reconciled", bot_id=row.id)

    async def _reconcile(self, row: BotRow) -> None:
        instance, desired = self._instances.get(row.id), desired_state(row)
        if row.unreadable is not None:
            if self._configs.report_once(row):
                _log.warning("row_unreadable", bot_id=row.id, reason=row.unreadable)
        elif not desired.run and row.id in self._held.bots:
            return  # the safety brake holds it: it goes on as it is
        elif not desired.run:
            if instance is not None:
                _log.info("bot_stopping", bot_id=row.id, reason=desired.reason)
                self._later(row.id, self._stop(row.id))
            elif row.status in STOP_REQUESTS or (row.switched_off and row.status in _MAY_HOLD):
                await self._answer_stop(row)
        elif instance is None:
            if not await self._resumption.holds(row):
                await self._start(row)
        elif desired.restart or (row.quarantined and not instance.done):
            self._end(row, desired.reason)
        else:
            await self._update(row, instance)

    def _end(self, row: BotRow, reason: str) -> None:
        """End the instance of a row that asks to run: another is made for it, or none while it is in quarantine."""
        if row.quarantined:
            # Written by another: this process trades on, but nobody can tell by its heartbeats that it does.
            _log.warning("bot_quarantined_from_outside", bot_id=row.id, error=row.extra_metadata.get("last_error"))
        else:
            _log.info("bot_restarting", bot_id=row.id, reason=reason)
        self._later(row.id, self._stop(row.id))

    async def _start(self, row: BotRow) -> None:
        assignment = await self._configs.first(row)
        if assignment is None:
            return
        instance = BotInstance(self._around, assignment, limit=self._limit, on_news=self._awake.set)
        self._instances[row.id] = instance
        instance.start(self._ended)
        _log.info("bot_starting", bot_id=row.id, name=row.name, config_hash=assignment.config_hash)

    async def _update(self, row: BotRow, instance: BotInstance) -> None:
        """Hand on a changed document, which the bot applies by its own policy; one that is invalid is only reported."""
        if instance.done:
            # It gave up, which is final until the document changes or somebody asks for the bot again. The row may have
            # been read before it said so.
            row = await self._around.store.get(row.id) or row
            if row.config_hash != instance.wanted_hash or row.status in _ASKED_AGAIN:
                self._instances.pop(row.id)
                self._awake.set()
            return
        if row.config_hash == instance.assignment.config_hash:
            self._configs.forget(row.id)
            if row.config_hash != instance.wanted_hash:
                instance.withdraw()
        elif row.config_hash != instance.wanted_hash:
            assignment = await self._configs.changed(row)
            if assignment is not None:
                await instance.reload(assignment)
        if row.status != BotStatus.RUNNING or "last_error" in row.extra_metadata:
            await instance.reaffirm(row)

    async def _watch_for_stalls(self) -> None:
        """Beside the passes, which may wait for the database."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            stalled = self._stalls.look()
            for bot_id, instance in self._instances.items():
                if (age := stalled.get(f"bot-{bot_id}")) is not None:
                    self._beside(bot_id, instance.interrupt(age))

    async def _stop(self, bot_id: int) -> None:
        """Drain the instance. The next pass starts it from the row as it then is, where that asks to run."""
        instance = self._instances.get(bot_id)
        if instance is None:
            return
        await instance.stop()  # which writes `stopped`, if it was this process that traded the bot
        self._instances.pop(bot_id, None)

    async def _stop_deleted(self, bot_id: int) -> None:
        """End a bot whose row is gone; what it holds at the venue stays as it is. The event outlives the row."""
        if await self._around.store.get(bot_id) is not None:  # it is another user's now, and whoever runs those goes on
            _log.info("bot_stopping", bot_id=bot_id, reason="its row is no longer this process's")
            await self._stop(bot_id)
            return
        instance = self._instances[bot_id]
        held = instance.board.position_text or ("an order" if instance.holds else "")
        left = f"{held} at account {instance.board.account!r}, watched by nobody" if held else "no position"
        text = f"its row was deleted: the bot ended and left {left}"
        _log.warning("row_gone", bot_id=bot_id, message=text)
        await self._stop(bot_id)
        await self._around.leases.forget(bot_id)
        await self._around.store.note(bot_id, "row_gone", text)

    async def _answer_stop(self, row: BotRow) -> None:
        """A stop was requested of a bot that does not run here; answer it unless another process trades it.

        A bot that holds something is stopped by its policy: its last process may have been cut short in that.
        """
        if row.status == BotStatus.DISABLED and await is_flat(self.database, row.id):
            return  # `disabled` is what people write to have nothing done; nothing is left to do
        lease = await self._around.leases.acquire(row.id)
        if lease is None:
            return
        document = row.config
        if parse_config(document).config is None:
            document = await last_good_document(self.database, row.id)
        config = None if document is None else parse_config(document).config
        if config is None or await is_flat(self.database, row.id):
            await self._around.store.stopped(row.id, lease)
            await self._around.leases.release(lease)
        else:
            assignment = Assignment.of(row, config, document)
            self._later(row.id, BotInstance(self._around, assignment, limit=self._limit).finish(lease))

    def _later(self, bot_id: int, work: Coroutine[Any, Any, None]) -> None:
        """Run what waits for a bot beside the pass, which leaves the bot alone meanwhile."""
        self._busy.add(bot_id)

        def released(_: asyncio.Task[None]) -> None:
            self._busy.discard(bot_id)
            self._awake.set()

        self._beside(bot_id, work).add_done_callback(released)

    def _beside(self, bot_id: int, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something in a task of its own, so that one slow bot delays no other."""
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)

        def finished(done: asyncio.Task[None]) -> None:
            self._tasks.discard(done)
            if not done.cancelled() and (error := done.exception()) is not None:
                _log.error("not_done", bot_id=bot_id, error=str(error))

        task.add_done_callback(finished)
        return task

    def _ended(self, bot_id: int, died_of: BaseException | None) -> None:
        if died_of is not None:
            _log.critical("bot_task_died", bot_id=bot_id, error=str(died_of), error_type=type(died_of).__name__)
            self._fatal = died_of
        self._awake.set()

    async def _wait(self, stop: asyncio.Event, seconds: float) -> None:
        """Wait for news, for `stop` or for the poll, and turn often enough to be seen alive."""
        until = asyncio.get_running_loop().time() + seconds
        while not stop.is_set() and not self._awake.is_set():
            left = until - asyncio.get_running_loop().time()
            if left <= 0:
                return
            self._around.progress.mark(LOOP)
            waits = [asyncio.create_task(event.wait()) for event in (stop, self._awake)]
            await asyncio.wait(waits, timeout=min(left, 2.0), return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
