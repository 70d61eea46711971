"""The database: whether it answers, how fast, as whom, with which tables, and whether its notifications arrive.

Writes nothing. The one thing it sends is a notification on a channel of its own.
"""

import asyncio
import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
from sqlalchemy import inspect, text

from bot_core.models.errors import DatabaseUnavailableError, first_line
from bot_core.schema import metadata
from bot_core.store.database import postgres_connect_args
from bot_core.store.looking import LookingDatabase
from bot_runtime.cli.checks.base import Case, Finding, Outcome, failed, ok, skipped, warning

_SLOW, _MUCH_SKEW, _FAR_OFF = 0.25, 1.0, 30.0
_PROBE_SECONDS = 3.0
_START = "Start the server, or set DATABASE_URL to the right one; a new SQLite file is made by `tradingbot db upgrade`."
_UPGRADE = "Run `tradingbot db upgrade`."
_NEEDED = ("SELECT", "INSERT", "UPDATE")
_TRIGGERS = ("tradingbot_notify_rows", "tradingbot_notify_changes")


async def check_answer(case: Case) -> Sequence[Finding]:
    try:
        return await _answer(case.database)
    except DatabaseUnavailableError as error:
        return [Finding(Outcome.FAILED, str(error), _START, unreachable=True)]


async def _answer(database: LookingDatabase) -> Sequence[Finding]:
    async with database.look() as connection:
        started = time.monotonic()
        version = await connection.scalar(text(_VERSION[database.is_sqlite]))
        seconds = time.monotonic() - started
        found = f"{database.safe_url}: {_short(str(version), sqlite=database.is_sqlite)}, {seconds * 1000:.0f} ms away"
        findings = [ok(found)]
        if seconds > _SLOW:
            findings = [warning(found, "Run bots nearer to the database: each order is journaled before it is sent.")]
        if not database.is_sqlite:
            findings += [*await _role(connection), *await _clock(connection)]
    return findings


_VERSION = {True: "SELECT sqlite_version()", False: "SHOW server_version"}


def _short(version: str, *, sqlite: bool) -> str:
    return f"{'SQLite' if sqlite else 'PostgreSQL'} {version.split(' ', maxsplit=1)[0]}"


async def _role(connection: Any) -> list[Finding]:
    standby, zone, port = (await connection.execute(text(_SESSION))).one()
    findings = []
    if standby:
        findings.append(failed("the server is a standby, which takes no writes", "Name the primary in DATABASE_URL."))
    if zone != "UTC":
        remedy = (
            "Let the pooler pass `options` on, or set timezone=UTC for the role: times without a zone are UTC here."
        )
        findings.append(failed(f"the session's time zone is {zone}, though UTC was asked for", remedy))
    asked = connection.engine.url.port or 5432
    if port is not None and port != asked:
        findings.append(ok(f"something stands between: port {asked} was asked, the server listens on {port}"))
    return findings


_SESSION = "SELECT pg_is_in_recovery(), current_setting('TimeZone'), inet_server_port()"


async def _clock(connection: Any) -> list[Finding]:
    asked = time.monotonic()
    theirs: datetime = await connection.scalar(text("SELECT clock_timestamp()"))
    half = (time.monotonic() - asked) / 2
    ahead = (theirs - datetime.now(UTC)).total_seconds() + half
    found = f"the database's clock is {abs(ahead):.2f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    remedy = "Let both machines keep time by NTP: leases are judged by the database's clock, bars by this one."
    if abs(ahead) > _FAR_OFF:
        return [failed(found, remedy)]
    return [warning(found, remedy) if abs(ahead) > _MUCH_SKEW else ok(found)]


