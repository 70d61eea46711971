"""One request to the Kubernetes API: a document, or an error whose type says what to do next. It knows no object.

Requests and answers are the API's own documents: the client's typed models would drop fields they don't know.
"""

# mypy: allow-untyped-calls
# (the client is generated, and typed only in part)
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.request import getproxies

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.client.rest import RESTResponse
from kubernetes.aio.config import load_incluster_config, load_kube_config
from kubernetes.aio.config.config_exception import ConfigException
from kubernetes.aio.config.incluster_config import SERVICE_TOKEN_FILENAME

from bot_core.models.errors import FatalError
from bot_operator.cluster import (
    ClusterUnavailableError,
    RefusedForNowError,
    RefusedObjectError,
    StaleLookError,
    ThrottledError,
)
from bot_operator.fence import Fence
from bot_operator.manifests import Document
from bot_operator.token import ServiceAccountToken

REQUEST_SECONDS = 10.0
#: Sent as text under a name that the client does not know: it would write JSON that no YAML is.
_YAML = "application/apply-patch+yaml"
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
#: The API server's answers to a document that will never do.
_REFUSED = frozenset({400, 422})
_UNAUTHORIZED = 401
_FORBIDDEN = 403
#: Why a namespace that is being deleted takes nothing: nobody has to be told that of each bot.
_TERMINATING = "NamespaceTerminating"
_NOT_FOUND = 404
_CONFLICT = 409
_BUSY = frozenset({429, 503})

#: Hears of each request once it is over: its verb, and the answer's code or why there was none.
Observer = Callable[[str, str], None]


def _nobody(_verb: str, _code: str) -> None:
    """Observe nothing."""


class Transport:
    """Whatever changes something passes the `fence`; a Lease's own transport has one that is always open."""

    def __init__(
        self,
        client: ApiClient,
        *,
        fence: Fence | None = None,
        observe: Observer = _nobody,
        token: ServiceAccountToken | None = None,
    ) -> None:
        self._client = client
        self._fence = fence or Fence.always_open()
        self._observe = observe
        self._token = token

    @classmethod
    async def connect(cls, *, fence: Fence | None = None, observe: Observer = _nobody) -> "Transport":
        """Configure a client by the pod's service account, else by the kubeconfig; nothing is sent yet."""
        configuration = Configuration()
        token: ServiceAccountToken | None = None
        try:
            load_incluster_config(client_configuration=configuration, try_refresh_token=False)
            token = ServiceAccountToken(Path(SERVICE_TOKEN_FILENAME))
            configuration.refresh_api_key_hook = token.refresh  # type: ignore[assignment]  # the client's is untyped
        except ConfigException:
            try:
                await load_kube_config(client_configuration=configuration)
            except ConfigException as error:
                raise FatalError(f"neither a service account nor a kubeconfig leads to a cluster: {error}") from error
        # Else a thread looks into ~/.netrc before each request, where no credentials of a cluster ever are.
        configuration.client_session_kwargs = {"trust_env": bool(getproxies())}
        return cls(ApiClient(configuration), fence=fence, observe=observe, token=token)

    async def aclose(self) -> None:
        await self._client.close()

    async def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Document | list[Document] | None = None,
        content_type: str = "application/json",
    ) -> Document | None:
        """One request; None where nothing is found. Raises what the port `Cluster` says, and NotLeaderError."""
        sent = as_yaml(body) if content_type == _YAML else body
        kind = f"{_YAML}; charset=utf-8" if content_type == _YAML else content_type
        headers = {"Accept": "application/json", "Content-Type": kind}
        response, data = await self._send(method, path, query, headers, sent)
        if response.status == _UNAUTHORIZED and self._token is not None and self._token.renewed():
            response, data = await self._send(method, path, query, headers, sent)
        return _answer(method, path, response, data)

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        headers: dict[str, str],
        body: Document | list[Document] | str | None,
    ) -> tuple[RESTResponse, bytes]:
        code = "none"
        try:
            parameters = await self._client.param_serialize(
                method, path, query_params=list((query or {}).items()), header_params=dict(headers), body=body,
                auth_settings=["BearerToken"],
            )  # fmt: skip
            timeout = aiohttp.ClientTimeout(total=self._seconds_for(method, path))
            response = await self._client.call_api(*parameters, _request_timeout=timeout)
            data: bytes = await response.read()
            code = str(response.status)
        except (ApiException, aiohttp.ClientError, OSError, TimeoutError) as error:
            code = "timeout" if isinstance(error, TimeoutError) else "connection"
            what = str(error) or type(error).__name__
            raise ClusterUnavailableError(f"{method} {path}: the API server did not answer: {what}") from error
        finally:
            if code != "none":
                self._observe(method, code)
        return response, data

    def _seconds_for(self, method: str, path: str) -> float:
        """How long to wait for the answer; the last thing before a write is sent, which may not outlive the fence."""
        if method == "GET":
            return REQUEST_SECONDS
        self._fence.check(f"{method} {path}")
        return min(REQUEST_SECONDS, self._fence.seconds_left)


def as_yaml(body: Any) -> str:
    """JSON that is YAML as well, where a character beyond the sixteenth bit can't be written as two escapes."""
    text = json.dumps(body, ensure_ascii=False)
    return _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _answer(method: str, path: str, response: RESTResponse, data: bytes) -> Document | None:
    status = response.status
    if status == _NOT_FOUND:
        return None
    text = data.decode(errors="replace")
    if 200 <= status < 300:  # noqa: PLR2004
        return _document(method, path, text)
    message = f"{method} {path}: {status}: {_reason(text)}"
    if status in _REFUSED:
        raise RefusedObjectError(message)
    if status == _FORBIDDEN and method != "GET" and _TERMINATING not in text:
        raise RefusedForNowError(message)
    if status == _CONFLICT:
        raise StaleLookError(message)
    if status in _BUSY:
        raise ThrottledError(message, _retry_after(response.headers.get("Retry-After", "")))
    raise ClusterUnavailableError(message)


def _document(method: str, path: str, text: str) -> Document:
    try:
        document: Document = json.loads(text)
    except ValueError as error:
        raise ClusterUnavailableError(f"{method} {path}: the answer is no JSON: {text[:200]}") from error
    return document


def _retry_after(text: str) -> float:
    """Seconds, as the API server writes them; a date, which it does not, counts as nothing."""
    return min(float(text), 60.0) if text.isdecimal() else 0.0


def _reason(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:200]
