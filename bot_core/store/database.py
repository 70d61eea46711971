"""One door to the database: an async engine, short transactions, errors by consequence.

It knows PostgreSQL from SQLite and nothing of bots. Every transaction is bounded in time, so that a server
that went away is noticed and named instead of being waited for.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import ColumnElement, Interval, bindparam, event, func, literal
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bot_core.models.errors import DatabaseUnavailableError, FatalError, SchemaMissingError, first_line
from bot_core.schema.types import AwareUTC
from bot_core.store.idle import IdleConnections

if TYPE_CHECKING:
    import aiosqlite

DEFAULT_URL = "sqlite:///tradingbot.db"
TRANSACTION_SECONDS = 10.0
#: SQLSTATEs (or their classes) after which the same work may succeed one day: connection, a password or a database that
#: is not there yet, resources, operator intervention, serialization and deadlock, a server that is read-only for now,
#: rights not yet granted.
_PASSING = ("08", "28", "3D", "53", "57", "40", "55", "25006", "25P03", "42501")
_HIDDEN_IN_QUERY = ("password", "sslpassword", "passfile")
_UNDEFINED_TABLE = "42P01"
_READS_ONLY = "tradingbot_reads_only"
Kind = Literal["read", "write"]
#: Hears of each transaction once it is over: its kind, how many seconds it took, and why the database did not do it.
Observer = Callable[[Kind, float, Exception | None], None]


def _nobody(_kind: Kind, _seconds: float, _error: Exception | None) -> None:
    """Observe nothing."""


def parse_url(text: str) -> URL:
    """Read a SQLAlchemy URL; PostgreSQL URLs of any spelling use psycopg."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # The library's own message repeats the text, which may hold a password: not chained.
        raise FatalError(
            "DATABASE_URL is no SQLAlchemy URL; allowed: sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME"
            " (special characters of the password percent-encoded)"
        ) from None
    match url.get_backend_name():
        case "sqlite":
            return url.set(drivername="sqlite")
        case "postgresql" | "postgres":
            return url.set(drivername="postgresql+psycopg")
        case other:
            raise FatalError(f"DATABASE_URL names {other!r}; allowed: sqlite, postgresql+psycopg")


def safe_url(url: URL) -> str:
    """The URL as it may be shown: without passwords, wherever they stand."""
    hidden = {name: "***" for name in _HIDDEN_IN_QUERY if name in url.query}
    return url.update_query_dict(hidden).render_as_string(hide_password=True)


