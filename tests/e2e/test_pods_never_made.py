"""Troubles before a bot's process exists, of real pods at a real API server: no image has to be built for them."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bot_core.schema import messages
from support.cluster import Cluster
from support.local_operator import LocalOperator, local_operator

TOLD = {"error_notifications": True, "webhook_enabled": True}
NOWHERE = {"nodeSelector": {"tradingbot.dev/nowhere": "true"}}


@pytest.fixture
async def operator(cluster: Cluster, tmp_path: Path) -> AsyncIterator[LocalOperator]:
    async with local_operator(cluster, tmp_path) as made:
        yield made


async def _wait_error(operator: LocalOperator, bot_id: int, begins: str) -> None:
    async with asyncio.timeout(180):
        while True:
            await operator.look(bot_id)
            row = await operator.store.get(bot_id)
            assert row is not None
            if row.status == "error" and str(row.extra_metadata["last_error"]).startswith(begins):
                return
            await asyncio.sleep(0.5)  # of the scheduler's and the kubelet's doing, whom nothing here listens to


async def _letters(operator: LocalOperator) -> list[str]:
    async with operator.database.read() as connection:
        return [row.content["message"] for row in await connection.execute(select(messages.c.content))]


async def test_a_pod_that_can_not_be_made_is_told_in_row_table_and_letter_one_trouble_after_the_other(
    operator: LocalOperator, cluster: Cluster
):
    bot_id = await operator.insert(notifications=TOLD)
    troubles: list[tuple[str, dict[str, Any]]] = [
        ("ErrImageNeverPull: ", {"serviceAccountName": "default"}),
        ("Unschedulable: ", {"serviceAccountName": "default", **NOWHERE}),
        ("InvalidImageName: ", {"serviceAccountName": "default", "image": "Nowhere/BOT:1"}),
        ("ImagePullBackOff: ", {"serviceAccountName": "default", "image": "registry.invalid/bot:1",
                                "imagePullPolicy": "IfNotPresent"}),
        ("FailedCreate: ", {"serviceAccountName": "nobody"}),
    ]  # fmt: skip
    for count, (begins, pod) in enumerate(troubles, 1):
        operator.configure(**pod)
        await _wait_error(operator, bot_id, begins)
        table = cluster.kubectl("get", "tradingbots", "--output=wide", "--namespace", operator.namespace)
        assert " Error " in table
        assert begins in table
        row = await operator.store.get(bot_id)
        assert row is not None
        assert (row.error_count, len(await _letters(operator))) == (count, count)
        assert begins in (await _letters(operator))[-1]

    # Looked at again and again, it is neither told nor written again.
    before = await operator.store.get(bot_id)
    operator.asked.clear()
    for _ in range(5):
        await operator.reconciler.reconcile(bot_id)
    assert {verb for verb, _ in operator.asked} == {"GET"}
    assert await operator.store.get(bot_id) == before


async def test_a_quota_and_pod_security_that_let_no_pod_be_made_are_told(operator: LocalOperator, cluster: Cluster):
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": operator.namespace}}
    cluster.kubectl("apply", "--filename=-", stdin=json.dumps({**quota, "spec": {"hard": {"pods": "0"}}}))
    bot_id = await operator.insert(notifications=TOLD)
    operator.configure(serviceAccountName="default")
    await _wait_error(operator, bot_id, "FailedCreate: the pod is forbidden: exceeded quota: none")
    cluster.kubectl("delete", "resourcequota", "none", "--namespace", operator.namespace)
    await _wait_error(operator, bot_id, "ErrImageNeverPull: ")
    level = "pod-security.kubernetes.io/enforce=restricted"
    cluster.kubectl("label", "namespace", operator.namespace, level)
    other = await operator.insert(notifications=TOLD)
    host = {"name": "host", "hostPath": {"path": "/var"}}
    operator.configure(serviceAccountName="default", volumes=[host])
    await _wait_error(operator, other, "FailedCreate: the pod is forbidden: violates PodSecurity")
