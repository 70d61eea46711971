"""To whom a row goes on a channel, by the rules of the older platform. It reads profiles and writes nothing."""

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_core.models.queued_message import QueuedMessage
from bot_core.schema import auth_identities, users
from bot_core.store.database import Database
from bot_runtime.notifications.base import RejectedError

_LARGEST_ID = 2**31 - 1  # of a user; ids of Telegram are larger


class Recipients:
    """`defaults`: the target of a channel where the row names none, such as SLACK_CHANNEL."""

    def __init__(self, database: Database, defaults: Mapping[str, str]) -> None:
        self._database = database
        self._defaults = defaults

    async def target(self, row: QueuedMessage, channel: str) -> str:
        """Raise RejectedError where there is none: then there never will be for this row."""
        match channel:
            case "email":
                return await self._email(row)
            case "telegram":
                return await self._chat(row)
            case "slack":
                return self._named(row, "slack_channel", channel, "set SLACK_CHANNEL, or slack_channel in the document")
            case "webhook":
                return _text(row, "webhook")
            case "apprise":
                return ""
            case _:
                return _text(row, f"{channel}_target") or self._defaults.get(channel) or row.recipient_id

    def _named(self, row: QueuedMessage, key: str, channel: str, remedy: str) -> str:
        found = _text(row, key) or self._defaults.get(channel, "")
        if not found:
            raise RejectedError(f"no {channel} target: {remedy}")
        return found

    async def _email(self, row: QueuedMessage) -> str:
        direct = _text(row, "email_receiver") or (row.recipient_id if "@" in row.recipient_id else "")
        if direct:
            return direct
        async with self._database.read() as connection:
            by_chat = row.metadata.get("admin_notification") is True
            user = await _user_of_chat(connection, row.recipient_id) if by_chat else _user_id(row)
            found = await _address(connection, user)
            if not found and not by_chat:
                found = await _address(connection, await _user_of_chat(connection, row.recipient_id))
        if not found:
            raise RejectedError(f"recipient {row.recipient_id!r} has no e-mail address in usr_users")
        return found

    async def _chat(self, row: QueuedMessage) -> str:
        direct = _text(row, "telegram_chat_id")
        if direct:
            return direct
        if row.metadata.get("admin_notification") is True:
            return _chat_id(row.recipient_id)
        user = _user_id(row)
        async with self._database.read() as connection:
            known = (
                user is not None and await connection.scalar(select(users.c.id).where(users.c.id == user)) is not None
            )
            chats = await _chats(connection, user) if known and user is not None else []
        if not known:
            return _chat_id(row.recipient_id)  # another program may have put the chat's id there
        if len(chats) != 1:
            raise RejectedError(f"user {user} has {len(chats) or 'no'} Telegram identities; allowed: exactly one")
        return chats[0]


def _text(row: QueuedMessage, key: str) -> str:
    value = row.metadata.get(key)
    return str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""


def _user_id(row: QueuedMessage) -> int | None:
    text = row.recipient_id
    return int(text) if text.isascii() and text.isdecimal() and int(text) <= _LARGEST_ID else None


def _chat_id(text: str) -> str:
    if not text.removeprefix("-").isdecimal():
        raise RejectedError(f"recipient {text!r} is neither a user nor a Telegram chat")
    return text


async def _address(connection: AsyncConnection, user: int | None) -> str:
    if user is None:
        return ""
    return str(await connection.scalar(select(users.c.email).where(users.c.id == user)) or "").strip()


async def _chats(connection: AsyncConnection, user: int) -> list[str]:
    identity = (auth_identities.c.user_id == user) & (auth_identities.c.provider == "telegram")
    return [*await connection.scalars(select(auth_identities.c.external_id).where(identity))]


async def _user_of_chat(connection: AsyncConnection, chat: str) -> int | None:
    """The one user with this Telegram id; None where there is none, or more than one."""
    identity = (auth_identities.c.external_id == chat) & (auth_identities.c.provider == "telegram")
    found = {*await connection.scalars(select(auth_identities.c.user_id).where(identity))}
    return int(found.pop()) if len(found) == 1 else None
