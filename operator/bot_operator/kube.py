"""The Kubernetes API as the operator's `Cluster`. It decides nothing."""

from collections.abc import Callable
from typing import Any

from bot_operator.cluster import ClusterUnavailableError, Held, StaleLookError
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
from bot_operator.ownership import disowning_patch, restoring_patch
from bot_operator.transport import Transport
from bot_operator.turns import in_turns

_APPLY = "application/apply-patch+yaml"
_JSON_PATCH = "application/json-patch+json"
_PAGE = 500
#: Tries at a patch that the Deployment controller, which counts its pods just then, may make stale.
_DISOWNINGS = 5


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

    async def observe(self, bot_id: int, *, is_new: bool = False) -> Observed:
        name = object_name(bot_id)
        bot = await self._get(f"{self._bots}/{name}")
        if is_new and bot is None:
            return Observed()
        deployment = await self._get(f"{self._deployments}/{name}")
        pods = await self._list(self._pods, selector(bot_labels(self._release, bot_id)))
        return Observed(
            bot=None if bot is None else parse_tradingbot(bot, self._release),
            deployment=None if deployment is None else parse_deployment(deployment, self._release),
            pods=tuple(parse_pod(pod) for pod in pods),
        )

    async def observe_all(self, on_page: Callable[[], None] = lambda: None) -> dict[int, Observed]:
        ours = selector(owner_labels(self._release))
        bots = _by_bot(await self._list(self._bots, ours, on_page), named=True)
        deployments = _by_bot(await self._list(self._deployments, ours, on_page), named=True)
        pods = _by_bot(await self._list(self._pods, ours, on_page), named=False)
        return {
            bot_id: Observed(
                bot=_first([parse_tradingbot(item, self._release) for item in bots.get(bot_id, [])]),
                deployment=_first([parse_deployment(item, self._release) for item in deployments.get(bot_id, [])]),
                pods=tuple(parse_pod(item) for item in pods.get(bot_id, [])),
            )
            async for bot_id in in_turns(bots.keys() | deployments.keys() | pods.keys())
        }

    async def tradingbots(self) -> dict[int, ObservedTradingBot]:
        bots = _by_bot(await self._list(self._bots, selector(owner_labels(self._release))), named=True)
        return {bot_id: parse_tradingbot(found[0], self._release) async for bot_id, found in in_turns(bots.items())}

    async def apply_tradingbot(self, manifest: Document, held: Held) -> ObservedTradingBot:
        return parse_tradingbot(await self._apply(self._bots, manifest, held), self._release)

    async def apply_status(self, manifest: Document, held: Held) -> ObservedTradingBot:
        return parse_tradingbot(await self._apply(self._bots, manifest, held, "/status"), self._release)

    async def apply_deployment(self, manifest: Document, held: Held) -> ObservedDeployment:
        return parse_deployment(await self._apply(self._deployments, manifest, held), self._release)

    async def restore_tradingbot(self, manifest: Document, held: Held) -> ObservedTradingBot:
        return parse_tradingbot(await self._restore(self._bots, manifest, held), self._release)

    async def restore_status(self, manifest: Document, held: Held) -> ObservedTradingBot:
        return parse_tradingbot(await self._restore(self._bots, manifest, held, "/status"), self._release)

    async def restore_deployment(self, manifest: Document, held: Held) -> ObservedDeployment:
        return parse_deployment(await self._restore(self._deployments, manifest, held), self._release)

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

    async def _list(self, path: str, labels: str, on_page: Callable[[], None] = lambda: None) -> list[Document]:
        items: list[Document] = []
        query = {"labelSelector": labels, "limit": str(_PAGE)}
        while True:
            page = await self._transport.request("GET", path, query)
            if page is None:
                raise ClusterUnavailableError(f"GET {path}: the API server does not know this kind of object")
            on_page()
            items += page.get("items") or []
            more = (page.get("metadata") or {}).get("continue")
            if not more:
                return items
            query = {**query, "continue": more}

    async def _apply(self, kind: str, manifest: Document, held: Held, part: str = "") -> Document:
        """Server-side apply onto what was seen. What was not there is not forced: it may be there by now, another's."""
        query = {"fieldManager": MANAGER, "force": "false" if held is None else "true"}
        path = _path(kind, manifest, part)
        return await self._patch(path, query, _onto(manifest, held, "resourceVersion"), _APPLY, seen=held is not None)

    async def _restore(self, kind: str, manifest: Document, held: Held, part: str = "") -> Document:
        """One patch puts all of it back; apply makes every field ours; a last patch forgets that the first was a write.

        Only the first has to be of what was seen: the other two change no field, whoever writes the status meanwhile.
        """
        path, query = _path(kind, manifest, part), {"fieldManager": MANAGER}
        patched = await self._patch(path, query, restoring_patch(held or {}, manifest), _JSON_PATCH)
        latest = await self._patch(path, {**query, "force": "true"}, _onto(manifest, patched, "uid"), _APPLY)
        for _ in range(_DISOWNINGS):
            disowning = disowning_patch(latest, of_status=bool(part))
            if disowning is None:
                break
            try:
                return await self._patch(path, query, disowning, _JSON_PATCH)
            except StaleLookError:
                latest = await self._get(path) or latest
        return latest

    async def _patch(
        self,
        path: str,
        query: dict[str, str],
        body: Document | list[Document],
        content_type: str,
        *,
        seen: bool = False,
    ) -> Document:
        answer = await self._transport.request("PATCH", path, query, body, content_type)
        if answer is None and seen:
            raise StaleLookError(f"PATCH {path}: it is gone")
        if answer is None:
            raise ClusterUnavailableError(f"PATCH {path}: not found; is the CRD installed, and the namespace there?")
        return answer

    async def _delete(self, path: str, uid: str, propagation: str) -> None:
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation,
            "preconditions": {"uid": uid},
        }
        await self._transport.request("DELETE", path, None, options)


def _path(kind: str, manifest: Document, part: str) -> str:
    return f"{kind}/{manifest['metadata']['name']}{part}"


def _onto(manifest: Document, held: Held, mark: str) -> Document:
    """With the version or uid that was seen: should the object be another by now, the API server refuses."""
    value = ((held or {}).get("metadata") or {}).get(mark)
    return {**manifest, "metadata": {**manifest["metadata"], mark: value}} if value else manifest


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
