"""What a row gives its bot to run: its document, the last good one, or nothing. It starts and stops nothing.

What is wrong with a row is said once for each document, however often the row is read.
"""

import structlog

from bot_core.models.bot import BotRow, BotStatus
from bot_core.models.config import parse_config
from bot_runtime.engine.assembly import Assignment, Surroundings
from bot_runtime.engine.board import BotBoard, Phase
from bot_runtime.persistence.last_good import last_good_document

_log = structlog.get_logger(__name__)


class Assignments:
    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._refused: dict[int, str] = {}
        self._reported: dict[int, str] = {}

    async def first(self, row: BotRow) -> Assignment | None:
        """What to start with: the row's document, or the last good one where a running bot's row has turned invalid.

        None where there is nothing to run, and for a bot in quarantine.
        """
        if row.quarantined:
            board = self._idle(row, str(row.extra_metadata.get("last_error", "quarantined")))
            board.quarantined = True
            if self.report_once(row):
                _log.warning("bot_in_quarantine", bot_id=row.id, since=row.extra_metadata["quarantined"].get("since"))
            return None
        parsed = parse_config(row.config)
        if parsed.config is not None:
            self.forget(row.id)
            for notice in parsed.notices:
                _log.info("config_notice", bot_id=row.id, notice=str(notice))
            return Assignment.of(row, parsed.config, row.config)
        if self._refused.get(row.id) == row.config_hash and row.status == BotStatus.ERROR:
            return None
        return await self._fallback(row, parsed.error)

    async def changed(self, row: BotRow) -> Assignment | None:
        """What a running bot shall go on with; None for a document that can't run, of which the row then tells."""
        parsed = parse_config(row.config)
        self._mark(row, invalid=parsed.config is None)
        if parsed.config is not None:
            return Assignment.of(row, parsed.config, row.config)
        if self.report_once(row):
            _log.warning("config_invalid", bot_id=row.id, error=parsed.error)
            await self._around.store.failed(row.id, parsed.error, keep_status=True)
        return None

    def report_once(self, row: BotRow) -> bool:
        """True the first time that this is asked of a document."""
        first = self._reported.get(row.id) != row.config_hash
        self._reported[row.id] = row.config_hash
        return first

    def forget(self, bot_id: int) -> None:
        """All is well with this row."""
        self._refused.pop(bot_id, None)
        self._reported.pop(bot_id, None)
        if (board := self._around.fleet.bots.get(bot_id)) is not None:
            board.config_invalid = board.quarantined = False

    async def _fallback(self, row: BotRow, error: str) -> Assignment | None:
        self._mark(row, invalid=True)
        good = None if row.status == BotStatus.ERROR else await last_good_document(self._around.database, row.id)
        config = None if good is None else parse_config(good).config
        keep = config is not None
        _log.error("config_invalid", bot_id=row.id, error=error, keeps_last_good=keep)
        await self._around.store.failed(row.id, error, keep_status=keep)
        self._refused[row.id] = row.config_hash
        if config is None:
            self._idle(row, error)
            return None
        return Assignment.of(row, config, good)

    def _mark(self, row: BotRow, *, invalid: bool) -> None:
        self._around.fleet.board(row.id, row.name).config_invalid = invalid

    def _idle(self, row: BotRow, message: str) -> BotBoard:
        board = self._around.fleet.board(row.id, row.name)
        board.phase, board.message = Phase.ERROR, message
        return board
