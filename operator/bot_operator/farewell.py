"""`python -m bot_operator.farewell`: what `helm uninstall` runs before it removes anything. It reads and writes no row.

The operator is scaled down first, since it would make again what is deleted here. Then the bots of the release are
deleted: each gets SIGTERM, comes to an end of its own and writes `stopped` by a shutdown into its row, so that the next
installation resumes it. Exit 1 says that some are still there.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from bot_core.logs import configure_logging
from bot_core.models.errors import FatalError, TransientError
from bot_operator.kube import Kube
from bot_operator.naming import INSTANCE_LABEL, NAME_LABEL, object_name, owner_labels, selector
from bot_operator.observed import Observed
from bot_operator.transport import Transport

LOOK_SECONDS = 1.0
#: How many deletions are on their way at a time: enough for a thousand bots in a minute, few for the API server.
AT_A_TIME = 8
_NAMED = 10
_ENDED = frozenset({"Failed", "Succeeded"})
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Fleet:
    """The objects of one release, and the Deployment of the operator that looks after them."""

    transport: Transport
    kube: Kube
    namespace: str
    release: str
    operator: str
    trial: str = ""  # the pod of a `helm test`, which stays where that failed

    async def dismiss_operator(self) -> None:
        """Ask for no replica; an operator that is gone already is dismissed."""
        path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{self.operator}/scale"
        await self.transport.request("PATCH", path, None, {"spec": {"replicas": 0}}, "application/merge-patch+json")

    async def remove_trial(self) -> None:
        if self.trial:
            await self.transport.request("DELETE", f"/api/v1/namespaces/{self.namespace}/pods/{self.trial}")

    async def operator_pods(self) -> list[str]:
        """Those of which a process may be left."""
        labels = {NAME_LABEL: "tradingbot-operator", INSTANCE_LABEL: self.release}
        component = {"app.kubernetes.io/component": "operator"}
        query = {"labelSelector": selector(labels | component)}
        found = await self.transport.request("GET", f"/api/v1/namespaces/{self.namespace}/pods", query)
        # An evicted pod, say, has ended, and stays as long as its Deployment's ReplicaSet does.
        running = [pod for pod in (found or {}).get("items", []) if pod.get("status", {}).get("phase") not in _ENDED]
        return [pod["metadata"]["name"] for pod in running]

    async def bots(self) -> dict[int, Observed]:
        """Those of which anything of ours is left."""
        return {bot_id: seen for bot_id, seen in (await self.kube.observe_all()).items() if not seen.nothing}

    async def delete(self, bots: Mapping[int, Observed]) -> None:
        """Delete what is not on its way out yet; the pods end with their Deployments."""
        turn = asyncio.Semaphore(AT_A_TIME)

        async def one(bot_id: int, seen: Observed) -> None:
            async with turn:
                deployment, bot = seen.deployment, seen.bot
                if deployment is not None and deployment.ours and not deployment.deleting:
                    await self.kube.delete_deployment(object_name(bot_id), deployment.uid)
                if bot is not None and bot.ours and not bot.deleting:
                    await self.kube.delete_tradingbot(object_name(bot_id), bot.uid)

        await asyncio.gather(*(one(bot_id, seen) for bot_id, seen in bots.items()))


async def say_farewell(fleet: Fleet, seconds: float) -> int:
    """Zero when nothing of the release's bots is left within so many seconds."""
    until = time.monotonic() + seconds
    told = ""
    while True:
        try:
            left = await _step(fleet)
        except TransientError as error:
            left = str(error)
        if not left:
            _log.info("no_bot_is_left")
            return 0
        if left != told:
            _log.info("waiting", what=left)
            told = left
        if time.monotonic() >= until:
            _log.error("given_up", after_seconds=seconds, what=left)
            return 1
        await asyncio.sleep(LOOK_SECONDS)


async def _step(fleet: Fleet) -> str:
    """Do what comes next; what is still to be waited for, or nothing."""
    await fleet.dismiss_operator()
    if pods := await fleet.operator_pods():
        return f"not ended yet: the operator, {', '.join(pods)}"
    await fleet.remove_trial()
    bots = await fleet.bots()
    await fleet.delete(bots)
    named = ", ".join(object_name(bot_id) for bot_id in sorted(bots)[:_NAMED])
    more = f" and {len(bots) - _NAMED} more" if len(bots) > _NAMED else ""
    return f"not ended yet: {named}{more}{_remedy(fleet, bots)}" if bots else ""


def _remedy(fleet: Fleet, bots: Mapping[int, Observed]) -> str:
    """A command for pods that a Deployment left behind: what ends them is no right of the account that this runs as."""
    orphans = [object_name(bot_id) for bot_id, seen in sorted(bots.items()) if seen.orphans]
    if not orphans:
        return ""
    return (
        f"; no Deployment is left to end the pods of {', '.join(orphans[:_NAMED])}: kubectl delete replicasets,pods"
        f" --namespace={fleet.namespace} --selector={selector(owner_labels(fleet.release))}"
    )


async def run(options: argparse.Namespace) -> int:
    transport = await Transport.connect()
    try:
        kube = Kube(transport, options.namespace, options.release)
        fleet = Fleet(transport, kube, options.namespace, options.release, options.operator, options.trial)
        return await say_farewell(fleet, options.wait)
    finally:
        await transport.aclose()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bot_operator.farewell", description="Stop the bots of a release.")
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--release", required=True)
    parser.add_argument("--operator", required=True, help="name of the operator's Deployment")
    parser.add_argument("--trial", default="", metavar="POD", help="name of the pod of `helm test`, to be removed too")
    parser.add_argument("--wait", type=float, required=True, metavar="SECONDS", help="longest time for all of it")
    options = parser.parse_args(arguments)
    configure_logging(json=True)
    try:
        return asyncio.run(run(options))
    except FatalError as error:
        _log.critical("farewell_can_not_run", error=str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main())
