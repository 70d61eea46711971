"""Which document a bot runs, which one waits, and why. It builds nothing and stops nothing.

The row's newest document is run, unless it can't be built (then the last good one runs on) or it names another market
or account while the bot holds something there (then it waits until the bot is flat).
"""

from dataclasses import replace

import structlog

from bot_core.log_levels import set_bot_level
from bot_core.logs import masked
from bot_core.models.bot import document_hash
from bot_core.models.config import parse_config
from bot_core.models.errors import InvalidBotError, NotFlatError
from bot_runtime.engine.assembly import Assignment, Surroundings
from bot_runtime.engine.board import BotBoard
from bot_runtime.engine.reload_plan import When, plan_start
from bot_runtime.persistence.flatness import is_flat
from bot_runtime.persistence.last_good import last_good_document

_log = structlog.get_logger(__name__)


class ConfigChoice:
    """`running` is what engines are built from, `awaited` what comes next, `kept` why an older document runs on."""

    def __init__(self, around: Surroundings, board: BotBoard, assignment: Assignment) -> None:
        self._around = around
        self._board = board
        self._told = ""
        self.running = assignment
        self.awaited: Assignment | None = None
        self.kept = ""
        _describe(board, assignment)
        set_bot_level(assignment.row.id, assignment.config.logging.level)

    @property
    def wanted(self) -> Assignment:
        """What the row asks for, as far as is known here."""
        return self.awaited or self.running

    async def settle(self) -> Assignment:
        """Choose what to build from now; what has to wait until the bot is flat stays `awaited`."""
        wanted = self.wanted
        good = await self._last_good()
        if good is not None and good.config != wanted.config:
            plan = plan_start(good.config, wanted.config)
            if plan.when is When.FLAT and not await is_flat(self._around.database, wanted.row.id):
                await self.tell_held(wanted, plan.reason)
                return self._run(good, then=wanted)
        if wanted is self.awaited:
            self.kept = ""
        return self._run(wanted, then=None)

    async def fall_back(self, error: InvalidBotError) -> bool:
        """Go on with the last document that ran, where a newer one turned out not to; say so in the row."""
        refused, good = self.running, await self._last_good()
        if good is None or document_hash(good.document) == document_hash(refused.document):
            return False
        self.kept = f"keeps its last good configuration: {masked(str(error))}"
        _log.error("config_unusable", bot_id=refused.row.id, error=str(error), keeps_last_good=True)
        await self._around.store.failed(refused.row.id, str(error), keep_status=True)
        if isinstance(error, NotFlatError):
            self._run(good, then=refused)
        else:  # under the hash of the refused one, which is not to be tried again
            self._run(replace(good, config_hash=refused.config_hash), then=None)
        return True

    async def tell_held(self, assignment: Assignment, reason: str) -> None:
        """Say once for each document, in the log and in `bot_events`, why it is not applied yet."""
        if self._told != assignment.config_hash:
            _log.warning("config_held", bot_id=assignment.row.id, config_hash=assignment.config_hash, reason=reason)
            await self._around.store.note(assignment.row.id, "config_held", reason)
            self._told = assignment.config_hash

    def withdraw(self) -> None:
        """The row asks for what runs: nothing waits any more."""
        self.awaited = None
        self._told = ""

    def _run(self, assignment: Assignment, then: Assignment | None) -> Assignment:
        self.running, self.awaited = assignment, then
        self._board.keeps_last_good = bool(self.kept)
        _describe(self._board, assignment)
        set_bot_level(assignment.row.id, assignment.config.logging.level)
        return assignment

    async def _last_good(self) -> Assignment | None:
        row = self.wanted.row
        document = await last_good_document(self._around.database, row.id)
        config = None if document is None else parse_config(document).config
        return None if config is None else Assignment.of(row, config, document)


def _describe(board: BotBoard, assignment: Assignment) -> None:
    config = assignment.config
    board.name = assignment.row.name
    board.symbol = config.symbol
    board.interval = config.data.interval
    board.strategy = f"{config.strategy.entry.name} / {config.strategy.exit.name}"
    board.mode = config.broker.trading_mode
    board.config_hash = assignment.config_hash
