"""Fixtures of the tests on a real cluster. One cluster, one set of images and one PostgreSQL serve a session."""

import asyncio
import os
from collections.abc import AsyncIterator, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest

from bot_core.store.upgrade import upgrade
from support.cluster import Cluster, ImageSet, NoClusterError, RefusedClusterError, random_suffix
from support.ground import SharedGround
from support.postgres import PostgresServer, find_postgres
from support.release import Release, merge
from support.replicas import Place

DATABASE_SECRET = "tradingbot-database"  # the name of a Secret, not one

_FAILED = pytest.StashKey[bool]()


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
def cluster(ground: SharedGround) -> Cluster:
    return ground.cluster


@pytest.fixture(scope="session")
def images(ground: SharedGround) -> ImageSet:
    return ground.images()


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[SharedGround]:
    """One cluster, with the CRD of this tree and one set of images, for all processes of this session."""
    base = tmp_path_factory.getbasetemp()
    several = hasattr(request.config, "workerinput")
    try:
        found = SharedGround.enter(base.parent if several else base)
    except NoClusterError as error:
        missing(str(error))
    except RefusedClusterError as error:
        pytest.fail(str(error), pytrace=False)
    yield found
    found.leave()


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


@dataclass
class ReleaseFactory:
    """Makes releases, each on a database of its own and not yet installed: `new_release(values).install()`."""

    cluster: Cluster
    images: ImageSet
    postgres: PostgresServer
    made: list[Release] = field(default_factory=list)

    def __call__(self, values: dict[str, Any] | None = None) -> Release:
        database = self.postgres.create_database()
        defaults = {"crds": {"install": False}, "database": {"existingSecret": DATABASE_SECRET}}
        release = Release(self.cluster, merge(self.images.values(), defaults, values or {}), database=database)
        self.made.append(release)
        release.create_namespace()
        release.create_secret(DATABASE_SECRET, url=self.postgres.url(database, self.cluster.host))
        return release

    def remove(self, logs: Path | None) -> None:
        """Remove them all; with `logs`, write down before what is known of them."""
        for number, release in enumerate(self.made):
            if logs is not None:
                print(release.collect_logs(logs.with_name(f"{logs.name}-{number}")))
            release.remove()
            self.postgres.drop_database(release.database)


@pytest.fixture
def new_release(
    cluster: Cluster,
    images: ImageSet,
    postgres: PostgresServer,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> Iterator[ReleaseFactory]:
    factory = ReleaseFactory(cluster, images, postgres)
    yield factory
    failed = request.node.stash.get(_FAILED, False)
    factory.remove(Path(os.environ.get("E2E_LOGS", tmp_path)) / request.node.name if failed else None)


@pytest.fixture(scope="module")
def shared_releases(
    cluster: Cluster,
    images: ImageSet,
    postgres: PostgresServer,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ReleaseFactory]:
    """For the tests of a module that can live with each other's bots."""
    factory, before = ReleaseFactory(cluster, images, postgres), request.session.testsfailed
    yield factory
    failed = request.session.testsfailed > before
    folder = Path(os.environ.get("E2E_LOGS", tmp_path_factory.getbasetemp()))
    factory.remove(folder / request.node.name.replace("/", "-") if failed else None)


@pytest.fixture
async def place(cluster: Cluster, postgres: PostgresServer, tmp_path: Path) -> AsyncIterator[Place]:
    """A namespace and a database for operators that run on this machine."""
    name = postgres.create_database()
    await asyncio.to_thread(upgrade, postgres.url(name))
    found = Place(cluster, f"tb-e2e-{random_suffix()}", postgres.url(name), tmp_path)
    found.create()
    yield found
    found.remove()
    await found.database.aclose()
    postgres.drop_database(name)
