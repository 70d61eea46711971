"""Fixtures of the tests on a real cluster. One cluster, one set of images and one PostgreSQL serve a session."""

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from support.cluster import Cluster, ImageSet, NoClusterError, RefusedClusterError, open_cluster
from support.postgres import PostgresServer, find_postgres
from support.release import CRD, Release, install_crd, merge

DATABASE_SECRET = "tradingbot-database"  # the name of a Secret, not one

_FAILED = pytest.StashKey[bool]()

ReleaseFactory = Callable[..., Release]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.cluster)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[_FAILED] = item.stash.get(_FAILED, False) or report.failed
    return report


def missing(reason: str) -> NoReturn:
    """What a test needs is not here: skip for all to see, or fail where REQUIRE_CLUSTER=1 says that it must be."""
    if os.environ.get("REQUIRE_CLUSTER") == "1":
        pytest.fail(f"REQUIRE_CLUSTER=1, but {reason}", pytrace=False)
    pytest.skip(f"CLUSTER TESTS NOT RUN: {reason}")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    try:
        found = open_cluster()
    except NoClusterError as error:
        missing(str(error))
    except RefusedClusterError as error:
        pytest.fail(str(error), pytrace=False)
    try:
        was_there = found.get("crd", CRD)
        install_crd(found)
        yield found
        if not was_there:
            found.kubectl("delete", "crd", CRD, "--wait=false")
    finally:
        found.end()


@pytest.fixture(scope="session")
def images(cluster: Cluster) -> Iterator[ImageSet]:
    provided = ImageSet.provide(cluster)
    yield provided
    provided.remove()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server on this machine that pods reach; a test may stop and start it, and must leave it running."""
    programs = find_postgres()
    if programs is None:
        missing("PostgreSQL's server programs are not installed")
    server = PostgresServer(programs, listen="0.0.0.0")
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def new_release(
    cluster: Cluster,
    images: ImageSet,
    postgres: PostgresServer,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> Iterator[ReleaseFactory]:
    """Make a release on a database of its own, not yet installed: `new_release(values).install()`."""
    made: list[tuple[Release, str]] = []

    def make(values: dict[str, Any] | None = None) -> Release:
        database = postgres.create_database()
        defaults = {"crds": {"install": False}, "database": {"existingSecret": DATABASE_SECRET}}
        release = Release(cluster, merge(images.values(), defaults, values or {}), database=database)
        made.append((release, database))
        release.create_namespace()
        release.create_secret(DATABASE_SECRET, url=postgres.url(database, cluster.host))
        return release

    yield make
    for number, (release, database) in enumerate(made):
        if request.node.stash.get(_FAILED, False):
            folder = Path(os.environ.get("E2E_LOGS", tmp_path)) / f"{request.node.name}-{number}"
            print(release.collect_logs(folder))
        release.remove()
        postgres.drop_database(database)
