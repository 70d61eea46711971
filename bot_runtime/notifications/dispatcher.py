"""The one deliverer of the fleet: it holds the duty `dispatch` and lets each channel work beside the others.

Without the duty it waits for it. Whatever fails ends a term, not the process: the next one begins by taking back what
the last one left. It has connections of its own, so that no bot ever waits for one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from bot_core.logs import masked
from bot_core.models.errors import LeaseLostError, TradingBotError, first_line
from bot_core.store.database import Database
from bot_core.store.duties import Duty, DutyStore
from bot_core.store.listen import backoff_seconds
from bot_core.store.message_queue import EXPIRE_SECONDS, MessageQueue
from bot_runtime.companions import pause
from bot_runtime.notifications.base import Notifier
from bot_runtime.notifications.lane import Lane
from bot_runtime.notifications.metrics import NotificationFigures
from bot_runtime.notifications.recipients import Recipients
from bot_runtime.notifications.rendering import Renderer

_log = structlog.get_logger(__name__)
DUTY = "dispatch"
_CLOSE_SECONDS = 3.5  # less than companions are given
_SEND_CLOSE_SECONDS = 2.0
#: Work beside delivery, about once a minute, such as writing summaries. Returns how much was done.
ExtraWork = Callable[[Duty, datetime], Awaitable[int]]


class CommandReader(Protocol):
    """Reads what people write to the fleet while this process holds the duty."""

    async def run(self, duty: Duty, stop: asyncio.Event) -> None: ...


@dataclass(frozen=True)
class DispatchRhythm:
    """In seconds."""

    poll: float = 1.0
    candidate: float = 2.0
    figures: float = 10.0
    reclaim: float = 60.0
    extra: float = 60.0
    retry: float = 5.0
    expire: float = EXPIRE_SECONDS


class Dispatcher:
    """A companion: `run` until `stop` is set. `leading` says whether this process delivers now."""

    name = "notifications"

    def __init__(
        self,
        database: Database,
        holder: str,
        notifiers: Mapping[str, Notifier],
        figures: NotificationFigures,
        *,
        renderer: Renderer,
        defaults: Mapping[str, str] | None = None,
        commands: CommandReader | None = None,
        extra_work: Sequence[ExtraWork] = (),
        rhythm: DispatchRhythm | None = None,
        lease_seconds: float = 30.0,
    ) -> None:
        self._database = database
        self._holder = holder
        self._duties = DutyStore(database, holder, seconds=lease_seconds)
        self._notifiers = notifiers
        self._figures = figures
        self._recipients = Recipients(database, defaults or {})
        self._renderer = renderer
        self._commands = commands
        self._extra_work = tuple(extra_work)
        self._rhythm = rhythm or DispatchRhythm()
        self.leading = False
        self.trouble: str | None = "starting"
        self.turn: Callable[[], None] = lambda: None
        figures.up.update(dict.fromkeys(notifiers, True))

    async def run(self, stop: asyncio.Event) -> None:
        _log.info("dispatcher_ready", channels=sorted(self._notifiers))
        failures = 0
        try:
            while not stop.is_set():
                self.turn()
                try:
                    worked = await self._term(stop)
                    failures = 0
                    self.trouble = None
                    if not worked:
                        await pause(stop, self._rhythm.candidate)
                except LeaseLostError as error:
                    _log.warning("duty_lost", duty=DUTY, error=first_line(error))
                    await pause(stop, self._rhythm.candidate)
                except Exception as error:  # noqa: BLE001  # the clients stay open for the next term
                    failures += 1
                    self.trouble = masked(first_line(error))
                    why = None if isinstance(error, TradingBotError) else error
                    _log.warning("dispatch_interrupted", error=self.trouble, retry=failures, exc_info=why)
                    await pause(stop, backoff_seconds(failures))
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        for notifier in self._notifiers.values():
            with suppress(Exception):
                await notifier.aclose()
        with suppress(Exception):
            await asyncio.wait_for(self._database.aclose(), _CLOSE_SECONDS)

    async def _term(self, stop: asyncio.Event) -> bool:
        """Hold the duty until it is lost or the process stops. False where another process holds it."""
        duty = await self._duties.acquire(DUTY)
        if duty is None:
            self._figures.backlog({})
            return False
        _log.info("duty_taken", duty=DUTY, epoch=duty.epoch)
        self.leading, self.trouble = True, None
        over = asyncio.Event()
        try:
            await self._lead(duty, stop, over)
        finally:
            self.leading = False
            with suppress(TradingBotError):
                await self._duties.release(duty)
        return True

    async def _lead(self, duty: Duty, stop: asyncio.Event, over: asyncio.Event) -> None:
        """Run all that belongs to the duty. The first that fails, or the end of the process, ends the rest."""
        queue = MessageQueue(self._database, duty, self._holder, expire_seconds=self._rhythm.expire)
        freed = await queue.reclaim(self._notifiers)
        if freed:
            _log.info("messages_reclaimed", messages=freed)
        works = [self._renewing(duty, over), self._watching(queue, over), self._lanes(queue, over)]
        works += [self._working(work, duty, over) for work in self._extra_work]
        if self._commands is not None:
            works.append(self._commands.run(duty, over))
        tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(work) for work in works]
        stopping: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
        try:
            done, _ = await asyncio.wait({*tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.set()
            stopping.cancel()
            _, late = await asyncio.wait(tasks, timeout=_CLOSE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, stopping, return_exceptions=True)
        for task in done - {stopping}:
            _raise_from(task)

    async def _renewing(self, duty: Duty, over: asyncio.Event) -> None:
        while not over.is_set():
            await pause(over, self._duties.seconds / 3)
            if not over.is_set():
                await self._duties.renew(duty)

    async def _watching(self, queue: MessageQueue, over: asyncio.Event) -> None:
        """Figures of the queue, and what other programs left locked."""
        clock = asyncio.get_running_loop().time
        swept = clock()
        while not over.is_set():
            self._figures.backlog(await queue.backlog(self._notifiers))
            if clock() - swept >= self._rhythm.reclaim:
                swept = clock()
                await queue.reclaim(self._notifiers)
            await pause(over, self._rhythm.figures)

    async def _lanes(self, queue: MessageQueue, over: asyncio.Event) -> None:
        """Look once a second what waits, and set the lanes of those channels to work."""
        lanes = {
            name: Lane(
                notifier, queue, self._recipients, self._renderer, self._figures,
                stop=over, retry_seconds=self._rhythm.retry,
            )
            for name, notifier in self._notifiers.items()
        }  # fmt: skip
        busy: dict[str, asyncio.Task[None]] = {}
        try:
            while not over.is_set():
                self.turn()
                for name in [name for name, task in busy.items() if task.done()]:
                    await busy.pop(name)
                for name in await queue.waiting(lanes.keys() - busy.keys()):
                    busy[name] = asyncio.create_task(lanes[name].drain(), name=f"notifications-{name}")
                await pause(over, self._rhythm.poll)
        finally:
            await _ended(busy.values())

    async def _working(self, work: ExtraWork, duty: Duty, over: asyncio.Event) -> None:
        """A failure of it is logged and tried again with the next turn; only the loss of the duty ends the term."""
        while not over.is_set():
            try:
                await work(duty, datetime.now(UTC))
            except LeaseLostError:
                raise
            except Exception as error:  # noqa: BLE001  # messages are delivered whatever it was
                _log.error("extra_work_failed", error=masked(first_line(error)), exc_info=error)
            await pause(over, self._rhythm.extra)


def _raise_from(task: "asyncio.Future[Any]") -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        raise error


async def _ended(tasks: "Collection[asyncio.Task[None]]") -> None:
    """Let sends that are under way end by themselves for a moment."""
    waiting = [*tasks]
    if not waiting:
        return
    try:
        await asyncio.wait(waiting, timeout=_SEND_CLOSE_SECONDS)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
