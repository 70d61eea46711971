"""The port to the cluster in memory: documents as the API server would keep them, pods as the test says."""

import copy
import itertools
from collections.abc import Callable
from typing import Any

from bot_operator.cluster import (
    ClusterUnavailableError,
    Held,
    RefusedForNowError,
    RefusedObjectError,
    StaleLookError,
)
from bot_operator.naming import MANAGER, bot_labels, is_ours, labelled_bot_id, object_name
from bot_operator.observed import (
    Observed,
    ObservedDeployment,
    ObservedTradingBot,
    parse_deployment,
    parse_pod,
    parse_tradingbot,
)

Document = dict[str, Any]


class FakeCluster:
    """`writes` lists what was sent, as ("apply", "Deployment", "bot-7"); `down` and `refused` make it fail."""

    def __init__(self, release: str = "fleet") -> None:
        self._release = release
        self._numbers = itertools.count(1)
        self.bots: dict[str, Document] = {}
        self.deployments: dict[str, Document] = {}
        self.pods: dict[str, Document] = {}
        self.events: list[Document] = []
        self.writes: list[tuple[str, str, str]] = []
        self.taken_for_new: list[int] = []
        self.down = False
        self.refused = ""
        self.forbidden = ""  # why no Deployment is taken for now
        self.pruned = ""  # the field of the status that an older CRD does not know
        self.stale = 0  # so many writes of Deployments are based on a stale look
        self.insists: int | None = None  # the replicas that a webhook gives every Deployment

    # The port.

    async def observe(self, bot_id: int, *, is_new: bool = False) -> Observed:
        self._answer()
        if is_new:
            self.taken_for_new.append(bot_id)
        bot, deployment = self.bots.get(object_name(bot_id)), self.deployments.get(object_name(bot_id))
        return Observed(
            bot=parse_tradingbot(bot, self._release) if bot else None,
            deployment=parse_deployment(deployment, self._release) if deployment else None,
            pods=tuple(parse_pod(pod) for pod in self.pods.values() if _bot_id(pod) == bot_id),
        )

    async def observe_all(self, on_page: Callable[[], None] = lambda: None) -> dict[int, Observed]:
        self._answer()
        on_page()
        everything = [*self.bots.values(), *self.deployments.values(), *self.pods.values()]
        ours = [item for item in everything if is_ours(item["metadata"]["labels"], self._release)]
        return {bot_id: await self.observe(bot_id) for item in ours if (bot_id := _bot_id(item)) is not None}

    async def tradingbots(self) -> dict[int, ObservedTradingBot]:
        self._answer()
        found = {_bot_id(item): parse_tradingbot(item, self._release) for item in self.bots.values()}
        return {bot_id: bot for bot_id, bot in found.items() if bot_id is not None and bot.ours}

    async def apply_tradingbot(self, manifest: Document, held: Held) -> ObservedTradingBot:  # noqa: ARG002
        return parse_tradingbot(self._apply(self.bots, manifest), self._release)

    async def apply_status(self, manifest: Document, held: Held) -> ObservedTradingBot:
        self._write("status", "TradingBot", manifest["metadata"]["name"])
        if self.refused == "status":
            raise RefusedObjectError("the status will not do")
        bot = self.bots.get(manifest["metadata"]["name"])
        version = (held or {}).get("metadata", {}).get("resourceVersion")
        if version is not None and (bot is None or bot["metadata"]["resourceVersion"] != version):
            raise StaleLookError("it is another by now")
        assert bot is not None
        bot["status"] = {key: copy.deepcopy(item) for key, item in manifest["status"].items() if key != self.pruned}
        bot["metadata"]["resourceVersion"] = str(next(self._numbers))
        return parse_tradingbot(bot, self._release)

    async def apply_deployment(self, manifest: Document, held: Held) -> ObservedDeployment:  # noqa: ARG002
        return parse_deployment(self._apply(self.deployments, manifest), self._release)

    # All is replaced by what is applied here: what others have added goes with it.
    restore_tradingbot, restore_status, restore_deployment = apply_tradingbot, apply_status, apply_deployment

    async def delete_deployment(self, name: str, uid: str) -> None:
        self._write("delete", "Deployment", name)
        deployment = self.deployments[name]
        assert deployment["metadata"]["uid"] == uid
        pods = [pod for pod in self.pods.values() if _bot_id(pod) == _bot_id(deployment)]
        for item in (deployment, *pods):
            item["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
        if not pods:
            del self.deployments[name]

    async def delete_tradingbot(self, name: str, uid: str) -> None:
        self._write("delete", "TradingBot", name)
        assert self.bots.pop(name)["metadata"]["uid"] == uid

    async def delete_pod(self, name: str, uid: str) -> None:
        self._write("delete", "Pod", name)
        assert self.pods[name]["metadata"]["uid"] == uid
        self.pods[name]["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:30Z"

    async def emit(self, event: Document) -> None:
        self._answer()
        self.events.append(event)

    async def aclose(self) -> None:
        return

    # What the test does to it.

    def start_pod(self, bot_id: int, *, ready: bool = True) -> None:
        deployment = self.deployments.get(object_name(bot_id))
        if deployment is not None:
            generation = deployment["metadata"]["generation"]
            deployment["status"] = {"observedGeneration": generation, "updatedReplicas": 1}
        name = f"bot-{bot_id}-{next(self._numbers)}"
        self.pods[name] = {
            "metadata": {
                "name": name,
                "uid": f"uid-of-{name}",
                "labels": bot_labels(self._release, bot_id),
                "creationTimestamp": f"2026-03-01T11:00:{next(self._numbers):02}Z",
            },
            "status": {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": str(ready)}],
                "containerStatuses": [{"restartCount": 0, "state": {"running": {}}}],
            },
        }

    def show_pod(self, bot_id: int, document: Document) -> None:
        """The bot's only pod is now as this document says."""
        pod = copy.deepcopy(document)
        pod["metadata"]["labels"] = bot_labels(self._release, bot_id)
        self.pods = {name: other for name, other in self.pods.items() if _bot_id(other) != bot_id}
        self.pods[pod["metadata"]["name"]] = pod

    def end_pods(self, bot_id: int) -> None:
        """The pods have ended, and so has what waited for them."""
        self.pods = {name: pod for name, pod in self.pods.items() if _bot_id(pod) != bot_id}
        deployment = self.deployments.get(object_name(bot_id))
        if deployment is not None and "deletionTimestamp" in deployment["metadata"]:
            del self.deployments[object_name(bot_id)]

    def status(self, bot_id: int) -> Document:
        status: Document = self.bots[object_name(bot_id)]["status"]
        return status

    def reasons(self) -> list[str]:
        return [event["reason"] for event in self.events]

    def _apply(self, kept: dict[str, Document], manifest: Document) -> Document:
        name = manifest["metadata"]["name"]
        self._write("apply", manifest["kind"], name)
        if manifest["kind"] == self.refused:
            raise RefusedObjectError(f"{name}: will not do")
        if manifest["kind"] == "Deployment" and self.forbidden:
            raise RefusedForNowError(f"PATCH {name}: 403: {self.forbidden}")
        if manifest["kind"] == "Deployment" and self.stale:
            self.stale -= 1
            raise StaleLookError(f"{name}: has been modified")
        old = kept.get(name, {"metadata": {"uid": f"uid-{next(self._numbers)}", "generation": 0}, "spec": None})
        new = copy.deepcopy(manifest)
        if manifest["kind"] == "Deployment" and self.insists is not None:
            new["spec"]["replicas"] = self.insists
        generation = old["metadata"]["generation"] + (new["spec"] != old["spec"])
        new["metadata"] |= {"uid": old["metadata"]["uid"], "generation": generation}
        new["metadata"]["managedFields"] = [{"manager": MANAGER, "operation": "Apply", "fieldsV1": {}}]
        new["metadata"]["resourceVersion"] = str(next(self._numbers))
        kept[name] = new | ({"status": old["status"]} if "status" in old else {})
        return kept[name]

    def _write(self, *what: str) -> None:
        self._answer()
        verb, kind, name = what
        self.writes.append((verb, kind, name))

    def _answer(self) -> None:
        if self.down:
            raise ClusterUnavailableError("the API server is down")


def _bot_id(item: Document) -> int | None:
    return labelled_bot_id(item["metadata"].get("labels") or {})
