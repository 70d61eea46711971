"""Telegram by its Bot API. One message a delivery; reading commands is `telegram_commands`."""

import logging
import os

import httpx
import telegram
from telegram.error import BadRequest, Conflict, Forbidden, InvalidToken, NetworkError, RetryAfter, TelegramError
from telegram.request import HTTPXRequest

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

API = "https://api.telegram.org"
_TIMEOUT = 10.0
#: Where the request can't have left: nothing of it may have arrived.
_NOT_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
# Times as time spans, without a warning at each that they will be so one day.
os.environ.setdefault("PTB_TIMEDELTA", "true")
_CALM = (logging.getLogger("httpx"), logging.getLogger("httpcore"))


class TelegramNotifier:
    name = "telegram"
    markup = Markup.TELEGRAM

    def __init__(self, token: str, *, api_url: str = API, timeout: float = _TIMEOUT) -> None:
        self.bot = build_bot(token, api_url, timeout)

    async def send(self, delivery: Delivery) -> Receipt:
        try:
            sent = await self.bot.send_message(
                chat_id=delivery.target,
                text=delivery.body,
                parse_mode="HTML",
                link_preview_options=telegram.LinkPreviewOptions(is_disabled=True),
            )
        except TelegramError as error:
            raise translated(error) from None
        return Receipt(str(sent.message_id))

    async def probe(self, target: str) -> None:  # noqa: ARG002  # one server serves all
        try:
            await self.bot.get_me()
        except TelegramError as error:
            raise ChannelDownError(str(translated(error))) from None

    async def aclose(self) -> None:
        await close_bot(self.bot)


def build_bot(token: str, api_url: str, timeout: float = _TIMEOUT) -> telegram.Bot:
    """A client that tries nothing twice."""
    for log in _CALM:  # they write every address, and the token is in it
        log.setLevel(logging.WARNING)
    options = {"read_timeout": timeout, "write_timeout": timeout, "connect_timeout": timeout, "pool_timeout": timeout}
    root = api_url.rstrip("/")
    return telegram.Bot(
        token,
        base_url=f"{root}/bot",
        base_file_url=f"{root}/file/bot",
        request=HTTPXRequest(connection_pool_size=8, **options),  # type: ignore[arg-type]
        get_updates_request=HTTPXRequest(connection_pool_size=1, **options),  # type: ignore[arg-type]
    )


async def close_bot(bot: telegram.Bot) -> None:
    # `Bot.shutdown` does nothing for a bot whose `initialize` (a call over the network) was not needed.
    for request in bot._request:  # noqa: SLF001
        await request.shutdown()


def translated(error: TelegramError) -> DeliveryError:
    """What the library raised, by what is known of the delivery."""
    said = masked(f"Telegram: {type(error).__name__}: {first_line(error)}")
    if isinstance(error, RetryAfter):
        return ChannelDownError(said, retry_after=seconds_of(error))
    if isinstance(error, InvalidToken):
        return ChannelDownError("Telegram refuses the token; put the one that BotFather gives into TELEGRAM_BOT_TOKEN")
    if isinstance(error, (BadRequest, Forbidden)):
        return RejectedError(said)
    if isinstance(error, Conflict):
        return ChannelDownError(said)
    if isinstance(error, NetworkError):
        return _of_network(error, said)
    return RejectedError(said) if type(error) is not TelegramError else UnclearError(said)


def seconds_of(error: RetryAfter) -> float:
    wait = error.retry_after
    return float(wait if isinstance(wait, int) else wait.total_seconds())


def _of_network(error: NetworkError, said: str) -> DeliveryError:
    if isinstance(error.__cause__, _NOT_LEFT):
        return ChannelDownError(said)
    if isinstance(error.__cause__, httpx.HTTPError) or "bad gateway" in said.lower() or "timeout" in said.lower():
        return UnclearError(said)
    return ChannelDownError(said)  # an answer of the server: it says itself that it did nothing
