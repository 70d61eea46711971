"""Slack by its Web API, with a bot's token. One message a delivery."""

import asyncio

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from bot_core.logs import masked
from bot_core.models.errors import first_line
from bot_runtime.notifications.base import (
    ChannelDownError,
    Delivery,
    DeliveryError,
    Markup,
    Receipt,
    RejectedError,
    UnclearError,
)

API = "https://slack.com/api/"
_TIMEOUT = 10
_OUR_FAULT = {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "missing_scope"}
_TOO_MANY = 429
_SERVER = 500
_GATEWAYS = {502, 504}
#: Slack's own words for "some of it may have happened".
_UNSURE = {"fatal_error", "internal_error", "request_timeout"}


class SlackNotifier:
    name = "slack"
    markup = Markup.SLACK

    def __init__(self, token: str, *, api_url: str = API, timeout: int = _TIMEOUT) -> None:
        # Its default retries a broken connection by itself, which sends twice what nobody would mark.
        self._client = AsyncWebClient(
            token=token, base_url=f"{api_url.rstrip('/')}/", timeout=timeout, retry_handlers=[]
        )

    async def send(self, delivery: Delivery) -> Receipt:
        try:
            answer = await self._client.chat_postMessage(
                channel=delivery.target, text=delivery.body, unfurl_links=False, unfurl_media=False
            )
        except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _translated(error) from None
        return Receipt(f"{answer.get('channel')}/{answer.get('ts')}")

    async def probe(self, target: str) -> None:  # noqa: ARG002  # one server serves all
        try:
            await self._client.auth_test()
        except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ChannelDownError(str(_translated(error))) from None

    async def aclose(self) -> None:
        """The client makes one session a call."""
        await asyncio.sleep(0)


def _translated(error: Exception) -> DeliveryError:
    said = masked(f"Slack: {type(error).__name__}: {first_line(error)}")
    if isinstance(error, SlackApiError):
        return _of_answer(error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return ChannelDownError(said)
    return UnclearError(said)


def _of_answer(error: SlackApiError) -> DeliveryError:
    response = error.response
    status = getattr(response, "status_code", 200)
    word = str(response.get("error") or status) if hasattr(response, "get") else str(status)
    said = f"Slack answers {word}"
    if status == _TOO_MANY or word == "ratelimited":
        return ChannelDownError(said, retry_after=_seconds(getattr(response, "headers", {})))
    if word in _OUR_FAULT:
        return ChannelDownError(f"{said}: SLACK_BOT_TOKEN must be the token of an app with the scope chat:write")
    if word in _UNSURE or status in _GATEWAYS:
        return UnclearError(said)
    return ChannelDownError(said) if status >= _SERVER else RejectedError(said)


def _seconds(headers: object) -> float | None:
    text = headers.get("Retry-After") if hasattr(headers, "get") else None
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None
