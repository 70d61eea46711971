"""Rows for the notification queue `msg_messages`, one a channel, written in the transaction of what they tell of.

It words envelopes: what is told is a letter, to whom is said by `models.recipients`. A queue that can't be written to
never loses the fact itself, and no row holds a secret.
"""

import hashlib
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.correlation import bound_correlation
from bot_core.logs import masked
from bot_core.models.errors import first_line
from bot_core.models.recipients import Address, Purpose, Subject, Targets, addresses
from bot_core.schema import auth_identities, messages, users

_log = structlog.get_logger(__name__)
_LONGEST_TEXT = 2000
_LONGEST_TITLE = 200
Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Letter:
    """What is told: `text` without the bot's name, `data` beside what is known of the bot.

    `again` names what may be told again and again, such as an error: whoever delivers may leave out its repetitions.
    """

    purpose: Purpose
    kind: str
    title: str
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)
    priority: str = "HIGH"
    source: str = "trading_bot"
    again: str = ""


@dataclass(frozen=True, slots=True)
class Admin:
    """A user of the role `admin` with a Telegram identity; only those are told of errors."""

    telegram: str
    email: str | None


def error_letter(error: str, *, name: str, priority: str = "HIGH", **facts: Any) -> Letter:
    facts = {"error_type": "trading_bot_error", "error_message": masked(error)[:_LONGEST_TEXT]} | facts
    return Letter(Purpose.ERROR, "error", f"Bot Error: {name}", error, facts, priority, again=error)


def build_messages(subject: Subject, letter: Letter, targets: Targets, *, at: datetime) -> list[Message]:
    """The rows for the owner of a bot: none where he did not ask for it."""
    return [_message(subject, letter, to, at=at) for to in addresses(subject, letter.purpose, targets)]


def build_copies(subject: Subject, letter: Letter, admins: Sequence[Admin], *, at: datetime) -> list[Message]:
    """The rows for admins, who are told of errors whatever the document says, but not of those of a simulation."""
    if subject.simulated or letter.purpose is not Purpose.ERROR:
        return []
    copies = []
    for admin in admins:
        known = {"admin_notification": True, "telegram_chat_id": admin.telegram}
        to = [Address("telegram", admin.telegram, known)]
        if admin.email:
            to.append(Address("email", admin.telegram, known | {"email_receiver": admin.email}))
        copies += [_message(subject, letter, address, at=at, title=f"{letter.title} (admin)") for address in to]
    return copies


async def queue(
    connection: AsyncConnection, subject: Subject, write: Callable[[], Letter], *, correlation_id: str | None = None
) -> None:
    """Queue a letter for the owner, and an error for admins as well; without an id, it is the one that is bound.

    Whatever goes wrong in it is logged and undone alone, the owner's apart from the admins'; only a connection that is
    gone is the caller's matter.
    """
    at, targets = datetime.now(UTC), Targets.of(os.environ)
    letter: Letter | None = None
    async with _apart(connection, subject) as begin:
        letter = _correlated(write(), correlation_id or bound_correlation())
        told = build_messages(subject, letter, targets, at=at)
        if told:
            await begin()
            await connection.execute(insert(messages), told)
    if letter is None or letter.purpose is not Purpose.ERROR or subject.simulated:
        return
    async with _apart(connection, subject) as begin:
        await begin()
        copies = build_copies(subject, letter, await admins_of(connection), at=at)
        if copies:
            await connection.execute(insert(messages), copies)


def _correlated(letter: Letter, correlation: str | None) -> Letter:
    return letter if correlation is None else replace(letter, data={"correlation_id": correlation} | dict(letter.data))


async def post(connection: AsyncConnection, subject: Subject, letter: Letter) -> int:
    """Queue a letter for the owner, for its own sake: what goes wrong is the caller's. Returns the number of rows."""
    told = build_messages(subject, letter, Targets.of(os.environ), at=datetime.now(UTC))
    if told:
        await connection.execute(insert(messages), told)
    return len(told)


async def admins_of(connection: AsyncConnection) -> list[Admin]:
    """Every admin who can be reached by Telegram, once an identity."""
    query = (
        select(auth_identities.c.external_id, users.c.email)
        .join(users, users.c.id == auth_identities.c.user_id)
        .where(users.c.role == "admin", auth_identities.c.provider == "telegram", auth_identities.c.external_id != "")
        .order_by(users.c.id, auth_identities.c.id)
    )
    found: dict[str, Admin] = {}
    for telegram, email in (await connection.execute(query)).all():
        found.setdefault(telegram, Admin(telegram, email or None))
    return [*found.values()]


@asynccontextmanager
async def _apart(connection: AsyncConnection, subject: Subject) -> AsyncIterator[Callable[[], Any]]:
    """Keep what goes wrong inside from the transaction around it: a savepoint, made when the first statement comes."""
    savepoint = None

    async def begin() -> None:
        nonlocal savepoint
        if savepoint is None:
            savepoint = await connection.begin_nested()

    try:
        yield begin
        if savepoint is not None:
            await savepoint.commit()
    except Exception as error:
        if connection.invalidated or getattr(error, "connection_invalidated", False):
            raise
        if savepoint is not None:
            await savepoint.rollback()
        _log.error("message_not_queued", bot_id=subject.bot_id, error=first_line(error), exc_info=error)


def _message(subject: Subject, letter: Letter, to: Address, *, at: datetime, title: str = "") -> Message:
    apart = "\n" if "\n" in letter.text else " "
    paper = f"{apart}(Paper Trading)" if subject.mode == "paper" else ""
    return {
        "message_type": letter.kind,
        "priority": letter.priority,
        "channels": [to.channel],
        "recipient_id": to.recipient_id[:100],
        "content": {
            "title": masked(title or letter.title)[:_LONGEST_TITLE],
            "message": f"{masked(f'[{subject.name}] {letter.text}')[: _LONGEST_TEXT - len(paper)]}{paper}",
            "source": letter.source,
        },
        "metadata": _metadata(subject, letter, to, at),
        "created_at": at,
        "scheduled_for": at,
        "status": "PENDING",
        "retry_count": 0,
        "max_retries": 3,
    }


def _metadata(subject: Subject, letter: Letter, to: Address, at: datetime) -> dict[str, Any]:
    about = {"bot_id": subject.bot_id, "bot_name": subject.name, "symbol": subject.symbol}
    about |= {"trading_mode": subject.mode, "timestamp": at.isoformat()} | dict(letter.data)
    told = {key: masked(value) if isinstance(value, str) else value for key, value in about.items()}
    if letter.again:
        place = f"{letter.kind}:{subject.bot_id}:{letter.again}"
        told["dedup_key"] = f"{hashlib.sha256(place.encode()).hexdigest()[:32]}:{to.channel}:{to.recipient_id}"
    return told | dict(to.data)
