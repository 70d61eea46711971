"""`tradingbot db upgrade`: bring a database up to date, twice or by two processes at once.

An empty database gets every table. An existing one gets our own tables and the NOTIFY trigger, nothing else.
Synchronous: it runs before anything else does.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.sql.schema import SchemaItem

from bot_core.models.errors import DatabaseUnavailableError, TradingBotError, first_line
from bot_core.store.database import begin_immediate, parse_url, postgres_connect_args, prepare_sqlite, safe_url

#: Not `alembic_version`: the existing platform's own migrations keep theirs in the same schema.
VERSION_TABLE = "bot_schema_version"
_NOT_ALLOWED = "42501"
_LOCK = 0x7472_6164  # any constant does; every upgrade of this project takes the same one

_TRIGGER = """
CREATE OR REPLACE FUNCTION tradingbot_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('trading_bots', (CASE WHEN TG_OP = 'DELETE' THEN OLD.id ELSE NEW.id END)::text);
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER tradingbot_notify_rows AFTER INSERT OR DELETE ON trading_bots
  FOR EACH ROW EXECUTE FUNCTION tradingbot_notify();
CREATE OR REPLACE TRIGGER tradingbot_notify_changes AFTER UPDATE ON trading_bots
  FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status OR OLD.user_id IS DISTINCT FROM NEW.user_id
    OR OLD.config::text IS DISTINCT FROM NEW.config::text) EXECUTE FUNCTION tradingbot_notify();
"""
_TRIGGERS = ("tradingbot_notify_rows", "tradingbot_notify_changes")
_TRIGGERS_THERE = f"""
SELECT count(*) FROM pg_trigger
WHERE tgrelid = to_regclass('trading_bots') AND tgenabled <> 'D' AND tgname IN {_TRIGGERS}
"""  # noqa: S608  # constants


@dataclass(frozen=True)
class Upgraded:
    """What `upgrade` did: revisions before and after, and why there is no trigger if there is none.

    `newer`: a later version of this program has made the tables; they have all that this one needs, and are left.
    """

    before: str | None
    after: str | None
    trigger_problem: str | None = None
    newer: bool = False


def upgrade(url: str) -> Upgraded:
    """Run all migrations in one transaction under a lock.

    Raises DatabaseUnavailableError when the server does not answer, FatalError when the role may not make tables.
    """
    try:
        with connected(url) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            before = revision(connection)
            config = alembic_config()
            if before is not None and not _knows(config, before):
                return Upgraded(before, before, newer=True)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            return Upgraded(before, revision(connection), _ensure_trigger(connection))
    except DBAPIError as error:
        where = f"{safe_url(parse_url(url))}: {first_line(error.orig or error)}"
        if getattr(error.orig, "sqlstate", None) == _NOT_ALLOWED:
            raise TradingBotError(f"{where}; needed: CREATE on the schema, REFERENCES on trading_bots") from error
        if isinstance(error, OperationalError):
            raise DatabaseUnavailableError(where) from error
        raise TradingBotError(where) from error


def alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", "bot_core:migrations")
    config.set_main_option("path_separator", "os")
    return config


def _knows(config: Config, found: str) -> bool:
    return found in {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}


def revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """One synchronous transaction on the database."""
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, connect_args={"timeout": 30}, hide_parameters=True)
        event.listen(engine, "connect", prepare_sqlite)
        event.listen(engine, "begin", begin_immediate)
    else:
        engine = create_engine(parsed, connect_args=postgres_connect_args(parsed), hide_parameters=True)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def ours(item: SchemaItem, name: str | None, kind: str, reflected: bool, other: SchemaItem | None) -> bool:  # noqa: ARG001, FBT001
    """Whether `alembic check` compares an object: what only the database has is another program's."""
    return not (reflected and other is None)


def _ensure_trigger(connection: Connection) -> str | None:
    if connection.dialect.name != "postgresql":
        return None
    try:
        with connection.begin_nested():
            connection.execute(text(_TRIGGER))
    except DBAPIError as error:
        # Whoever may not make triggers may find those that somebody else made.
        made = connection.scalar(text(_TRIGGERS_THERE))
        return None if made == len(_TRIGGERS) else first_line(error.orig or error)
    return None
