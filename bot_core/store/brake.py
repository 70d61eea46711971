"""The safety brake with its memory and its table: judges a reading, shows what is held, knows who let it go.

It reads no bots and stops none. Nothing is written while nothing is held.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from bot_core.models.brake import (
    BrakeLimits,
    BrakeMemory,
    Level,
    Reading,
    TableState,
    Verdict,
    judge,
    set_digest,
)
from bot_core.models.errors import SchemaMissingError, TradingBotError
from bot_core.store.shrinks import Shrink, ShrinkStore

_log = structlog.get_logger(__name__)
CONFIRM = "tradingbot confirm-shrink"


@dataclass(frozen=True, slots=True)
class Braked:
    """A verdict, and the code that lets go what it holds; empty where none could be shown."""

    verdict: Verdict
    code: str

    @property
    def message(self) -> str:
        """Why bots are held and what to do about it; empty while nothing is held."""
        if self.verdict.level is Level.OFF:
            return ""
        if self.verdict.level is Level.WAITS:
            return f"{self.verdict.why}; held until a second reading says the same, or `{CONFIRM} {self.code}`"
        return f"{self.verdict.why}; held until the rows are back or a person says `{CONFIRM} {self.code}`".rstrip()


class Brake:
    """`holder` is who holds, as people see it. Times are on one clock that never goes back."""

    def __init__(
        self, store: ShrinkStore, limits: BrakeLimits, holder: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._limits = limits
        self._holder = holder
        self._clock = clock
        self._memory = BrakeMemory()
        self._clean = False  # whether nothing of ours is on show; a start does not know
        self._shown: Shrink | None = None

    async def judge(
        self,
        running: Iterable[int],
        wanted: Iterable[int],
        table: TableState = TableState.FILLED,
        *,
        stopped_before: Iterable[int] = (),
    ) -> Braked:
        """Judge one reading. Raises DatabaseUnavailableError, and then nothing may be stopped."""
        running, wanted = frozenset(running), frozenset(wanted)
        standing = await self._standing(asked=bool((running | self._memory.held) - wanted))
        now = datetime.now(UTC)
        confirmed = frozenset[int]().union(*(item.bots for item in standing if item.counts(now)))
        before = self._memory
        reading = Reading(running, wanted, self._clock(), table, confirmed, frozenset(stopped_before))
        verdict = judge(before, reading, self._limits)
        code = await self._show(verdict, standing, running - wanted)
        self._memory = verdict.memory  # only once the table says so as well
        braked = Braked(verdict, code)
        self._tell(before, braked)
        return braked

    async def confirm(self, code: str, *, by: str) -> bool:
        """Let go what is on show under this code; False where that is something else by now."""
        if self._shown is None or code != self._shown.code:
            return False
        try:
            await self._store.confirm(code, by=by)
        except TradingBotError as error:
            _log.warning("confirmation_refused", code=code, by=by, error=str(error))
            return False
        return True

    async def _standing(self, *, asked: bool) -> list[Shrink]:
        if self._clean and not asked:
            return []
        try:
            return await self._store.standing(self._holder)
        except SchemaMissingError as error:
            _log.warning("held_bots_not_shown", error=str(error), what="nobody can confirm anything meanwhile")
            return []

    async def _shown_as(self, verdict: Verdict, same: list[Shrink]) -> Shrink | None:
        if same:
            return same[-1]
        asks = verdict.level is Level.ASKS
        try:
            return await self._store.ask(self._holder, verdict.held, fleet=verdict.fleet, reason=verdict.why, asks=asks)
        except SchemaMissingError:
            return None

    async def _show(self, verdict: Verdict, standing: list[Shrink], going: frozenset[int]) -> str:
        """Bring the table in line with the verdict; the code of what is held."""
        now = datetime.now(UTC)
        # A confirmation is over once its bots are gone or back, or when its time is: it is never met again.
        over = [item for item in standing if item.expires_at and not (item.counts(now) and item.bots & going)]
        shown = [item for item in standing if item.expires_at is None]
        await self._end(over, "done")
        if verdict.level is Level.OFF:
            await self._end(shown, "let go" if verdict.free else "back")
            self._clean, self._shown = len(standing) == len(over) + len(shown), None
            return ""
        self._clean = False
        asks, digest = verdict.level is Level.ASKS, set_digest(verdict.held)
        self._shown = await self._shown_as(
            verdict, [item for item in shown if item.digest == digest and item.asks == asks]
        )
        return self._shown.code if self._shown is not None else ""

    async def _end(self, items: list[Shrink], outcome: str) -> None:
        if items:
            await self._store.end([item.id for item in items], outcome)

    def _tell(self, before: BrakeMemory, braked: Braked) -> None:
        verdict = braked.verdict
        if verdict.level is not Level.OFF and (verdict.level, verdict.held) != (before.level, before.held):
            _log.error("removal_held", level=verdict.level, bots=sorted(verdict.held)[:50], what=braked.message)
        elif verdict.level is Level.OFF and before.held:
            freed = before.held & verdict.free
            _log.warning("brake_released", let_go=sorted(freed)[:50], back=len(before.held - freed))
