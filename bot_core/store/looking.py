"""A database that is only looked at: it takes no lock that a bot would wait for, and can't write."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bot_core.models.errors import DatabaseUnavailableError
from bot_core.store.database import Database

_READ_ONLY = "-c default_transaction_read_only=on"


class LookingDatabase(Database):
    """Use `look()`. A SQLite file that is not there is an error; nothing is created."""

    def __init__(self, url: str, *, pool_size: int = 1) -> None:
        super().__init__(url, pool_size=pool_size)

    def _sqlite_engine(self) -> AsyncEngine:
        name = self.url.database or ":memory:"
        plain = self.url.set(drivername="sqlite+aiosqlite")
        # No transaction is begun: a reader in write-ahead mode is in nobody's way.
        opened = (
            plain
            if name == ":memory:"
            else plain.set(database=f"file:{quote(name)}", query={"mode": "rw", "uri": "true"})
        )
        engine = create_async_engine(opened, connect_args={"timeout": 5}, hide_parameters=True)
        event.listen(engine.sync_engine, "connect", _only_queries)
        return engine

    def _postgres_engine(self, pool_size: int) -> AsyncEngine:
        shown, given = self.url, self.url.query.get("options", "")
        options = given if isinstance(given, str) else " ".join(given)
        self.url = self.url.update_query_dict({"options": f"{options} {_READ_ONLY}".strip()})
        engine = super()._postgres_engine(pool_size)
        self.url = shown
        return engine

    @asynccontextmanager
    async def look(self) -> AsyncIterator[AsyncConnection]:
        """A connection on which each statement stands alone. Raises as `Database.read` does."""
        self._must_exist()
        async with self.read() if self.is_sqlite else self.autocommit() as connection:
            yield connection

    def _must_exist(self) -> None:
        if (
            self.is_sqlite
            and self.url.database not in {None, "", ":memory:"}
            and not Path(self.url.database or "").exists()
        ):
            raise DatabaseUnavailableError(f"{self.safe_url}: unable to open database file: there is none")


def _only_queries(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA query_only=ON")
