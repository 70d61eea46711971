"""Reading the rows of this process's bots, again and again, and how that goes: what is said while the database is away.

It changes nothing. Nothing read is never taken for "there are no rows".
"""

from collections.abc import Collection
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import structlog

from bot_core.logs import masked
from bot_core.models.bot import BotRow
from bot_core.models.errors import FatalError, SchemaMissingError, first_line
from bot_core.models.figures import iso_utc
from bot_core.models.halt import Halt
from bot_core.store.bots import BotStore
from bot_core.store.halts import HaltStore
from bot_core.store.listen import backoff_seconds
from bot_core.store.users import find_user

_log = structlog.get_logger(__name__)


class DatabaseState(StrEnum):
    NOT_ASKED = "not asked yet"
    UP = "up"
    AWAY = "away"
    NO_TABLES = "without tables"


_REASONS = {
    DatabaseState.NOT_ASKED: "starting",
    DatabaseState.AWAY: "the database does not answer",
    DatabaseState.NO_TABLES: "the database lacks tables; run `tradingbot db upgrade` first",
}


class RowReader:
    """`ids` and `user` (id or address) limit the rows; `halts` are those that stood at the last reading."""

    def __init__(self, store: BotStore, *, ids: Collection[int] | None = None, user: str | None = None) -> None:
        self._store = store
        self.ids = None if ids is None else frozenset(ids)
        self._user = user
        self._user_id: int | None = None
        self._told_missing: frozenset[int] = frozenset()
        self.state = DatabaseState.NOT_ASKED
        self.since = datetime.now(UTC)
        self.error = ""
        self.failures = 0
        self.halts: list[Halt] = []

    @property
    def up(self) -> bool:
        return self.state is DatabaseState.UP

    @property
    def reason(self) -> str | None:
        """Why rows can't be read now; None while they can."""
        return _REASONS.get(self.state)

    async def read(self) -> list[BotRow] | None:
        """Every row that is this process's business; None where the database gave no answer.

        Raises FatalError where there is no such user.
        """
        try:
            await self._know_user()
            await self._read_halts()
            rows = await self._store.all(self.ids)  # last, as it is what decisions are made on
        except SchemaMissingError as error:
            self._note_failure(DatabaseState.NO_TABLES, error)
            return None
        except FatalError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever the reason, nothing was read, so nothing changes
            self._note_failure(DatabaseState.AWAY, error)
            return None
        self._note_success()
        self._tell_missing({row.id for row in rows})
        return [row for row in rows if self._user_id is None or row.user_id == self._user_id]

    def pause_seconds(self) -> float:
        """How long to wait after a failure: longer each time, up to half a minute."""
        return backoff_seconds(self.failures)

    def to_json(self) -> dict[str, Any]:
        """The state as `/status` shows it."""
        return {
            "url": self._store.database.safe_url,
            "state": self.state,
            "since": iso_utc(self.since),
            "failures": self.failures,
            "error": self.error or None,
        }

    async def _know_user(self) -> None:
        if self._user is None or self._user_id is not None:
            return
        async with self._store.database.read() as connection:
            self._user_id = await find_user(connection, self._user)
        if self._user_id is None:
            raise FatalError(f"--user: no user has the id or address {self._user!r}")

    async def _read_halts(self) -> None:
        """Read what people see in `/status`; bots learn of halts by their heartbeats."""
        if self.ids is None or len(self.ids) > 1:
            self.halts = await HaltStore(self._store.database).active()

    def _note_failure(self, state: DatabaseState, error: Exception) -> None:
        self.failures += 1
        self.error = masked(first_line(error))
        self._enter(state)
        _log.warning("rows_not_read", error=self.error, retry=self.failures, database=state)

    def _note_success(self) -> None:
        if self.failures:
            away = (datetime.now(UTC) - self.since).total_seconds()
            _log.info("rows_read_again", tries=self.failures, away_seconds=round(away, 1))
        self.failures, self.error = 0, ""
        self._enter(DatabaseState.UP)

    def _enter(self, state: DatabaseState) -> None:
        if self.state is not state:
            self.state, self.since = state, datetime.now(UTC)

    def _tell_missing(self, found: set[int]) -> None:
        missing = frozenset() if self.ids is None else self.ids - found
        if missing - self._told_missing:
            _log.warning("no_such_bots", bots=sorted(missing), message="no row has these ids yet")
        self._told_missing = missing
