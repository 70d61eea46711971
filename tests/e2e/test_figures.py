"""What heartbeats cost at a real API server: its own requests, counted, of an operator in this process without pods."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot_operator.cluster import StaleLookError
from bot_operator.manifests import build_status
from support.cluster import Cluster
from support.local_operator import LocalOperator, local_operator

BOTS = 12


@pytest.fixture
async def operator(cluster: Cluster, tmp_path: Path) -> AsyncIterator[LocalOperator]:
    async with local_operator(cluster, tmp_path) as made:
        yield made


async def test_a_heartbeat_each_second_costs_one_list_a_pass_and_one_write_a_bot(operator: LocalOperator):
    ids = [await operator.insert(enabled=False) for _ in range(BOTS)]
    for bot_id in ids:
        await operator.reconciler.reconcile(bot_id)
    began = datetime(2026, 3, 1, tzinfo=UTC)
    quick, slow, _still = ids[:4], ids[4:8], ids[8:]
    operator.asked.clear()
    for second in range(1, 61):
        await operator.change(quick, last_heartbeat=began + timedelta(seconds=second), current_balance=second)
        if second % 10 == 0:
            await operator.change(slow, last_heartbeat=began + timedelta(seconds=second))
        if second % 15 == 0:
            await operator.project()
    assert operator.asked == {("GET", "tradingbots"): 4, ("PATCH", "tradingbots/status"): 4 * len(quick + slow)}
    assert len(operator.app.queue) == 0
    found = await operator.kube.tradingbots()
    assert found[quick[0]].status["lastHeartbeat"] == "2026-03-01T00:01:00Z"
    assert found[quick[0]].status["balance"] == "60"
    assert found[quick[0]].status["phase"] == "Stopped"

    # What a look then has to write takes a figure that is gone away with it: there is but one manager of the fields.
    await operator.change(quick, current_balance=None)
    await operator.project()
    assert "balance" not in (await operator.kube.tradingbots())[quick[0]].status


async def test_a_status_that_was_read_before_another_write_is_refused(operator: LocalOperator):
    bot_id = await operator.insert(enabled=False)
    await operator.reconciler.reconcile(bot_id)
    before = (await operator.kube.tradingbots())[bot_id]
    await operator.change([bot_id], config={"symbol": "X", "enabled": False})
    await operator.reconciler.reconcile(bot_id)
    stale = build_status(f"bot-{bot_id}", operator.settings, {**before.status, "phase": "Running"})
    with pytest.raises(StaleLookError):
        await operator.kube.apply_status(stale, before.document)
    assert (await operator.kube.tradingbots())[bot_id].phase != "Running"
    stale["metadata"]["name"] = "bot-999999"
    with pytest.raises(StaleLookError):
        await operator.kube.apply_status(stale, before.document)
