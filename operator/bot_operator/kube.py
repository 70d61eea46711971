"""The Kubernetes API as the operator's `Cluster`. It decides nothing."""

from typing import Any

from bot_operator.cluster import ClusterUnavailableError
from bot_operator.manifests import Document
from bot_operator.naming import (
    GROUP,
    MANAGER,
    VERSION,
    bot_labels,
    labelled_bot_id,
    object_name,
    owner_labels,
    selector,
)
from bot_operator.observed import (
    Observed,
    ObservedDeployment,
    ObservedTradingBot,
    parse_deployment,
    parse_pod,
    parse_tradingbot,
)
from bot_operator.transport import Transport

_APPLY = "application/apply-patch+yaml"
_PAGE = 500


class Kube:
    def __init__(self, transport: Transport, namespace: str, release: str) -> None:
        self._transport = transport
        self._release = release
        self._bots = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/tradingbots"
        self._deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._events = f"/api/v1/namespaces/{namespace}/events"

    @classmethod
    async def connect(cls, namespace: str, release: str) -> "Kube":
        """Find the cluster; nothing is sent yet. Raises FatalError where there is none to be found."""
        return cls(await Transport.connect(), namespace, release)

    async def observe(self, bot_id: int) -> Observed:
        name = object_name(bot_id)
        bot = await self._get(f"{self._bots}/{name}")
        deployment = await self._get(f"{self._deployments}/{name}")
        pods = await self._list(self._pods, selector(bot_labels(self._release, bot_id)))
        return Observed(
            bot=None if bot is None else parse_tradingbot(bot, self._release),
            deployment=None if deployment is None else parse_deployment(deployment, self._release),
            pods=tuple(parse_pod(pod) for pod in pods),
        )

    async def observe_all(self) -> dict[int, Observed]:
        ours = selector(owner_labels(self._release))
        bots = _by_bot(await self._list(self._bots, ours), named=True)
        deployments = _by_bot(await self._list(self._deployments, ours), named=True)
        pods = _by_bot(await self._list(self._pods, ours), named=False)
        return {
            bot_id: Observed(
                bot=_first([parse_tradingbot(item, self._release) for item in bots.get(bot_id, [])]),
                deployment=_first([parse_deployment(item, self._release) for item in deployments.get(bot_id, [])]),
                pods=tuple(parse_pod(item) for item in pods.get(bot_id, [])),
            )
            for bot_id in bots.keys() | deployments.keys() | pods.keys()
        }

    async def apply_tradingbot(self, manifest: Document) -> ObservedTradingBot:
        path = f"{self._bots}/{manifest['metadata']['name']}"
        return parse_tradingbot(await self._apply(path, manifest), self._release)

    async def apply_status(self, manifest: Document) -> ObservedTradingBot:
        path = f"{self._bots}/{manifest['metadata']['name']}/status"
        return parse_tradingbot(await self._apply(path, manifest), self._release)

    async def apply_deployment(self, manifest: Document) -> ObservedDeployment:
        path = f"{self._deployments}/{manifest['metadata']['name']}"
        return parse_deployment(await self._apply(path, manifest), self._release)

    async def delete_deployment(self, name: str, uid: str) -> None:
        await self._delete(f"{self._deployments}/{name}", uid, "Foreground")

    async def delete_tradingbot(self, name: str, uid: str) -> None:
        await self._delete(f"{self._bots}/{name}", uid, "Background")

    async def delete_pod(self, name: str, uid: str) -> None:
        await self._delete(f"{self._pods}/{name}", uid, "Background")

    async def emit(self, event: Document) -> None:
        await self._transport.request("POST", self._events, {"fieldManager": MANAGER}, event)

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def _get(self, path: str) -> Document | None:
        return await self._transport.request("GET", path)

    async def _list(self, path: str, labels: str) -> list[Document]:
        items: list[Document] = []
        query = {"labelSelector": labels, "limit": str(_PAGE)}
        while True:
            page = await self._transport.request("GET", path, query)
            if page is None:
                raise ClusterUnavailableError(f"GET {path}: the API server does not know this kind of object")
            items += page.get("items") or []
            more = (page.get("metadata") or {}).get("continue")
            if not more:
                return items
            query = {**query, "continue": more}

    async def _apply(self, path: str, manifest: Document) -> Document:
        applied = await self._transport.request(
            "PATCH", path, {"fieldManager": MANAGER, "force": "true"}, manifest, _APPLY
        )
        if applied is None:
            raise ClusterUnavailableError(f"PATCH {path}: not found; is the CRD installed, and the namespace there?")
        return applied

    async def _delete(self, path: str, uid: str, propagation: str) -> None:
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation,
            "preconditions": {"uid": uid},
        }
        await self._transport.request("DELETE", path, None, options)


def _by_bot(items: list[Document], *, named: bool) -> dict[int, list[Document]]:
    """Objects by the bot that they are labelled with; where they are `named` by it, only those of that name."""
    found: dict[int, list[Document]] = {}
    for item in items:
        bot_id = labelled_bot_id(item["metadata"].get("labels") or {})
        if bot_id is not None and (not named or item["metadata"]["name"] == object_name(bot_id)):
            found.setdefault(bot_id, []).append(item)
    return found


def _first(items: list[Any]) -> Any:
    return items[0] if items else None
