"""A real SMTP server (aiosmtpd) that keeps what it accepts, with outages on demand."""
# ruff: noqa: ARG002  # aiosmtpd passes its arguments by position

import asyncio
import email
import email.policy
import ssl
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from support.postgres import free_port
from support.stand_ins import Arrived, LoopThread, Mode

USER, PASSWORD = "bots", "smtp-password-of-tests"


class MailServer:
    def __init__(self, *, tls: ssl.SSLContext | None = None, login: bool = False) -> None:
        self.port = free_port()
        self.mode = Mode.FINE
        self.arrived: list[Arrived] = []
        self.attempts = 0
        self._tls = tls
        self._login = login
        self._thread = LoopThread()
        self._server: asyncio.Server | None = None
        self._sessions: list[SMTP] = []
        self.answer()

    def answer(self) -> None:
        self._thread.do(self._start())

    def refuse(self) -> None:
        self._thread.do(self._stop())

    def close(self) -> None:
        self.refuse()
        self._thread.close()

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._session, "127.0.0.1", self.port)

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for session in self._sessions:
            if session.transport is not None:
                session.transport.abort()
        self._sessions.clear()

    def _session(self) -> SMTP:
        options: dict[str, Any] = {}
        if self._login:
            options = {"authenticator": _authenticate, "auth_required": True, "auth_require_tls": self._tls is not None}
        session = SMTP(self, hostname="mail.test", tls_context=self._tls, **options)
        self._sessions.append(session)
        return session

    async def handle_RCPT(  # noqa: N802  # aiosmtpd finds it by this name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, rcpt_options: list[str]
    ) -> str:
        if address.startswith("nobody@"):
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.attempts += 1
        match self.mode:
            case Mode.HANG:
                await asyncio.sleep(3600)
            case Mode.BROKEN | Mode.BUSY:
                return "451 4.3.0 try again later"
            case Mode.REJECT:
                return "554 5.7.1 refused for policy"
        self._accept(envelope)
        if self.mode is Mode.ACCEPT_THEN_HANG:
            await asyncio.sleep(3600)
        if self.mode is Mode.ACCEPT_THEN_DROP:
            server.transport.abort()
        return "250 2.0.0 OK queued as 4711"

    def _accept(self, envelope: Envelope) -> None:
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        text = mail.get_body(("plain",)).get_content()
        headers = {name: str(value) for name, value in mail.items()}
        headers["html"] = mail.get_body(("html",)).get_content()
        for receiver in envelope.rcpt_tos:
            self.arrived.append(Arrived(receiver, text, str(mail["Subject"]), str(mail["Message-ID"]), headers))


def _authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=True)
