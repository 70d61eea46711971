import asyncio
import itertools
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import kopf
import pytest
from aiohttp.test_utils import TestClient, TestServer

from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_core.store.upgrade import upgrade
from bot_operator.app import OperatorApp
from bot_operator.fence import Fence
from bot_operator.handlers.events import register_events
from bot_operator.handlers.process import Unwearying, build_settings
from bot_operator.health import LeaseHealth, OperatorHealth, SweepHealth
from bot_operator.metrics import Metrics
from bot_operator.naming import bot_labels
from bot_operator.settings import ProcessSettings
from bot_operator.web import build_web
from support.fake_cluster import FakeCluster
from support.operator_builders import a_document, some_settings


class _Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _eventually(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not await condition():  # of another task's doing, which sets no event
            await asyncio.sleep(0)


async def _no_watch(_app: OperatorApp) -> None:
    await asyncio.Event().wait()


async def test_the_whole_app_turns_a_row_into_a_deployment_and_answers_on_its_port(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'bots.db'}"
    upgrade(url)
    cluster, port = FakeCluster(), _free_port()
    metrics, process = Metrics(), ProcessSettings(url, port=port)
    app = OperatorApp.compose(some_settings(), process, Database(url), cluster, Fence.always_open(), metrics)
    store = BotStore(app.database, actor="test")
    bot_id = await store.insert(a_document(), await store.user("trader@example.com"))
    running = asyncio.create_task(app.run(_no_watch))

    async def deployed() -> bool:
        return f"bot-{bot_id}" in cluster.deployments

    async def ready() -> bool:
        async with client.get(f"http://127.0.0.1:{port}/readyz") as answer:
            return answer.status == 200

    async with aiohttp.ClientSession() as client:
        await _eventually(deployed)
        await _eventually(ready)
        async with client.get(f"http://127.0.0.1:{port}/metrics") as answer:
            found = re.search(r'reconciles_total\{outcome="settled"\} (\d+)', await answer.text())
            assert found is not None
            assert int(found[1]) >= 1
    cluster.start_pod(bot_id)
    app.wake(bot_labels("fleet", bot_id))

    async def shown() -> bool:
        return "status" in cluster.bots[f"bot-{bot_id}"] and cluster.status(bot_id)["phase"] == "Running"

    await _eventually(shown)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await app.aclose()


@pytest.mark.parametrize(
    ("after", "sweeps", "alive", "ready"),
    [
        (0, [], 200, 503),
        (1, ["succeeded"], 200, 200),
        (1, ["succeeded", "failed"], 200, 503),
        (3600, ["tried", "failed"], 200, 503),
        (3600, [], 503, 503),
    ],
)
async def test_alive_means_that_sweeps_are_tried_and_ready_that_the_last_one_read_everything(
    after: float, sweeps: list[str], alive: int, ready: int
) -> None:
    clock = _Clock()
    health = SweepHealth(30, monotonic=clock)
    clock.seconds = after
    for sweep in sweeps:
        getattr(health, sweep)()
    operator = OperatorHealth(health, None, lambda: True)
    assert await _answers(operator) == [alive, ready]


async def _answers(health: OperatorHealth) -> list[int]:
    async with TestClient(TestServer(build_web(health, Metrics()))) as client:
        return [(await client.get(path)).status for path in ("/healthz", "/readyz")]


@pytest.mark.parametrize(
    ("leads", "after", "lease_read", "alive", "ready"),
    [
        (False, 3600, True, 200, 200),  # it makes no sweeps, and need not
        (False, 3600, False, 200, 503),
        (False, 3600, None, 503, 503),
        (True, 3600, True, 503, 503),
        (True, 1, True, 200, 200),
        (True, 1, False, 200, 200),  # the fence says for how long
    ],
)
async def test_a_follower_is_judged_by_its_looks_at_the_lease_and_a_leader_by_its_sweeps(
    leads: bool, after: float, lease_read: bool | None, alive: int, ready: int
) -> None:
    clock = _Clock()
    sweeps, lease = SweepHealth(30, monotonic=clock), LeaseHealth.of(10, monotonic=clock)
    sweeps.succeeded()
    clock.seconds = after
    if lease_read is not None:
        lease.noted(lease_read)
    health = OperatorHealth(sweeps, lease, lambda: leads)
    assert await _answers(health) == [alive, ready]
    assert health.sweep_age == (after if leads else 0)


def test_a_new_leader_is_not_overdue_with_sweeps_that_were_not_its_own() -> None:
    clock = _Clock()
    sweeps = SweepHealth(30, monotonic=clock)
    clock.seconds = 3600
    sweeps.began()
    assert (sweeps.alive, sweeps.age) == (True, 0)


def test_kopf_only_watches_what_is_ours_and_changes_nothing() -> None:
    registry = kopf.OperatorRegistry()
    register_events(registry, "fleet", lambda _labels: None)
    watching = registry._watching.get_all_handlers()
    assert len(watching) == 3
    assert all(handler.labels for handler in watching)
    assert not registry._changing.get_all_handlers()
    assert not registry._spawning.get_all_handlers()
    settings = build_settings(some_settings(), lambda: None)
    assert not settings.posting.enabled
    assert len(list(itertools.islice(settings.networking.error_backoffs, 1000))) == 1000  # type: ignore[arg-type]
    assert set(settings.watching.label_selectors.values()) == {
        "app.kubernetes.io/instance=fleet,app.kubernetes.io/managed-by=tradingbot-operator"
    }


def test_pauses_between_attempts_end_never_and_tell_of_each_attempt_that_failed() -> None:
    failures: list[int] = []
    pauses = iter(Unwearying(lambda: failures.append(1)))
    assert next(pauses) == 1
    assert not failures
    assert [next(pauses) for _ in range(20)][-1] == 20
    assert len(failures) == 20


@pytest.mark.parametrize(
    ("environ", "told"),
    [({}, "OPERATOR_SETTINGS is not set"), ({"OPERATOR_SETTINGS": "settings.json"}, "DATABASE_URL is not set")],
)
def test_a_process_that_can_not_run_says_why_in_one_json_line_and_exits_with_one(
    tmp_path: Path, environ: dict[str, str], told: str
) -> None:
    (tmp_path / "settings.json").write_text(some_settings().model_dump_json(by_alias=True))
    kept = {key: value for key, value in os.environ.items() if key not in {"OPERATOR_SETTINGS", "DATABASE_URL"}}
    ended = subprocess.run(
        [sys.executable, "-m", "bot_operator"], cwd=tmp_path, env=kept | environ, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert told in json.loads(line)["error"]
