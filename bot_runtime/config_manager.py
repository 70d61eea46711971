"""Configurations of bots, which are rows: what a row gives its bot to run, what is wrong with it, what it was before.

It starts and stops nothing and writes no document. What is wrong with a row is said once for each document, however
often the row is read.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import select

from bot_core.logs import cleaned
from bot_core.models.bot import BotRow, BotStatus
from bot_core.models.config import ParsedConfig, parse_config
from bot_core.models.problem import Problem, redacted
from bot_core.schema import events
from bot_core.store.bots import BotStore
from bot_runtime.engine.assembly import Assignment
from bot_runtime.engine.board import BotBoard, FleetBoard, Phase
from bot_runtime.persistence.last_good import last_good_document

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ConfigFinding:
    """What reading one row found. `text` is what stops the bot, empty for a row that can run."""

    bot_id: int
    parsed: ParsedConfig

    @property
    def valid(self) -> bool:
        return self.parsed.config is not None

    @property
    def text(self) -> str:
        return self.parsed.error

    def to_json(self) -> dict[str, Any]:
        return {"id": self.bot_id, "valid": self.valid, "problems": [*map(str, self.parsed.problems)]}


@dataclass(frozen=True, slots=True)
class ConfigVersion:
    """One document that a bot ran. `changes` is in words; `old` and `new` are values by path, secrets hidden."""

    number: int
    since: datetime | None
    changes: str
    old: Any = None
    new: Any = None


class ConfigManager:
    def __init__(self, store: BotStore, fleet: FleetBoard | None = None) -> None:
        """`fleet` is told what is wrong; a command that only looks has none."""
        self._store = store
        self._fleet = fleet or FleetBoard()
        self._refused: dict[int, str] = {}
        self._reported: dict[int, str] = {}

    @staticmethod
    def validate(row: BotRow) -> ConfigFinding:
        """Judge one row as its bot would. Pure."""
        if row.unreadable is not None:
            return ConfigFinding(row.id, ParsedConfig(config=None, problems=(Problem("row", None, row.unreadable),)))
        return ConfigFinding(row.id, parse_config(row.config))

    async def validate_all(self, ids: Iterable[int] | None = None) -> list[ConfigFinding]:
        """Judge every row, or those of the ids that are there."""
        return [self.validate(row) for row in await self._store.all(ids)]

    async def versions(self, bot_id: int) -> list[ConfigVersion]:
        """The documents that the bot ran, oldest first, as differences; empty for one that never ran."""
        if await last_good_document(self._store.database, bot_id) is None:
            return []
        query = select(events).where(events.c.bot_id == bot_id, events.c.kind == "config_changed").order_by(events.c.id)
        async with self._store.database.read() as connection:
            changes = (await connection.execute(query)).all()
        first = ConfigVersion(1, None, "the first document that ran")
        later = [
            ConfigVersion(number, change.at, change.message, change.old_value, change.new_value)
            for number, change in enumerate(changes, 2)
        ]
        return [first, *later]

    @staticmethod
    def export(row: BotRow) -> Any:
        """The row's document as a file may hold it: without secrets, by their names or by their looks."""
        return cleaned(redacted("", row.config))

    async def first(self, row: BotRow) -> Assignment | None:
        """What to start with: the row's document, or the last good one where a running bot's row has turned invalid.

        None where there is nothing to run, and for a bot in quarantine.
        """
        if row.quarantined:
            self._idle(row, str(row.extra_metadata.get("last_error", "quarantined"))).quarantined = True
            if self.report_once(row):
                _log.warning("bot_in_quarantine", bot_id=row.id, since=row.extra_metadata["quarantined"].get("since"))
            return None
        found = self.validate(row)
        if found.parsed.config is not None:
            self.forget(row.id)
            for notice in found.parsed.notices:
                _log.info("config_notice", bot_id=row.id, notice=str(notice))
            return Assignment.of(row, found.parsed.config, row.config)
        if self._refused.get(row.id) == row.config_hash and row.status == BotStatus.ERROR:
            return None
        return await self._fallback(row, found.text)

    async def changed(self, row: BotRow) -> Assignment | None:
        """What a running bot shall go on with; None for a document that can't run, of which the row then tells."""
        found = self.validate(row)
        if found.parsed.config is not None:
            self._tell(row, "")
            return Assignment.of(row, found.parsed.config, row.config)
        self._tell(row, found.text)
        if self.report_once(row):
            _log.warning("config_invalid", bot_id=row.id, error=found.text)
            await self._store.failed(row.id, found.text, keep_status=True)
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
        if (board := self._fleet.bots.get(bot_id)) is not None:
            board.config_error = ""
            board.config_invalid = board.quarantined = False

    async def _fallback(self, row: BotRow, error: str) -> Assignment | None:
        good = None if row.status == BotStatus.ERROR else await last_good_document(self._store.database, row.id)
        config = None if good is None else parse_config(good).config
        keep = config is not None
        _log.error("config_invalid", bot_id=row.id, error=error, keeps_last_good=keep)
        await self._store.failed(row.id, error, keep_status=keep)
        self._refused[row.id] = row.config_hash
        self._reported[row.id] = row.config_hash
        if config is None:
            self._idle(row, error).config_invalid = True
            return None
        self._tell(row, error)
        return Assignment.of(row, config, good)

    def _tell(self, row: BotRow, error: str) -> None:
        board = self._fleet.board(row.id, row.name)
        board.config_error, board.config_invalid = error, bool(error)

    def _idle(self, row: BotRow, message: str) -> BotBoard:
        board = self._fleet.board(row.id, row.name)
        board.phase, board.message = Phase.ERROR, message
        return board
