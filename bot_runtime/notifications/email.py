"""E-mail through one SMTP server. One connection a message, so that a broken one is never met by the next.

Until the server has been given the text nothing can have arrived; afterwards only its answer tells.
"""

import asyncio
import re
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Literal

import aiosmtplib

from bot_core.logs import masked
from bot_core.models.errors import first_line
from bot_runtime.notifications.base import (
    ChannelDownError,
    Delivery,
    DeliveryError,
    Markup,
    NotSentError,
    Receipt,
    RejectedError,
    UnclearError,
)

Security = Literal["starttls", "tls", "none"]
_TIMEOUT = 10.0
_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@[A-Za-z0-9.\-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")
_LONGEST_SUBJECT = 200
_PERMANENT = 500
_CLOSING = 421
#: A server that does not know the sender yet refuses it for some minutes: its retries begin after 5, not after 5 s.
_PATIENCE = 60.0


class EmailNotifier:
    name = "email"
    markup = Markup.HTML

    def __init__(
        self,
        host: str,
        port: int,
        sender: str,
        *,
        user: str = "",
        password: str = "",
        security: Security = "starttls",
        tls: ssl.SSLContext | None = None,
        timeout: float = _TIMEOUT,
    ) -> None:
        self._host, self._port = host, port
        self._sender = sender
        self._user, self._password = user, password
        self._security = security
        self._tls = tls
        self._timeout = timeout

    async def send(self, delivery: Delivery) -> Receipt:
        try:
            content = build_mail(delivery, self._sender).as_bytes()
        except ValueError as error:  # such as half of a surrogate pair
            raise RejectedError(masked(f"it can't be written as a mail: {first_line(error)}")) from None
        client = await self._connected()
        try:
            await self._envelope(client, delivery.target)
            return await self._data(client, content)
        finally:
            client.close()

    async def probe(self, target: str) -> None:  # noqa: ARG002  # one server serves all
        client = await self._connected()
        client.close()

    async def aclose(self) -> None:
        """No connection is kept."""

    async def _connected(self) -> aiosmtplib.SMTP:
        client = aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            use_tls=self._security == "tls",
            start_tls=self._security == "starttls",
            tls_context=self._tls,
            timeout=self._timeout,
        )
        try:
            async with asyncio.timeout(2 * self._timeout):
                await client.connect()
                if self._user:
                    await client.login(self._user, self._password)
        except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as error:
            client.close()
            raise ChannelDownError(self._said(error)) from None
        return client

    async def _envelope(self, client: aiosmtplib.SMTP, receiver: str) -> None:
        try:
            await client.mail(self._sender)
            await client.rcpt(receiver)
        except aiosmtplib.SMTPRecipientRefused as error:
            raise _refused(error.code, self._said(error)) from None
        except (aiosmtplib.SMTPException, OSError) as error:
            raise ChannelDownError(self._said(error)) from None

    async def _data(self, client: aiosmtplib.SMTP, content: bytes) -> Receipt:
        try:
            answer = await client.data(content)
        except aiosmtplib.SMTPDataError as error:
            if error.code == _CLOSING:
                raise ChannelDownError(self._said(error)) from None
            raise _refused(error.code, self._said(error)) from None
        except (aiosmtplib.SMTPException, OSError) as error:
            raise UnclearError(self._said(error)) from None
        return Receipt(first_line(Exception(answer.message))[:200] or None)

    def _said(self, error: BaseException) -> str:
        return masked(f"the SMTP server {self._host}:{self._port}: {type(error).__name__}: {first_line(error)}")


def _refused(code: int, said: str) -> DeliveryError:
    return RejectedError(said) if code >= _PERMANENT else NotSentError(said, patience=_PATIENCE)


def build_mail(delivery: Delivery, sender: str) -> EmailMessage:
    """A message of two parts. Raises RejectedError for a receiver that is no single address."""
    if not _ADDRESS.fullmatch(delivery.target) or not delivery.target.isascii():
        raise RejectedError(f"{delivery.target[:100]!r} is no e-mail address; allowed: one, such as name@example.com")
    domain = sender.rpartition("@")[2].strip(">") or "localhost"
    mail = EmailMessage()
    mail["Message-ID"] = f"<{delivery.key}@{domain}>"
    mail["Date"] = format_datetime(delivery.created_at)
    mail["From"] = Address("Trading bots", addr_spec=sender)
    mail["To"] = Address(addr_spec=delivery.target)
    mail["Subject"] = _CONTROL.sub(" ", delivery.title).strip()[:_LONGEST_SUBJECT]
    mail["Auto-Submitted"] = "auto-generated"
    if delivery.repeated:
        mail["X-Tradingbot-Repeated"] = "true"
    mail.set_content(delivery.text)
    mail.add_alternative(delivery.body, subtype="html")
    return mail
