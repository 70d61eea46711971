"""Works off the backlog with several workers; the type of an error decides what happens next. It knows no bot.

A look that hangs costs one worker for `PATIENCE_SECONDS`, then a place among the slow; a bot whose last look failed
begins there. So poisoned bots, however many, delay no other by more than moments.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

import structlog

from bot_core.models.errors import InvalidBotError, TradingBotError
from bot_operator.backlog import Backlog

WORKERS = 16
#: Places for looks that hang or that follow a failure. Each may cost a connection to the API server, none a database's.
SLOW_PLACES = 32
PATIENCE_SECONDS = 2.0
ONE_LOOK_SECONDS = 60.0
_log = structlog.get_logger(__name__)


class Outcome(StrEnum):
    """How one look at a bot ended."""

    SETTLED = "settled"
    INVALID = "invalid"
    RETRY = "retry"
    BUG = "bug"


@dataclass(frozen=True)
class LookEnd:
    """One look that is over. `error` is its kind, or empty; `retry_after` are seconds that the other side asked for.

    `waited`: seconds from the wish to look until the bot was settled, or None where it is not.
    """

    outcome: Outcome
    error: str = ""
    retry_after: float = 0.0
    seconds: float = 0.0
    waited: float | None = None


class WorkQueue:
    """`add` may be called from any callback of the loop; `run` works until it is cancelled."""

    def __init__(
        self,
        *,
        workers: int = WORKERS,
        slow_places: int = SLOW_PLACES,
        backlog: Backlog | None = None,
        on_end: Callable[[LookEnd], None] = lambda _end: None,
    ) -> None:
        self._backlog = backlog or Backlog()
        self._free = workers
        self._slow_free = slow_places
        self._news = asyncio.Event()
        self._on_end = on_end

    def __len__(self) -> int:
        return len(self._backlog)

    @property
    def oldest_wait(self) -> float:
        """Seconds for which a bot has been waiting to be as its row asks."""
        return self._backlog.oldest_wait(_now())

    def add(self, bot_id: int, *, news: bool = True, within: float = 0.0) -> None:
        """Look at a bot; `within` so many seconds, for which more of the same is waited for."""
        self._backlog.add(bot_id, _now(), news=news, within=within)
        self._news.set()

    async def run(self, look: Callable[[int], Awaitable[None]]) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                self._news.clear()
                while self._free and (bot_id := self._backlog.take(_now())) is not None:
                    self._free -= 1
                    group.create_task(self._work(bot_id, look, slow=False))
                while self._slow_free and (bot_id := self._backlog.take(_now(), failing=True)) is not None:
                    self._slow_free -= 1
                    group.create_task(self._work(bot_id, look, slow=True))
                await self._wait()

    async def _wait(self) -> None:
        lines = ((self._free, False), (self._slow_free, True))
        dues = [self._backlog.next_due(failing=failing) for free, failing in lines if free]
        due = min((due for due in dues if due is not None), default=None)
        try:
            async with asyncio.timeout(None if due is None else max(0.0, due - _now())):
                await self._news.wait()
        except TimeoutError:
            return

    async def _work(self, bot_id: int, look: Callable[[int], Awaitable[None]], *, slow: bool) -> None:
        began, place = _now(), _Place(self, slow=slow)
        with structlog.contextvars.bound_contextvars(bot_id=bot_id):
            try:
                end = await _end_of(bot_id, look)
            finally:
                place.leave()
            self._on_end(self._noted(bot_id, end, began))
        self._news.set()

    def _noted(self, bot_id: int, end: LookEnd, began: float) -> LookEnd:
        now, waited = _now(), None
        if end.outcome in {Outcome.SETTLED, Outcome.INVALID}:
            waited = self._backlog.succeeded(bot_id, now)
        else:
            _log.info("bot_retried_later", seconds=self._backlog.failed(bot_id, now, at_least=end.retry_after))
        settled = waited if end.outcome is Outcome.SETTLED else None
        return LookEnd(end.outcome, end.error, end.retry_after, now - began, settled)

    def change_places(self, free: int, slow_free: int) -> bool:
        """Count places anew; False where there is no such free place among the slow."""
        if self._slow_free + slow_free < 0:
            return False
        self._free += free
        self._slow_free += slow_free
        self._news.set()
        return True


class _Place:
    """Where a look counts: among the workers, or after a while among the slow, if one of their places is free."""

    def __init__(self, queue: WorkQueue, *, slow: bool) -> None:
        self._queue = queue
        self._slow = slow
        self._timer: asyncio.TimerHandle | None = None
        if not slow:
            self._wait()

    def leave(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._queue.change_places(free=not self._slow, slow_free=self._slow)

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._move)

    def _move(self) -> None:
        self._slow = self._queue.change_places(free=1, slow_free=-1)
        if not self._slow:
            self._wait()


async def _end_of(bot_id: int, look: Callable[[int], Awaitable[None]]) -> LookEnd:
    try:
        async with asyncio.timeout(ONE_LOOK_SECONDS):
            await look(bot_id)
    except InvalidBotError as error:
        _log.warning("bot_invalid", error=str(error))
        return LookEnd(Outcome.INVALID, _kind(error))  # terminal until there is news of it; the poll is the safety net
    except (TradingBotError, TimeoutError) as error:
        # Tables that are missing are fatal to a bot; the operator outlives that: they may be on their way.
        _log.warning("bot_not_reconciled", error=str(error) or f"took more than {ONE_LOOK_SECONDS:.0f} s")
        return LookEnd(Outcome.RETRY, _kind(error), retry_after=getattr(error, "retry_after", 0.0))
    except Exception:  # noqa: BLE001  # one bad bot never touches another
        _log.error("bot_not_reconciled", exc_info=True)
        return LookEnd(Outcome.BUG, "bug")
    return LookEnd(Outcome.SETTLED)


def _kind(error: Exception) -> str:
    """The name of an error's class, of which there are few: ThrottledError is `throttled`."""
    return type(error).__name__.removesuffix("Error").lower()


def _now() -> float:
    return asyncio.get_running_loop().time()
