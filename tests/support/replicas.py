"""Operators as processes of this machine, each with its own way to a real API server, on one namespace and database."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from support.api_proxy import ApiProxy
from support.cluster import Cluster
from support.operator_builders import a_document, some_settings
from support.postgres import free_port

LEASE = "operator"


@dataclass
class Place:
    """A namespace of its own in which no pod starts, and a database of its own."""

    cluster: Cluster
    namespace: str
    url: str
    folder: Path
    database: Database = field(init=False)
    store: BotStore = field(init=False)

    def __post_init__(self) -> None:
        self.database = Database(self.url)
        self.store = BotStore(self.database, actor="test")

    def create(self) -> None:
        metadata = {"name": self.namespace, "labels": {"tradingbot.dev/e2e": "true"}}
        self.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        metadata = {"name": "no-pods", "namespace": self.namespace}
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": {"pods": "0"}}}
        self.cluster.apply(quota)

    def remove(self) -> None:
        self.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false", "--ignore-not-found")

    def settings(self, **changes: Any) -> dict[str, Any]:
        leader = {"enabled": True, "leaseName": LEASE, "leaseSeconds": 10, "renewSeconds": 2}
        settings = some_settings(namespace=self.namespace, leader=leader, **changes)
        return settings.model_dump(mode="json", by_alias=True)

    async def insert(self) -> int:
        return await self.store.insert(a_document(), await self.store.user("trader@example.com"))

    def get(self, *what: str) -> dict[str, Any]:
        return self.cluster.get("--namespace", self.namespace, *what)

    def deployed(self, bot_id: int) -> bool:
        return bool(self.get("deployment", f"bot-{bot_id}"))

    def holder(self) -> str:
        """The name of the process that holds the Lease, without its random part."""
        spec: dict[str, Any] = self.get("lease", LEASE).get("spec", {})
        return str(spec.get("holderIdentity") or "").partition("_")[0]


@dataclass
class Replica:
    """One operator process behind a proxy of its own: what the proxy noted is what this process sent."""

    name: str
    place: Place
    proxy: ApiProxy
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def log_file(self) -> Path:
        return self.place.folder / f"{self.name}.log"

    def start(self, **settings: Any) -> "Replica":
        document = self.place.folder / f"{self.name}.json"
        document.write_text(json.dumps(self.place.settings(**settings)))
        kept = {key: value for key, value in os.environ.items() if not key.startswith("KUBE")}
        environment = kept | {
            "OPERATOR_SETTINGS": str(document),
            "DATABASE_URL": self.place.url,
            "KUBECONFIG": str(self.proxy.kubeconfig(self.place.folder / f"{self.name}.kubeconfig")),
            "PORT": str(self.port),
            "POD_NAME": self.name,
        }
        with self.log_file.open("ab") as log:
            command = [sys.executable, "-m", "bot_operator"]
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=self.place.folder)
        return self

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def ended(self, timeout: float = 30) -> int:
        assert self.process is not None
        process = self.process
        await eventually(lambda: process.poll() is not None, timeout, f"the end of {self.name}", tell=self.log)
        assert process.returncode is not None
        return process.returncode

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def log(self) -> str:
        return self.log_file.read_text()

    async def answers(self, path: str) -> tuple[int, str]:
        """Status and text of its HTTP face; 0 where there is none."""
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
                session.get(f"http://127.0.0.1:{self.port}{path}") as answer,
            ):
                return answer.status, await answer.text()
        except (aiohttp.ClientError, TimeoutError):
            return 0, ""


async def eventually(
    condition: Callable[[], Any], timeout: float, what: str, *, tell: Callable[[], str] | None = None
) -> float:
    """Wait for a condition, which may block for a moment or be a coroutine function; the seconds that it took."""
    began = time.monotonic()
    while time.monotonic() - began < timeout:
        value = await condition() if asyncio.iscoroutinefunction(condition) else await asyncio.to_thread(condition)
        if value:
            return time.monotonic() - began
        await asyncio.sleep(0.1)
    more = f"\n{tell()}" if tell else ""
    raise AssertionError(f"{what} did not happen in {timeout:g} s{more}")