class Database:
    """An engine and the two ways to use it: `read()` and `write()`, each one transaction."""

    def __init__(self, url: str, *, pool_size: int = 5, idle_seconds: float = 0, observe: Observer = _nobody) -> None:
        """A connection to PostgreSQL that nobody used for `idle_seconds` is closed; 0: it stays.

        `observe` is called inside the event loop after each transaction; it must neither wait nor raise.
        """
        self.url = parse_url(url)
        self._observe = observe
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = self._sqlite_engine() if self.is_sqlite else self._postgres_engine(pool_size)
        self._autocommit = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._idle = IdleConnections(self.engine, idle_seconds) if idle_seconds and not self.is_sqlite else None
        self._reads_only = self.engine.execution_options(**{_READS_ONLY: True})

    @property
    def safe_url(self) -> str:
        """The URL without its password."""
        return safe_url(self.url)

    def _sqlite_engine(self) -> AsyncEngine:
        engine = create_async_engine(
            self.url.set(drivername="sqlite+aiosqlite"),
            connect_args={"timeout": 10, "async_creator_fn": open_sqlite},
            hide_parameters=True,
        )
        event.listen(engine.sync_engine, "connect", prepare_sqlite)
        event.listen(engine.sync_engine, "begin", begin_immediate)
        return engine

    def _postgres_engine(self, pool_size: int) -> AsyncEngine:
        return create_async_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=TRANSACTION_SECONDS,
            pool_recycle=1800,
            hide_parameters=True,
            connect_args=postgres_connect_args(self.url),
        )

    def write(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """One transaction: committed at the end of the block, rolled back on any error.

        Raises DatabaseUnavailableError when the server did not answer; whether the commit took place is then
        unknown, and only reading the tables again tells.
        """
        return self._transaction("write", self.engine.begin)

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """One transaction for reading. The same errors as `write`."""
        return self._transaction("read", self.engine.begin)

    def snapshot(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """One transaction that only reads, for long looks: on SQLite, no writer waits for it. The errors of `write`."""
        return self._transaction("read", self._reads_only.begin)

    def autocommit(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection on which each statement is a transaction of its own, and one round trip. The errors of `write`.

        For PostgreSQL: SQLite's transactions cost no round trip.
        """
        return self._transaction("write", self._autocommit.connect)

    @asynccontextmanager
    async def _transaction(
        self, kind: Kind, begin: Callable[[], AbstractAsyncContextManager[AsyncConnection]]
    ) -> AsyncIterator[AsyncConnection]:
        started = time.perf_counter()
        failure: Exception | None = None
        observe = self._observe
        try:
            async with asyncio.timeout(TRANSACTION_SECONDS), begin() as connection:
                yield connection
        except (DBAPIError, PoolTimeoutError, TimeoutError, OSError) as error:
            # A constraint that refuses a row is an answer, and often an expected one.
            failure = None if isinstance(error, IntegrityError) else error
            raise _translated(error, self.safe_url) from error
        except asyncio.CancelledError:
            observe = _nobody  # nobody waited for what came of it
            raise
        finally:
            observe(kind, time.perf_counter() - started, failure)

    def now(self) -> ColumnElement[Any]:
        """The database's clock, so that holders on several machines compare one clock."""
        if self.is_sqlite:
            return literal(datetime.now(UTC), AwareUTC())
        return func.clock_timestamp()

    def after(self, seconds: float) -> ColumnElement[Any]:
        """The database's clock plus some seconds."""
        if self.is_sqlite:
            return literal(datetime.now(UTC) + timedelta(seconds=seconds), AwareUTC())
        return func.clock_timestamp() + bindparam(None, timedelta(seconds=seconds), Interval())

    async def aclose(self) -> None:
        if self._idle is not None:
            await self._idle.aclose()
        await self.engine.dispose()


def postgres_connect_args(url: URL) -> dict[str, Any]:
    """Settings of the connection: UTC sessions, and a dead server is noticed within about ten seconds.

    `options` of the URL come first, so that ours are added to them instead of replacing them. No statement is prepared
    on the server: a pooler in transaction mode gives the next transaction to a session that knows nothing of it.
    """
    given = url.query.get("options", "")
    options = given if isinstance(given, str) else " ".join(given)
    return {
        "connect_timeout": 5,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
        "application_name": "tradingbot",
        "prepare_threshold": None,
        "options": f"{options} -c timezone=UTC -c statement_timeout=8s -c idle_in_transaction_session_timeout=30s",
    }


async def open_sqlite(*arguments: Any, **options: Any) -> "aiosqlite.Connection":
    """Open a file; who is cancelled meanwhile leaves no connection, and no thread of one, behind."""
    import aiosqlite  # noqa: PLC0415  # a pod on PostgreSQL never needs it

    connection = aiosqlite.connect(*arguments, **options)
    connection._thread.daemon = True  # noqa: SLF001  # as SQLAlchemy does it where it opens: a process may end at any time
    opening = asyncio.ensure_future(connection)
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_unwanted)
        raise


def _close_unwanted(opening: "asyncio.Future[aiosqlite.Connection]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().stop()


def prepare_sqlite(connection: Any, _record: Any) -> None:
    """Foreign keys, a write-ahead log that survives a power failure, and transactions that we begin ourselves."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("busy_timeout=10000", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    # Locked means that another process turns the new file into write-ahead mode just now; the mode stays with the file.
    with contextlib.suppress(sqlite3.OperationalError):
        cursor.execute("PRAGMA journal_mode=WAL")
    cursor.close()


def begin_immediate(connection: Any) -> None:
    """Take SQLite's write lock at once: a lock taken half-way through could not be waited for."""
    reads_only = connection.get_execution_options().get(_READS_ONLY)
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")


def _translated(error: Exception, where: str) -> Exception:
    if not isinstance(error, DBAPIError):
        return DatabaseUnavailableError(
            f"{where} did not answer in {TRANSACTION_SECONDS:.0f} s: {type(error).__name__}"
        )
    state = getattr(error.orig, "sqlstate", None)
    text = first_line(error.orig or error)
    if state == _UNDEFINED_TABLE or "no such table" in text:
        return SchemaMissingError(f"{where}: {text}; run `tradingbot db upgrade` first")
    passing = error.connection_invalidated or (state or "").startswith(_PASSING)
    if passing or (isinstance(error, OperationalError) and state is None):
        return DatabaseUnavailableError(f"{where}: {text}")
    return error
