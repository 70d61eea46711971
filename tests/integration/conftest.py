"""Databases for integration tests: each test gets its own, cloned from a migrated template."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bot_core.store.database import Database
from bot_core.store.upgrade import upgrade
from support import pgbouncer
from support.outgoing import Receivers, receivers
from support.postgres import PostgresServer, find_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    programs = find_postgres()
    if programs is None:
        message = "no PostgreSQL server programs on this machine (Debian: apt-get install postgresql)"
        if os.environ.get("REQUIRE_CLUSTER") or os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    server = PostgresServer(programs)
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="session")
def migrated_template(postgres: PostgresServer) -> str:
    name = postgres.create_database()
    upgrade(postgres.url(name))
    return name


@pytest.fixture
def postgres_url(postgres: PostgresServer, migrated_template: str) -> Iterator[str]:
    name = postgres.create_database(migrated_template)
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture
def pooled_url(postgres: PostgresServer, postgres_url: str, tmp_path: Path) -> Iterator[str]:
    """The same database through a pgbouncer in transaction mode."""
    if not pgbouncer.PROGRAM.exists():
        pytest.skip("no pgbouncer on this machine (Debian: apt-get install pgbouncer)")
    with pgbouncer.pooled(postgres, postgres_url.rpartition("/")[2], tmp_path) as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'bots.db'}"
    upgrade(url)
    return url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.aclose()


@pytest.fixture
def outside() -> Iterator[Receivers]:
    with receivers() as found:
        yield found
