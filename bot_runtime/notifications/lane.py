"""One channel at work: take what waits for it, send it at its pace, note what became of it.

A send is noted before it begins and after it has ended, each in a commit of its own. A channel that is down keeps its
rows waiting and uses up none of their retries. Lanes don't wait for each other.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from bot_core.logs import masked
from bot_core.models.errors import DatabaseUnavailableError, first_line
from bot_core.models.queued_message import QueuedMessage
from bot_core.store.listen import backoff_seconds
from bot_core.store.message_queue import UNKNOWN, MessageQueue
from bot_runtime.companions import pause
from bot_runtime.notifications.base import (
    ChannelDownError,
    Delivery,
    DeliveryError,
    Markup,
    Notifier,
    NotSentError,
    Probed,
    RejectedError,
    UnclearError,
)
from bot_runtime.notifications.digest import SAME_WITHIN_SECONDS, Unit, build_units, find_duplicates, needs_comparison
from bot_runtime.notifications.metrics import NotificationFigures
from bot_runtime.notifications.pacing import DEFAULT_RATE, RATES, Door, Pace
from bot_runtime.notifications.recipients import Recipients
from bot_runtime.notifications.rendering import Renderer

_log = structlog.get_logger(__name__)
_BATCH = 100
_AT_ONCE = 4
#: No notifier may take longer, whatever its own limits are.
_SEND_SECONDS = 45.0
_MOST_RETRY_SECONDS = 600.0


class Lane:
    def __init__(
        self,
        notifier: Notifier,
        queue: MessageQueue,
        recipients: Recipients,
        renderer: Renderer,
        figures: NotificationFigures,
        *,
        stop: asyncio.Event,
        retry_seconds: float = 5.0,
    ) -> None:
        self.name = notifier.name
        self._notifier = notifier
        self._queue = queue
        self._recipients = recipients
        self._renderer = renderer
        self._figures = figures
        self._stop = stop
        self._retry_seconds = retry_seconds
        self._markup = Markup(getattr(notifier, "markup", Markup.TEXT))
        self._separate = bool(getattr(notifier, "separate_targets", False))
        self._pace = Pace(RATES.get(self.name, DEFAULT_RATE))
        self._door = Door()
        self._doors: dict[str, Door] = {}
        figures.up.setdefault(self.name, True)

    async def drain(self) -> None:
        """Work until nothing waits, the channel is down, or the process stops. Raises what the database raises."""
        while not self._stop.is_set() and await self._opened(self._door, ""):
            rows = await self._queue.claim(self.name, _BATCH)
            if not rows:
                return
            await self._work(await self._addressed(await self._without_duplicates(rows)))

    async def _opened(self, door: Door, target: str) -> bool:
        """Whether a message may be tried. After a failure, the channel is asked first."""
        if door.shut_seconds:
            return False
        if door.must_ask and isinstance(self._notifier, Probed):
            try:
                async with asyncio.timeout(_SEND_SECONDS):
                    await self._notifier.probe(target)
            except Exception as error:  # noqa: BLE001  # whatever it was, the channel does not work
                self._shut(door, error, None)
                return False
        return True

    def _shut(self, door: Door, error: Exception, retry_after: float | None) -> float:
        pause = door.failed(retry_after)
        if door is self._door:
            self._figures.up[self.name] = False
        _log.warning("channel_down", channel=self.name, error=_words(error), pause_seconds=round(pause, 1))
        return pause

    async def _without_duplicates(self, rows: Sequence[QueuedMessage]) -> list[QueuedMessage]:
        compared = needs_comparison(rows)
        if not compared:
            return [*rows]
        twins = find_duplicates(compared, await self._queue.earlier(compared, SAME_WITHIN_SECONDS))
        for message_id, first in twins.items():
            await self._queue.cancel([message_id], f"duplicate of message {first}")
            self._figures.count(self.name, "duplicate")
        return [row for row in rows if row.id not in twins]

    async def _addressed(self, rows: Sequence[QueuedMessage]) -> list[tuple[QueuedMessage, str]]:
        found = []
        for row in rows:
            try:
                found.append((row, await self._recipients.target(row, self.name)))
            except RejectedError as error:
                await self._bury([row.id], str(error))
        return found

    async def _work(self, waiting: Sequence[tuple[QueuedMessage, str]]) -> None:
        """Targets side by side, the units of one target in their order."""
        by_target: dict[str, list[Unit]] = {}
        for unit in build_units(waiting):
            by_target.setdefault(unit.target, []).append(unit)
        slots = asyncio.Semaphore(_AT_ONCE)

        async def to_one_target(units: Sequence[Unit]) -> None:
            async with slots:
                for unit in units:
                    await self._do(unit)

        # One that fails cancels no other in the midst of a transaction: each finds out that the duty is lost.
        ended = await asyncio.gather(*[to_one_target(units) for units in by_target.values()], return_exceptions=True)
        for outcome in ended:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _do(self, unit: Unit) -> None:
        door = self._doors.setdefault(unit.target, Door()) if self._separate else self._door
        await self._pause(self._pace.delay(unit.target))
        if self._stop.is_set():
            return await self._queue.release(unit.ids)
        if not (await self._opened(door, unit.target) if self._separate else not door.shut_seconds):
            return await self._later(unit, door)
        if not await self._queue.begin(unit.ids, self.name, unit.key):
            return await self._queue.release(unit.ids)
        started = time.monotonic()
        try:
            external_id = await self._send(unit)
        except DeliveryError as error:
            return await self._went_wrong(unit, door, error)
        door.succeeded()
        self._figures.up[self.name] = not self._door.failures
        milliseconds = int((time.monotonic() - started) * 1000)
        await self._noted(lambda: self._queue.delivered(unit.ids, self.name, external_id, milliseconds))
        self._figures.count(self.name, "delivered", len(unit.rows))
        _log.info(
            "notification_delivered",
            channel=self.name,
            messages=unit.ids,
            repeated=unit.repeated,
            correlation_id=unit.rows[0].metadata.get("correlation_id"),
        )
        return None

    async def _send(self, unit: Unit) -> str | None:
        delivery = self._rendered(unit)
        if not self._queue.duty.valid:
            raise ChannelDownError("this process no longer holds the duty")  # paused for long: another may be at it
        try:
            async with asyncio.timeout(_SEND_SECONDS):
                return (await self._notifier.send(delivery)).external_id
        except DeliveryError:
            raise
        except Exception as error:
            raise UnclearError(_words(error)) from error

    def _rendered(self, unit: Unit) -> Delivery:
        try:
            return self._renderer.render(unit, self._markup)
        except Exception as error:
            raise RejectedError(f"it can't be put into words: {_words(error)}") from error

    async def _went_wrong(self, unit: Unit, door: Door, error: DeliveryError) -> None:
        words = _words(error)
        match error:
            case ChannelDownError():
                self._shut(door, error, error.retry_after)
                await self._noted(lambda: self._later(unit, door, words))
            case RejectedError():
                await self._noted(lambda: self._bury(unit.ids, words))
            case NotSentError():
                await self._retry(unit, words, unknown=False, patience=error.patience)
            case UnclearError():
                self._shut(door, error, None)
                # The first one of a row costs nothing: most are a channel that goes down. What is asked, answers and
                # then leaves a row unclear again is this row's own trouble.
                await self._retry(unit, words, unknown=True, counted=unit.repeated)
            case DeliveryError():
                await self._retry(unit, words, unknown=True)

    async def _later(self, unit: Unit, door: Door, words: str = "the channel is down") -> None:
        self._figures.count(self.name, "postponed", len(unit.rows))
        seconds = door.shut_seconds if self._separate else 0.0
        await self._queue.postpone(unit.rows, self.name, words, seconds=seconds)

    async def _retry(
        self, unit: Unit, words: str, *, unknown: bool, counted: bool = True, patience: float = 1.0
    ) -> None:
        over = [row for row in unit.rows if counted and row.retry_count >= row.max_retries]
        if over:
            what = UNKNOWN if unknown or unit.repeated else ""
            await self._noted(lambda: self._bury([row.id for row in over], f"{what}{words}"))
        rows = [row for row in unit.rows if row not in over]
        if not rows:
            return
        done = max(row.retry_count for row in rows)
        first = self._retry_seconds * patience
        pause = backoff_seconds(done + 1, first=first, most=max(first, _MOST_RETRY_SECONDS)) if counted else 0.0
        self._figures.count(self.name, "retried", len(rows))
        _log.warning("notification_retried", channel=self.name, messages=[row.id for row in rows], error=words)
        await self._noted(
            lambda: self._queue.postpone(rows, self.name, words, seconds=pause, counted=counted, unknown=unknown)
        )

    async def _bury(self, ids: Sequence[int], words: str) -> None:
        await self._queue.failed(ids, self.name, masked(words))
        self._figures.count(self.name, "failed", len(ids))
        _log.error("notification_failed", channel=self.name, messages=[*ids], error=words)

    async def _noted(self, note: Callable[[], Awaitable[None]]) -> None:
        """What is known of a send must not be lost to a database that is away for a moment."""
        failures = 0
        while True:
            try:
                return await note()
            except DatabaseUnavailableError:
                failures += 1
                if self._stop.is_set() or not self._queue.duty.valid:
                    raise
            await self._pause(backoff_seconds(failures, first=0.2, most=5.0))

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            await pause(self._stop, seconds)


def _words(error: BaseException) -> str:
    return masked(first_line(error))[:500]