async def check_tables(case: Case) -> Sequence[Finding]:
    """The revision of our migrations, and that no table is missing."""
    from bot_core.store.upgrade import VERSION_TABLE, alembic_config  # noqa: PLC0415  # alembic only where it is used

    async with case.database.look() as connection:
        names = set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))
        if VERSION_TABLE not in names:
            return [failed("the tables of this program are not there", _UPGRADE)]
        revision = await connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608  # constant
    missing = sorted(set(metadata.tables) - names)
    if missing:
        return [failed(f"tables are missing: {', '.join(missing)}", _UPGRADE)]
    head, known = await asyncio.to_thread(_revisions, alembic_config)
    if revision == head:
        return [ok(f"{len(metadata.tables)} tables at revision {revision}, the newest")]
    if revision in known:
        return [failed(f"the tables are at revision {revision}, this program's are at {head}", _UPGRADE)]
    return [failed(f"revision {revision} is newer than this program, which knows {head}", "Upgrade this program.")]


def _revisions(config: Any) -> tuple[str | None, set[str]]:
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    script = ScriptDirectory.from_config(config())
    return script.get_current_head(), {found.revision for found in script.walk_revisions()}


async def check_privileges(case: Case) -> Sequence[Finding]:
    if case.database.is_sqlite:
        return [skipped("SQLite has none")]
    query = text(
        "SELECT name, privilege FROM unnest(CAST(:names AS text[])) name, unnest(CAST(:privileges AS text[])) privilege"
        " WHERE to_regclass(name) IS NOT NULL AND NOT has_table_privilege(to_regclass(name), privilege)"
    )
    async with case.database.look() as connection:
        values = {"names": sorted(metadata.tables), "privileges": list(_NEEDED)}
        lacking = (await connection.execute(query, values)).all()
        user = await connection.scalar(text("SELECT current_user"))
    if not lacking:
        return [ok(f"{user} may read and write every table")]
    grants = {name: [p for n, p in lacking if n == name] for name, _ in lacking}
    found = "; ".join(f"{', '.join(privileges)} on {name}" for name, privileges in grants.items())
    return [failed(f"{user} lacks {found}", f"GRANT {', '.join(_NEEDED)} ON these tables TO {user}.")]


async def check_notifications_of_rows(case: Case) -> Sequence[Finding]:
    """That changed rows are told of at once: the triggers, and a notification that really arrives."""
    if case.database.is_sqlite:
        return [skipped("SQLite has no NOTIFY: rows are polled")]
    async with case.database.look() as connection:
        made = await connection.scalar(text(_TRIGGERS_THERE), {"names": list(_TRIGGERS)})
    findings = []
    if made != len(_TRIGGERS):
        remedy = "Run `tradingbot db upgrade` as a role that may make triggers; meanwhile rows are polled."
        findings.append(warning("the triggers on trading_bots that tell of changes are missing", remedy))
    return [*findings, await _probe(case.database)]


_TRIGGERS_THERE = (
    "SELECT count(*) FROM pg_trigger WHERE tgrelid = to_regclass('trading_bots') AND tgenabled <> 'D'"
    " AND tgname = ANY(:names)"
)


async def _probe(database: LookingDatabase) -> Finding:
    """LISTEN on one connection, NOTIFY on another. A pooler in transaction mode takes LISTEN and delivers nothing."""
    channel = f"tradingbot_doctor_{secrets.token_hex(6)}"
    url = database.url.set(drivername="postgresql").difference_update_query(["options"])
    dsn, options = url.render_as_string(hide_password=False), postgres_connect_args(database.url)
    try:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True, **options) as listening:
            await listening.execute(f'LISTEN "{channel}"')
            started = time.monotonic()
            async with await psycopg.AsyncConnection.connect(dsn, autocommit=True, **options) as telling:
                await telling.execute(f"NOTIFY \"{channel}\", 'x'")
            async for _ in listening.notifies(timeout=_PROBE_SECONDS, stop_after=1):
                return ok(f"a notification arrives within {(time.monotonic() - started) * 1000:.0f} ms")
    except psycopg.Error as error:
        return warning(f"LISTEN can't be tried: {first_line(error)}", _POOLER)
    return warning(f"no notification arrived in {_PROBE_SECONDS:g} s: a pooler in transaction mode?", _POOLER)


_POOLER = "Connect to PostgreSQL itself, or through a pool in session mode; meanwhile rows are polled."
