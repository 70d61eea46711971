"""What becomes of bots that the last process ran: they go on, or, with `--no-resume`, wait until they are asked for.

It only holds bots back: it stops none that runs, and what a row asks for is decided elsewhere.
"""

from collections.abc import Iterable

import structlog

from bot_core.models.bot import BotRow, BotStatus, desired_state
from bot_runtime.engine.assembly import Surroundings
from bot_runtime.engine.board import Phase
from bot_runtime.persistence.flatness import is_flat

_log = structlog.get_logger(__name__)
_ASKED = frozenset({BotStatus.ENABLED, BotStatus.STARTING, BotStatus.RESTARTING})


class Resumption:
    """`begin` with the first rows that this process reads; `holds` for each that asks to run and does not."""

    def __init__(self, around: Surroundings, *, resume: bool) -> None:
        self._around = around
        self._resume = resume
        self._held: set[int] | None = None
        self._told: set[int] = set()
        #: Bots of which the row was seen to say that nobody runs them: `running` is a request from then on.
        self._stopped: set[int] = set()

    def begin(self, rows: Iterable[BotRow]) -> None:
        if self._held is None:
            self._held = set() if self._resume else {row.id for row in rows if _would_resume(row)}

    async def holds(self, row: BotRow) -> bool:
        """Whether the bot stays stopped although its row would resume it. Says so once, in log, event and row."""
        if not self._held or row.id not in self._held:
            return False
        if row.status in _ASKED or (row.status == BotStatus.RUNNING and row.id in self._stopped):
            self._held.discard(row.id)
            return False
        if row.id not in self._told:
            await self._tell(row)
            self._told.add(row.id)
        return True

    async def _tell(self, row: BotRow) -> None:
        text = "not resumed, since this process runs with --no-resume; write `enabled` or `starting` to start it"
        if not await is_flat(self._around.database, row.id):
            text += ". It holds a position or an order, which nobody watches meanwhile"
        board = self._around.fleet.board(row.id, row.name)
        board.phase, board.message = Phase.STOPPED, text
        _log.warning("bot_not_resumed", bot_id=row.id, status=row.status, message=text)
        lease = await self._around.leases.acquire(row.id)
        if lease is None:
            board.message = "not resumed here; another process holds the lease of this bot"
            return
        try:
            if row.status == BotStatus.RUNNING:  # nobody runs it
                await self._around.store.stopped(row.id, lease)
            self._stopped.add(row.id)
            await self._around.store.note(row.id, "not_resumed", text)
        finally:
            await self._around.leases.release(lease)


def _would_resume(row: BotRow) -> bool:
    """Whether the bot would go on by itself: not one that is off, for which being switched on is being asked for."""
    return row.unreadable is not None or (row.status not in _ASKED and desired_state(row).run)
