"""The Kubernetes API as the operator's `Cluster`. The only importer of the client; it decides nothing.

Requests and answers are the API's own documents: the client's typed models would drop fields they don't know.
"""

# mypy: allow-untyped-calls
# (the client is generated, and typed only in part)
import json
from collections.abc import Mapping
from typing import Any

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.config import load_incluster_config, load_kube_config
from kubernetes.aio.config.config_exception import ConfigException

from bot_core.models.errors import FatalError
from bot_operator.cluster import ClusterUnavailableError, RefusedObjectError
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

REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=10.0)
#: The API server's answers to a document that will never do.
_REFUSED = frozenset({400, 422})
_APPLY = "application/apply-patch+yaml"
_PAGE = 500


class Kube:
    def __init__(self, client: ApiClient, namespace: str, release: str) -> None:
        self._client = client
        self._release = release
        self._bots = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/tradingbots"
        self._deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._events = f"/api/v1/namespaces/{namespace}/events"

    @classmethod
    async def connect(cls, namespace: str, release: str) -> "Kube":
        """Configure a client by the pod's service account, else by the kubeconfig; nothing is sent yet."""
        configuration = Configuration()
        try:
            load_incluster_config(client_configuration=configuration)
        except ConfigException:
            try:
                await load_kube_config(client_configuration=configuration)
            except ConfigException as error:
                raise FatalError(f"neither a service account nor a kubeconfig leads to a cluster: {error}") from error
        return cls(ApiClient(configuration), namespace, release)

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

    async def emit(self, event: Document) -> None:
        await self._request("POST", self._events, {"fieldManager": MANAGER}, event)

    async def aclose(self) -> None:
        await self._client.close()

    async def _get(self, path: str) -> Document | None:
        return await self._request("GET", path)

    async def _list(self, path: str, labels: str) -> list[Document]:
        items: list[Document] = []
        query = {"labelSelector": labels, "limit": str(_PAGE)}
        while True:
            page = await self._request("GET", path, query)
            if page is None:
                raise ClusterUnavailableError(f"GET {path}: the API server does not know this kind of object")
            items += page.get("items") or []
            more = (page.get("metadata") or {}).get("continue")
            if not more:
                return items
            query = {**query, "continue": more}

    async def _apply(self, path: str, manifest: Document) -> Document:
        applied = await self._request("PATCH", path, {"fieldManager": MANAGER, "force": "true"}, manifest, _APPLY)
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
        await self._request("DELETE", path, None, options)

    async def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Document | None = None,
        content_type: str = "application/json",
    ) -> Document | None:
        """One request; None where nothing is found."""
        try:
            parameters = await self._client.param_serialize(
                method,
                path,
                query_params=list((query or {}).items()),
                header_params={"Accept": "application/json", "Content-Type": content_type},
                body=body,
                auth_settings=["BearerToken"],
            )
            response = await self._client.call_api(*parameters, _request_timeout=REQUEST_TIMEOUT)
            data = await response.read()
        except (ApiException, aiohttp.ClientError, OSError, TimeoutError) as error:
            what = str(error) or type(error).__name__
            raise ClusterUnavailableError(f"{method} {path}: the API server did not answer: {what}") from error
        return _answer(method, path, response.status, data)


def _answer(method: str, path: str, status: int, data: bytes) -> Document | None:
    if status == 404:  # noqa: PLR2004
        return None
    text = data.decode(errors="replace")
    if 200 <= status < 300:  # noqa: PLR2004
        document: Document = json.loads(text)
        return document
    message = f"{method} {path}: {status}: {_reason(text)}"
    if status in _REFUSED:
        raise RefusedObjectError(message)
    raise ClusterUnavailableError(message)


def _reason(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:200]


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
