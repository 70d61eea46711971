"""The operator as a process of its own, and the rows that it is given."""

import json
import os
import re
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import update

from benchmarks.documents import insert_at_once
from benchmarks.fleet_cluster import BareClient
from benchmarks.processes import Watched, answers, watched
from bot_core.schema import bots
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_operator.settings import OperatorSettings
from support.cluster import Cluster
from support.operator_builders import a_document
from support.postgres import free_port
from support.waiting import wait_until

_REQUESTS = re.compile(r'^tradingbot_operator_api_requests_total\{.*verb="(\w+)".*\} (\S+)$', re.MULTILINE)
_QUEUED = re.compile(r"^tradingbot_operator_queue_depth (\S+)$", re.MULTILINE)


@dataclass
class Operator:
    process: Watched
    port: int
    ready_after: float
    poll_seconds: float

    @property
    def pid(self) -> int:
        return self.process.process.pid

    def writes(self) -> int:
        """Requests to the API server so far that were no reading."""
        return sum(int(float(number)) for verb, number in _REQUESTS.findall(self._metrics()) if verb != "GET")

    def wait_quiet(self, limit: float) -> None:
        """Until nothing has been queued or written from one sweep to the next: what lasts is told by a sweep alone."""
        last, looks = -1, 0

        def quiet() -> bool:
            nonlocal last, looks
            page, writes = self._metrics(), self.writes()
            idle = all(float(number) == 0 for number in _QUEUED.findall(page)) and writes == last
            last, looks = writes, looks + 1 if idle else 0
            return looks > self.poll_seconds + 3

        wait_until(quiet, limit, "a settled fleet", every=1)

    def _metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            return str(answer.read().decode())


@dataclass
class Fleet:
    """A namespace and a database; an operator works on them within `operator`."""

    cluster: Cluster
    client: BareClient
    settings: OperatorSettings
    database: Database
    url: str
    folder: Path

    async def insert(self, count: int) -> None:
        await insert_at_once(self.database, [a_document() for _ in range(count)])

    async def change(self, number: int) -> tuple[int, str]:
        """Give one row other resources; its id and the memory that its pod then asks for."""
        store = BotStore(self.database, actor="benchmark")
        rows = await store.all()
        bot_id, memory = rows[number * 37 % len(rows)].id, f"{100 + number}Mi"
        resources = {"requests": {"cpu": "50m", "memory": memory}}
        document = a_document(kubernetes={"resources": resources})
        async with self.database.write() as connection:
            await connection.execute(update(bots).where(bots.c.id == bot_id).values(config=document))
        return bot_id, memory

    @contextmanager
    def operator(self) -> Iterator[Operator]:
        document, port = self.folder / "operator.json", free_port()
        document.write_text(json.dumps(self.settings.model_dump(mode="json", by_alias=True)))
        environment = {
            "OPERATOR_SETTINGS": str(document),
            "DATABASE_URL": self.url,
            "KUBECONFIG": str(self.cluster.kubeconfig),
            "PORT": str(port),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        command = [sys.executable, "-m", "bot_operator"]
        with watched(command, environment, self.folder / f"operator-{port}.log") as process:
            ready_after = process.until(lambda: answers(f"http://127.0.0.1:{port}/readyz"), 600)
            yield Operator(process, port, ready_after, self.settings.poll_seconds)
