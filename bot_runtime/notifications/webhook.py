"""A signed HTTP POST to addresses that only the environment knows, since an address may be a secret itself.

The receiver checks the signature over time and body (docs/notifications.md has the snippet) and drops what it has under
the same `Idempotency-Key` already. Redirects are not followed: they would carry the text to an address nobody chose.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp

from bot_runtime.notifications.base import (
    ChannelDownError,
    Delivery,
    NotSentError,
    Receipt,
    RejectedError,
    UnclearError,
)

_TIMEOUT = 10.0
_GATEWAYS = {502, 504}
_PASSING = {408, 425}
_TOO_MANY, _SERVER, _REFUSED, _REDIRECTS = 429, 500, 400, 300
_UNAVAILABLE, _NO_HEAD = 503, 501


@dataclass(frozen=True)
class Endpoint:
    url: str = field(repr=False)
    secret: str = field(default="", repr=False)


class WebhookNotifier:
    """`endpoints` by name; the one without a name is for documents that name none."""

    name = "webhook"
    separate_targets = True

    def __init__(self, endpoints: Mapping[str, Endpoint], *, timeout: float = _TIMEOUT) -> None:
        self._endpoints = endpoints
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, delivery: Delivery) -> Receipt:
        endpoint = self._endpoint(delivery.target)
        body = build_body(delivery)
        headers = {"Content-Type": "application/json", "Idempotency-Key": delivery.key}
        headers |= signature(endpoint.secret, body, int(time.time()))
        where = _name(delivery.target)
        try:
            async with self._open().post(
                endpoint.url, data=body, headers=headers, allow_redirects=False, timeout=self._timeout
            ) as answer:
                await self._judge(answer, where)
                return Receipt(answer.headers.get("X-Request-Id"))
        except aiohttp.ClientConnectorError as error:
            raise ChannelDownError(f"{where} can't be reached: {type(error).__name__}") from None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise UnclearError(f"{where} did not answer: {type(error).__name__}") from None

    async def probe(self, target: str) -> None:
        """Ask for the head: whatever is answered, but for an error of the server's own, somebody is there."""
        endpoint = self._endpoints.get(target.lower())
        if endpoint is None:
            return  # `send` says so
        try:
            async with self._open().head(endpoint.url, allow_redirects=False, timeout=self._timeout) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ChannelDownError(f"{_name(target)} does not answer: {type(error).__name__}") from None
        if status >= _SERVER and status != _NO_HEAD:
            raise ChannelDownError(f"{_name(target)} answers {status}")

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            # A kept connection may be closed by the other side while we send, which would look like a lost answer.
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))
        return self._session

    def _endpoint(self, name: str) -> Endpoint:
        found = self._endpoints.get(name.lower())
        if found is None:
            variable = f"WEBHOOK_{name.upper()}_URL" if name else "WEBHOOK_URL"
            raise RejectedError(f"{_name(name)} has no address here: set {variable[:60]} where messages are delivered")
        return found

    @staticmethod
    async def _judge(answer: aiohttp.ClientResponse, where: str) -> None:
        status = answer.status
        said = f"{where} answers {status}"
        if status in {_TOO_MANY, _UNAVAILABLE}:
            after = answer.headers.get("Retry-After", "")
            raise ChannelDownError(said, retry_after=float(after) if after.isdecimal() else None)
        if status in _GATEWAYS:
            raise UnclearError(said)
        if status >= _SERVER:
            raise ChannelDownError(said)
        if status in _PASSING:
            raise NotSentError(said)
        if status >= _REFUSED:
            raise RejectedError(said)
        if status >= _REDIRECTS:
            raise RejectedError(f"{said}: redirects are not followed; put the final address into the variable")


def build_body(delivery: Delivery) -> bytes:
    document = {
        "id": delivery.key,
        "title": delivery.title,
        "text": delivery.text,
        "created_at": delivery.created_at.isoformat(),
        "repeated": delivery.repeated,
    }
    return json.dumps(document | dict(delivery.facts), sort_keys=True, default=str).encode()


def signature(secret: str, body: bytes, timestamp: int) -> dict[str, str]:
    """HMAC-SHA256 over `timestamp.body`, as headers; none without a secret."""
    if not secret:
        return {}
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Tradingbot-Timestamp": str(timestamp), "X-Tradingbot-Signature": f"v1={digest}"}


def _name(target: str) -> str:
    return f"the webhook {target[:60]!r}" if target else "the webhook"
