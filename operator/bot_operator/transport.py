"""One request to the Kubernetes API: a document, or an error whose type says what to do next. It knows no object.

Requests and answers are the API's own documents: the client's typed models would drop fields they don't know.
"""

# mypy: allow-untyped-calls
# (the client is generated, and typed only in part)
import json
from collections.abc import Mapping

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.config import load_incluster_config, load_kube_config
from kubernetes.aio.config.config_exception import ConfigException

from bot_core.models.errors import FatalError
from bot_operator.cluster import ClusterUnavailableError, ConflictError, RefusedObjectError
from bot_operator.manifests import Document

REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=10.0)
#: The API server's answers to a document that will never do.
_REFUSED = frozenset({400, 422})


class Transport:
    def __init__(self, client: ApiClient) -> None:
        self._client = client

    @classmethod
    async def connect(cls) -> "Transport":
        """Configure a client by the pod's service account, else by the kubeconfig; nothing is sent yet."""
        configuration = Configuration()
        try:
            load_incluster_config(client_configuration=configuration)
        except ConfigException:
            try:
                await load_kube_config(client_configuration=configuration)
            except ConfigException as error:
                raise FatalError(f"neither a service account nor a kubeconfig leads to a cluster: {error}") from error
        return cls(ApiClient(configuration))

    async def aclose(self) -> None:
        await self._client.close()

    async def request(
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
    if status == 409:  # noqa: PLR2004
        raise ConflictError(message)
    raise ClusterUnavailableError(message)


def _reason(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:200]
