"""Works off the backlog with several workers; the type of an error decides what happens next. It knows no bot.

A bot that fails or hangs costs one worker for a while and delays no other.
"""

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum

import structlog

from bot_core.models.errors import InvalidBotError, TradingBotError
from bot_operator.backlog import Backlog

WORKERS = 8
ONE_LOOK_SECONDS = 60.0
_log = structlog.get_logger(__name__)


class Outcome(StrEnum):
    """How one look at a bot ended."""

    SETTLED = "settled"
    INVALID = "invalid"
    RETRY = "retry"
    BUG = "bug"


class WorkQueue:
    """`add` may be called from any callback of the loop; `run` works until it is cancelled."""

    def __init__(
        self,
        *,
        workers: int = WORKERS,
        backlog: Backlog | None = None,
        on_outcome: Callable[[Outcome], None] = lambda _outcome: None,
    ) -> None:
        self._backlog = backlog or Backlog()
        self._free = workers
        self._news = asyncio.Event()
        self._on_outcome = on_outcome

    def __len__(self) -> int:
        return len(self._backlog)

    def add(self, bot_id: int, *, news: bool = True) -> None:
        self._backlog.add(bot_id, _now(), news=news)
        self._news.set()

    async def run(self, look: Callable[[int], Awaitable[None]]) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                self._news.clear()
                while self._free and (bot_id := self._backlog.take(_now())) is not None:
                    self._free -= 1
                    group.create_task(self._work(bot_id, look))
                await self._wait()

    async def _wait(self) -> None:
        due = self._backlog.next_due() if self._free else None
        try:
            async with asyncio.timeout(None if due is None else max(0.0, due - _now())):
                await self._news.wait()
        except TimeoutError:
            return

    async def _work(self, bot_id: int, look: Callable[[int], Awaitable[None]]) -> None:
        with structlog.contextvars.bound_contextvars(bot_id=bot_id):
            outcome = await _outcome_of(bot_id, look)
            if outcome in {Outcome.SETTLED, Outcome.INVALID}:
                self._backlog.succeeded(bot_id)
            else:
                _log.info("bot_retried_later", seconds=self._backlog.failed(bot_id, _now()))
        self._on_outcome(outcome)
        self._free += 1
        self._news.set()


async def _outcome_of(bot_id: int, look: Callable[[int], Awaitable[None]]) -> Outcome:
    try:
        async with asyncio.timeout(ONE_LOOK_SECONDS):
            await look(bot_id)
    except InvalidBotError as error:
        _log.warning("bot_invalid", error=str(error))
        return Outcome.INVALID  # terminal until there is news of it; the poll is the safety net
    except (TradingBotError, TimeoutError) as error:
        # Tables that are missing are fatal to a bot; the operator outlives that: they may be on their way.
        _log.warning("bot_not_reconciled", error=str(error) or f"took more than {ONE_LOOK_SECONDS:.0f} s")
        return Outcome.RETRY
    except Exception:  # noqa: BLE001  # one bad bot never touches another
        _log.error("bot_not_reconciled", exc_info=True)
        return Outcome.BUG
    return Outcome.SETTLED


def _now() -> float:
    return asyncio.get_running_loop().time()
