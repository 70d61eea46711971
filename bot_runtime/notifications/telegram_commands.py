"""Commands from Telegram: `/status`, `/halt`, `/resume`, `/help`, for users whose chat is known, and nobody else.

Only the holder of the duty reads, since a token has one reader. How far was read is committed together with what a
command does, so each is carried out once, whatever restarts in between. Whoever is not known gets no answer at all.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import structlog
import telegram
from sqlalchemy import select, true
from sqlalchemy.ext.asyncio import AsyncConnection
from telegram.error import RetryAfter, TelegramError

from bot_core.models.errors import DatabaseUnavailableError, TradingBotError, first_line
from bot_core.models.halt import HaltScope
from bot_core.schema import auth_identities, bots, users
from bot_core.store.database import Database
from bot_core.store.duties import Duty
from bot_core.store.halts import Also, HaltStore
from bot_core.store.listen import backoff_seconds
from bot_runtime.companions import pause
from bot_runtime.notifications.fleet_report import fleet_report
from bot_runtime.notifications.metrics import NotificationFigures
from bot_runtime.notifications.telegram import seconds_of, translated

_log = structlog.get_logger(__name__)
#: In the duty's memory, one for each bot of Telegram: the next update, and when it was noted.
OFFSET = "telegram_offset"
#: A bot that was written nothing to for a week counts anew. By then, an older offset would hide what comes.
_OFFSET_LASTS = timedelta(days=6)
#: Ids that lie closer behind the offset were read before; those farther behind are of a new count.
_NEAR = 10_000
_LONG_POLL = 25
_STALE = timedelta(minutes=5)
_STRANGERS_LOG_SECONDS = 60.0
_LONGEST = 4000
HELP = """/status: your bots
/halt: no entries any more for all your bots; /halt ID for one
/resume: lift that again; /resume ID for one
What is halted keeps its position, and exits go on."""


@dataclass(frozen=True, slots=True)
class Asker:
    user_id: int
    is_admin: bool

    @property
    def name(self) -> str:
        return f"user {self.user_id} (Telegram)"


class _ReadBeforeError(Exception):
    """An update that was handled already."""


class TelegramCommands:
    def __init__(
        self, bot: telegram.Bot, database: Database, figures: NotificationFigures, *, long_poll: int = _LONG_POLL
    ) -> None:
        self._bot = bot
        self._database = database
        self._halts = HaltStore(database)
        self._figures = figures
        self._offset = f"{OFFSET}:{bot.token.partition(':')[0]}"
        self._long_poll = long_poll
        self._strangers_logged = -_STRANGERS_LOG_SECONDS

    async def run(self, duty: Duty, stop: asyncio.Event) -> None:
        """Read until `stop`. Raises LeaseLostError; all else is logged and tried again."""
        failures = 0
        while not stop.is_set():
            try:
                updates = await self._next(duty, stop)
                failures = 0
                for update in updates:
                    await self._handled(duty, update)
            except (TelegramError, DatabaseUnavailableError) as error:
                failures += 1
                words = str(translated(error)) if isinstance(error, TelegramError) else first_line(error)
                _log.warning("commands_not_read", error=words, retry=failures)
                await pause(stop, _wait(error, failures))

    async def _next(self, duty: Duty, stop: asyncio.Event) -> tuple[telegram.Update, ...]:
        async with self._database.write() as connection:
            offset = _offset(await duty.check(connection), self._offset)
        reading = asyncio.ensure_future(
            self._bot.get_updates(
                offset=offset,
                timeout=self._long_poll,
                allowed_updates=["message"],
                read_timeout=self._long_poll + 10,
            )
        )
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not reading.done():
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            return ()
        return reading.result()

    async def _handled(self, duty: Duty, update: telegram.Update) -> None:
        """One that can't be handled is passed over: it would keep all later ones from being read, and all delivery."""
        try:
            await self._handle(duty, update)
        except _ReadBeforeError:
            _log.info("telegram_update_repeated", update=update.update_id)
        except (TradingBotError, TelegramError):
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is about it
            _log.error("command_failed", update=update.update_id, error=first_line(error), exc_info=error)
            with suppress(_ReadBeforeError):
                async with self._database.write() as connection:
                    await self._remember(duty, update.update_id, connection)

    async def _remember(self, duty: Duty, update_id: int, connection: AsyncConnection) -> None:
        known = _offset(await duty.check(connection), self._offset, lasting=False)
        if known is not None and known - _NEAR < update_id < known:
            raise _ReadBeforeError
        await duty.remember(connection, **{self._offset: [update_id + 1, datetime.now(UTC).isoformat()]})

    async def _handle(self, duty: Duty, update: telegram.Update) -> None:
        """Do what it asks and remember it, in one transaction; then answer."""
        read = partial(self._remember, duty, update.update_id)
        message = update.message
        asker = await self._asker(message) if message is not None else None
        if message is None or asker is None:
            async with self._database.write() as connection:
                await read(connection)
            if message is not None:
                self._ignore()
            return
        answer = await self._obey(message, asker, read)
        self._figures.commands["answered"] += 1
        try:
            await self._bot.send_message(chat_id=message.chat.id, text=answer[:_LONGEST])
        except TelegramError as error:
            _log.warning("command_not_answered", user_id=asker.user_id, error=str(translated(error)))

    async def _asker(self, message: telegram.Message) -> Asker | None:
        """The one active user with this private chat. In a group anybody might be writing."""
        if message.chat.type != "private" or message.from_user is None or message.from_user.id != message.chat.id:
            return None
        identity = (auth_identities.c.provider == "telegram") & (auth_identities.c.external_id == str(message.chat.id))
        query = (
            select(users.c.id, users.c.role)
            .join(auth_identities, auth_identities.c.user_id == users.c.id)
            .where(identity, users.c.is_active == true())
            .distinct()
        )
        async with self._database.read() as connection:
            found = (await connection.execute(query)).all()
        return Asker(found[0].id, found[0].role == "admin") if len(found) == 1 else None

    def _ignore(self) -> None:
        self._figures.commands["ignored"] += 1
        now = asyncio.get_running_loop().time()
        if now - self._strangers_logged >= _STRANGERS_LOG_SECONDS:
            self._strangers_logged = now
            _log.warning("telegram_stranger", message="a chat that is no active user's wrote; it gets no answer")

    async def _obey(self, message: telegram.Message, asker: Asker, read: Also) -> str:
        word, _, rest = (message.text or "").strip().partition(" ")
        command, argument = word.partition("@")[0].lower(), rest.strip().lower()
        if command in {"/halt", "/resume"}:
            return await self._switch(command, argument, message.date, asker, read)
        async with self._database.write() as connection:
            await read(connection)
            if command == "/status":
                return await fleet_report(connection, None if asker.is_admin else asker.user_id)
        return HELP

    async def _switch(self, command: str, argument: str, sent: datetime, asker: Asker, read: Also) -> str:
        target = await self._target(argument, asker)
        refused = target if isinstance(target, str) else None
        if refused is None and command == "/resume" and datetime.now(UTC) - sent > _STALE:
            refused = "this /resume is older than 5 minutes and was not obeyed; send it again if you still want it"
        if refused is not None or isinstance(target, str):
            async with self._database.write() as connection:
                await read(connection)
            return str(refused)
        scope, target_id = target
        whom = f"bot {target_id}" if scope is HaltScope.BOT else "all bots" if scope is HaltScope.ALL else "your bots"
        if command == "/halt":
            await self._halts.halt(scope, target_id, flatten=False, reason="by Telegram", by=asker.name, also=read)
            done = f"halted: {whom}. Positions are kept, exits go on."
        else:
            cleared = await self._halts.resume(scope, target_id, by=asker.name, also=read)
            done = f"resumed: {whom}." if cleared else f"{whom}: no such halt stands."
            done += await self._standing()
        _log.info("telegram_command", command=command, target=whom, user_id=asker.user_id)
        return done

    async def _standing(self) -> str:
        halts = await self._halts.active()
        wide = [halt for halt in halts if halt.scope is HaltScope.ALL]
        return f"\nStill standing: {wide[0]}" if wide else ""

    async def _target(self, argument: str, asker: Asker) -> tuple[HaltScope, int | None] | str:
        """What a command is about, or why there is no such thing for this user."""
        if argument in {"", "all"}:
            return (HaltScope.ALL, None) if asker.is_admin else (HaltScope.USER, asker.user_id)
        if not (argument.isascii() and argument.isdecimal() and len(argument) < 10):  # noqa: PLR2004
            return f"{argument[:20]!r} is no id of a bot; allowed: a number, or all"
        query = select(bots.c.id).where(bots.c.id == int(argument))
        if not asker.is_admin:
            query = query.where(bots.c.user_id == asker.user_id)
        async with self._database.read() as connection:
            found = await connection.scalar(query)
        return f"no bot of yours has the id {argument}" if found is None else (HaltScope.BOT, int(found))


def _offset(memory: Mapping[str, Any], name: str, *, lasting: bool = True) -> int | None:
    """The next update to be read; None where nothing is known, or with `lasting` where it is too old to ask for."""
    match memory.get(name):
        case [int() as offset, str() as at]:
            old = datetime.now(UTC) - datetime.fromisoformat(at) > _OFFSET_LASTS
            return None if lasting and old else offset
    return None


def _wait(error: Exception, failures: int) -> float:
    pause = backoff_seconds(failures, first=1.0, most=60.0)
    if isinstance(error, RetryAfter):
        return max(pause, seconds_of(error))
    return pause
