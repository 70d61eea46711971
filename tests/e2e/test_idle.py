"""An idle fleet costs reads and nothing else: no write to the API server, and none to a row."""

import os
import time

import pytest

from bot_operator.naming import bot_labels, object_name
from support.cluster import Cluster
from support.in_process import OwnOperator, eventually, own_operator
from support.postgres import PostgresServer

_BOTS = int(os.environ.get("IDLE_BOTS", "200"))
_SWEEPS = 3


@pytest.mark.slow
async def test_an_idle_fleet_causes_no_write_to_the_api_server_and_none_to_a_row(
    cluster: Cluster, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with own_operator(cluster, postgres, monkeypatch) as operator:
        started = time.monotonic()
        bots = await operator.insert(_BOTS)
        await operator.settled(bots, 30 + _BOTS * 0.6)
        print(f"{_BOTS} bots made in {time.monotonic() - started:.0f} s: {dict(operator.counting.count)}")
        _assert_few_writes(operator, _BOTS)
        rows = postgres.row_versions(operator.database_name)
        assert len(rows) > _BOTS
        operator.counting.count.clear()
        started = time.monotonic()
        for _ in range(_SWEEPS):
            await operator.sweep()
        took = (time.monotonic() - started) / _SWEEPS
        print(f"{took:.2f} s a sweep: {dict(operator.counting.count)}")
        assert operator.counting.writes == {}

        operator.counting.count.clear()
        started = time.monotonic()
        await operator.thread.call(lambda: _wake(operator, bots))

        async def looked() -> bool:
            return operator.counting.count["GET", "deployments"] >= _BOTS and len(operator.app.queue) == 0

        await eventually(looked, 30 + _BOTS * 0.3, "a look at each bot")
        print(f"{_BOTS} looks in {time.monotonic() - started:.1f} s")
        assert operator.counting.writes == {}
        assert postgres.row_versions(operator.database_name) == rows


def _assert_few_writes(operator: OwnOperator, bots: int) -> None:
    """One write for each object of a new bot, and for each thing that there was to tell of it."""
    writes = operator.counting.writes
    assert (writes["PATCH", "tradingbots"], writes["PATCH", "deployments"]) == (bots, bots)
    assert writes["PATCH", "tradingbots/status"] <= 3 * bots  # Pending, why it gets no pod, and a crossing of the two
    assert sum(writes.values()) <= 7 * bots


async def _wake(operator: OwnOperator, bots: list[int]) -> None:
    """As after a lost watch, when kopf tells of each object anew."""
    for bot_id in bots:
        operator.app.wake(bot_labels(operator.app.settings.release, bot_id), object_name(bot_id))
