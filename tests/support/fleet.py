"""A fleet on a cluster as a test sees it: rows by SQL, pods by kubectl, and the trades that a backtest would give."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg

from bot_core.models.config import parse_config
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_runtime.domain.bar import Bar
from bot_runtime.domain.trade import Trade
from bot_runtime.engine.document_backtest import backtest_document
from bot_runtime.feeds.registry import build_feed
from support.postgres import PostgresServer
from support.release import Release, merge
from support.waiting import wait_until

OPERATOR = "app.kubernetes.io/component=operator"
_EIGHT = Decimal("0.00000001")


@dataclass
class Fleet:
    release: Release
    postgres: PostgresServer

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Again, as a person would, where the server takes it and a heartbeat for a deadlock."""
        for _ in range(20):
            with contextlib.suppress(psycopg.errors.DeadlockDetected):
                return self.postgres.execute(statement, database=self.release.database)
        raise AssertionError(f"deadlocks: {statement}")

    def insert(self, document: Mapping[str, Any]) -> int:
        async def work() -> int:
            database = Database(self.postgres.url(self.release.database), pool_size=1)
            store = BotStore(database, actor="test")
            try:
                return await store.insert(document, await store.user("trader@example.com"))
            finally:
                await database.aclose()

        return asyncio.run(work())

    def set_status(self, bot_id: int, status: str) -> None:
        self.sql(f"UPDATE trading_bots SET status = '{status}' WHERE id = {bot_id}")

    def status(self, bot_id: int) -> str:
        ((status,),) = self.sql(f"SELECT status FROM trading_bots WHERE id = {bot_id}")
        return str(status)

    def metadata(self, bot_id: int) -> dict[str, Any]:
        ((metadata,),) = self.sql(f"SELECT extra_metadata FROM trading_bots WHERE id = {bot_id}")
        return dict(metadata or {})

    def trade_count(self, bot_id: int) -> int:
        ((count,),) = self.sql(f"SELECT count(*) FROM trading_trades WHERE bot_id = {bot_id}")
        return int(count)

    def trades(self, bot_id: int) -> list[tuple[Any, ...]]:
        """Closed trades, as the tables hold them."""
        columns = "entry_time, entry_price, size, exit_time, exit_price, gross_pnl, net_pnl, commission, exit_reason"
        where = f"WHERE bot_id = {bot_id} AND status = 'closed'"
        return self.sql(f"SELECT {columns} FROM trading_trades {where} ORDER BY entry_time")

    def events(self, bot_id: int, kind: str) -> list[tuple[Any, ...]]:
        return self.sql(f"SELECT message FROM bot_events WHERE bot_id = {bot_id} AND kind = '{kind}'")

    def cursor(self, bot_id: int) -> Any:
        found = self.sql(f"SELECT cursor FROM bot_state WHERE bot_id = {bot_id}")
        return found[0][0] if found else None

    def ready(self, bot_id: int) -> bool:
        pods = self.release.pods(bot_id)
        return len(pods) == 1 and any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for condition in pods[0]["status"].get("conditions", [])
        )

    def template_hash(self, bot_id: int) -> str:
        annotations = self.release.get("deployment", f"bot-{bot_id}")["metadata"]["annotations"]
        return str(annotations["tradingbot.dev/template-hash"])

    def install_with(self, values: Mapping[str, Any]) -> None:
        """Upgrade the release with these values over its own, and wait until all of it is ready."""
        replace(self.release, values=merge(self.release.values, values)).install()

    def error_count(self, bot_id: int) -> int:
        ((count,),) = self.sql(f"SELECT error_count FROM trading_bots WHERE id = {bot_id}")
        return int(count or 0)

    def metric(self, name: str) -> float:
        """One sample of the operators, of whichever replica has the most; 0 where none has it."""
        pods = self.release.items("pods", "--selector", OPERATOR)
        names = [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        root = f"/api/v1/namespaces/{self.release.namespace}/pods"
        pages = [self.release.kubectl("get", "--raw", f"{root}/{pod}:8080/proxy/metrics", check=False) for pod in names]
        lines = [line.split() for page in pages for line in page.splitlines()]
        return max([float(line[-1]) for line in lines if line[:-1] == [name]], default=0.0)

    def stop_operator(self) -> None:
        """Scale it to nothing, and wait until none of it is left."""
        self.release.kubectl("scale", f"deployment/{self.release.operator}", "--replicas=0")
        wait_until(lambda: not self.release.items("pods", "--selector", OPERATOR), 60, "the operator's end")

    def start_operator(self) -> None:
        self.release.kubectl("scale", f"deployment/{self.release.operator}", "--replicas=1")

    def leader(self) -> dict[str, Any]:
        """The pod of the operator that leads."""
        lease = self.release.get("lease", self.release.operator)
        return self.release.get("pod", lease["spec"]["holderIdentity"].split("_")[0])

    def started(self, bot_id: int) -> dict[str, Any] | None:
        """The bot's pod once its container has passed its startup probe."""
        for pod in self.release.pods(bot_id):
            if any(status.get("started") for status in pod["status"].get("containerStatuses", [])):
                return pod
        return None

    def other_pod(self, bot_id: int, pod: Mapping[str, Any]) -> bool:
        return any(other["metadata"]["uid"] != pod["metadata"]["uid"] for other in self.release.pods(bot_id))

    def restarts(self, bot_id: int) -> int:
        (pod,) = self.release.pods(bot_id)
        return sum(container["restartCount"] for container in pod["status"]["containerStatuses"])

    def wait_ready(self, bot_id: int, timeout: float = 180) -> dict[str, Any]:
        wait_until(lambda: self.ready(bot_id), timeout, f"pod of bot {bot_id} Ready")
        (pod,) = self.release.pods(bot_id)
        return pod

    def wait_traded(self, bot_id: int, count: int = 1, timeout: float = 180) -> None:
        wait_until(lambda: self.trade_count(bot_id) >= count, timeout, f"{count} trades of bot {bot_id}")

    def wait_through(self, bot_id: int, last: Bar, timeout: float = 600) -> None:
        wait_until(lambda: self.cursor(bot_id) == last.time, timeout, f"bot {bot_id} at its last bar {last.time}")


def bars_of(document: Mapping[str, Any], data_dir: Path | None = None) -> list[Bar]:
    """Every bar that the document's feed delivers, at once."""

    async def collect() -> list[Bar]:
        feed = build_feed({**document["data"], "speed": 0}, document["symbol"], data_dir=data_dir)
        return [bar async for bar in feed.bars(None)]

    return asyncio.run(collect())


def backtested(document: Mapping[str, Any], bars: Sequence[Bar]) -> list[tuple[Any, ...]]:
    """Closed trades of a backtest, rounded and ordered as the tables hold them."""
    config = parse_config(document).config
    assert config is not None
    return [_as_stored(trade) for trade in backtest_document(config, bars).trades]


def _as_stored(trade: Trade) -> tuple[Any, ...]:
    money = (trade.entry_price, trade.size, trade.exit_price, trade.gross_pnl, trade.net_pnl, trade.commission)
    entry_price, size, exit_price, gross, net, commission = (amount.quantize(_EIGHT) for amount in money)
    entry_time, exit_time = (time.replace(tzinfo=None) for time in (trade.entry_time, trade.exit_time))
    return (entry_time, entry_price, size, exit_time, exit_price, gross, net, commission, trade.exit_reason)


def processes_of(pod: Mapping[str, Any]) -> list[int]:
    """The ids of a pod's Python processes where its node is this machine; empty where none is seen here, or ended."""
    uid = pod["metadata"]["uid"]
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                groups = (folder / "cgroup").read_text().replace("_", "-")
                if uid in groups and b"python" in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
    return found


def freeze_process_of(pod: Mapping[str, Any]) -> bool:
    """SIGSTOP the bot's process of a pod whose node is this machine; False where no such process is seen here."""
    return signal_process_of(pod, signal.SIGSTOP)


def signal_process_of(pod: Mapping[str, Any], number: signal.Signals) -> bool:
    """Signal the Python processes of a pod whose node is this machine; False where none is seen here."""
    found = processes_of(pod)
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    return bool(found)
