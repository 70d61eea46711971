"""Row changes under `tradingbot serve`, a real process: on PostgreSQL by notification, on SQLite by the next poll."""

import copy
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, delete, insert, make_url, select, update

from bot_core.models.bot import document_hash
from bot_core.schema import bots, events, leases, users
from support.bots import a_document
from support.service import Service
from support.waiting import wait_until

#: A notification must be what is seen: no poll comes in time. On SQLite there is nothing but the poll.
POLL_SECONDS = {"postgresql": 30, "sqlite": 1}
#: On SQLite one poll interval, and the same two seconds for what is then done.
VISIBLE_SECONDS = {"postgresql": 2.0, "sqlite": 1 + 2.0}
SLOW = {"data_source": "generated", "interval": "1h", "seed": 3, "speed": 5}
FLEET = 30
InTime = Callable[..., None]


class Table:
    """Rows as another program writes them."""

    def __init__(self, url: str) -> None:
        self.engine: Engine = create_engine(url)
        with self.engine.begin() as connection:
            self.user = connection.execute(insert(users).values(email="trader@example.com").returning(users.c.id))
            self.user_id = self.user.scalar_one()

    def add(self, *documents: Any) -> list[int]:
        rows = [{"user_id": self.user_id, "status": "enabled", "config": document} for document in documents]
        with self.engine.begin() as connection:
            return [*connection.scalars(insert(bots).returning(bots.c.id), rows)]

    def write(self, bot_id: int, **values: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(update(bots).where(bots.c.id == bot_id).values(values))

    def remove(self, bot_id: int) -> None:
        with self.engine.begin() as connection:
            connection.execute(delete(bots).where(bots.c.id == bot_id))

    def row(self, bot_id: int) -> Any:
        with self.engine.begin() as connection:
            return connection.execute(select(bots).where(bots.c.id == bot_id)).one()

    def last_error(self, bot_id: int) -> str:
        return str((self.row(bot_id).extra_metadata or {}).get("last_error", ""))

    def events(self, bot_id: int, kind: str) -> list[Any]:
        with self.engine.begin() as connection:
            return [*connection.execute(select(events).where(events.c.bot_id == bot_id, events.c.kind == kind))]

    def leased(self, bot_id: int) -> bool:
        with self.engine.begin() as connection:
            return connection.scalar(select(leases.c.epoch).where(leases.c.bot_id == bot_id)) is not None


@pytest.fixture
def table(database_url: str) -> Iterator[Table]:
    table = Table(database_url)
    yield table
    table.engine.dispose()


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Iterator[Service]:
    poll = POLL_SECONDS[make_url(database_url).get_backend_name()]
    with Service(tmp_path, database_url, "serve", "--poll-interval", str(poll)) as service:
        wait_until(lambda: service.get("/readyz")[0] == 200, 30, "readiness", tell=service.log.read_text)
        yield service


@pytest.fixture
def in_time(service: Service, table: Table) -> InTime:
    """Wait for something, and fail where it took longer than it may, or `times` as long."""
    visible = VISIBLE_SECONDS[table.engine.name]

    def wait(condition: Callable[[], Any], what: str, times: float = 1) -> None:
        started = time.monotonic()
        wait_until(condition, 20, what, every=0.05, tell=service.log.read_text)
        took = time.monotonic() - started
        print(f"{what}: {took:.2f} s")
        assert took < times * visible, f"{what} was visible after {took:.2f} s\n{service.log.read_text()}"

    return wait


def test_each_change_of_a_row_is_visible_in_time(table: Table, service: Service, in_time: InTime) -> None:
    table.add(a_document(data=SLOW))  # a table that turns empty stops nothing
    document = a_document(data=SLOW)

    (bot_id,) = table.add(document)
    in_time(lambda: service.bot(bot_id).get("phase") == "running", "the new bot")

    changed = resized(document, 0.2)
    table.write(bot_id, config=changed)
    in_time(lambda: service.bot(bot_id)["config_hash"] == document_hash(changed), "the changed document")
    in_time(lambda: table.events(bot_id, "config_changed"), "the event of the change")

    table.write(bot_id, config=changed | {"symbol": None})
    in_time(lambda: "symbol: is missing" in table.last_error(bot_id), "the error in the row")
    broken = service.bot(bot_id)
    assert (broken["phase"], broken["config_hash"]) == ("running", document_hash(changed))
    assert "symbol: is missing" in broken["config_error"]
    assert "keeps its last good configuration" in broken["message"]
    wait_until(lambda: service.bot(bot_id)["bars"] > broken["bars"], 10, "more bars")

    repaired = resized(document, 0.3)
    table.write(bot_id, config=repaired)
    in_time(lambda: not table.last_error(bot_id), "the error's end in the row")
    in_time(lambda: service.bot(bot_id)["config_hash"] == document_hash(repaired), "the repaired document")
    assert service.bot(bot_id)["config_error"] is None
    assert table.row(bot_id).status == "running"

    table.write(bot_id, status="disabled")
    in_time(lambda: service.bot(bot_id)["phase"] == "stopped", "the stop")
    in_time(lambda: table.row(bot_id).status == "stopped", "the stop in the row")
    assert table.row(bot_id).extra_metadata["stopped_by"] == "request"

    table.write(bot_id, status="enabled")
    in_time(lambda: service.bot(bot_id)["phase"] == "running", "the start")

    table.remove(bot_id)
    in_time(lambda: not service.bot(bot_id), "the end of the deleted bot")
    (gone,) = wait_until(lambda: table.events(bot_id, "row_gone"), 5, "the event")
    assert gone.message.startswith("its row was deleted: the bot ended and left ")
    assert not table.leased(bot_id)
    assert service.get("/readyz")[0] == 200
    assert service.stop() == 0


def test_thirty_rows_that_change_at_once_are_all_seen_and_rubbish_among_them_spoils_none(
    table: Table, service: Service, in_time: InTime
) -> None:
    documents = [a_document(name=f"bot {n}", data=SLOW | {"seed": n, "speed": 0.2}) for n in range(FLEET)]
    ids = table.add(*documents)
    wait_until(lambda: all(service.bot(i).get("phase") == "running" for i in ids), 30, "the fleet", every=0.3)
    rubbish, *sane = ids
    changed = {bot_id: resized(document, 0.25) for bot_id, document in zip(ids, documents, strict=True)}
    with table.engine.begin() as connection:
        for bot_id, document in changed.items():
            value: Any = document if bot_id != rubbish else "rubbish"
            connection.execute(update(bots).where(bots.c.id == bot_id).values(config=value))

    def all_changed() -> bool:
        shown = {bot["id"]: bot["config_hash"] for bot in service.get("/status")[1]["bots"]}
        return all(shown[bot_id] == document_hash(changed[bot_id]) for bot_id in sane)

    # Thirty engines are built anew; on SQLite they wait in line for its one writer.
    in_time(all_changed, "the changed documents", times=5 if table.engine.name == "sqlite" else 2)
    in_time(lambda: table.last_error(rubbish), "the error in the row")
    shown = service.get("/status")[1]
    assert shown["by_phase"]["running"] == FLEET
    assert [bot["id"] for bot in shown["bots"] if bot["config_error"]] == [rubbish]
    assert "rubbish" in table.last_error(rubbish)
    assert not any(table.last_error(bot_id) for bot_id in sane)


def resized(document: dict[str, Any], size: float) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    changed["strategy"]["parameters"]["position_size"] = size
    return changed
