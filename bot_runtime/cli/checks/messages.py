"""Notifications: which channels this environment has, whether their tokens are taken, and what waits in the queue.

Asks `getMe` and `auth.test`, which send nobody anything. A value of the environment is in no finding.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

import aiohttp
from sqlalchemy import func, select

from bot_core.logs import hide
from bot_core.models.bot import desired_state
from bot_core.models.recipients import Purpose, Subject, Targets, addresses
from bot_core.schema import messages
from bot_runtime.cli.checks.base import Case, Finding, failed, ok, skipped, warning

Environment = Mapping[str, str]
_SECONDS = 8.0
_OLD_SECONDS = 600.0
#: The variables that make a channel.
CHANNELS = {
    "email": ("SMTP_SERVER",),
    "telegram": ("TELEGRAM_BOT_TOKEN",),
    "slack": ("SLACK_BOT_TOKEN",),
    "webhook": ("WEBHOOK_URL",),
    "apprise": ("APPRISE_URLS",),
}


class RefusedError(Exception):
    """The service answered, and does not take what it was given."""


async def check_channels(case: Case) -> Sequence[Finding]:
    """Those that are configured here, each asked whether it takes us."""
    given = [name for name, variables in CHANNELS.items() if all(case.environment.get(v) for v in variables)]
    for name, value in case.environment.items():
        if name.endswith(("_TOKEN", "_PASSWORD", "_SECRET")):
            hide(value)
    findings = await asyncio.gather(*(_verified(name, case.environment) for name in given))
    return findings or [skipped("no channel is configured in this environment")]


async def _verified(channel: str, environment: Environment) -> Finding:
    verify = VERIFIERS.get(channel)
    if verify is None:
        return ok(f"{channel} is configured; it can't be tried without sending something")
    try:
        async with asyncio.timeout(_SECONDS):
            return ok(f"{channel}: {await verify(environment)}")
    except RefusedError as error:
        return failed(f"{channel}: {error}", f"Set {' and '.join(CHANNELS[channel])} to what the service gave you.")
    except (TimeoutError, OSError, aiohttp.ClientError) as error:
        return failed(f"{channel} can't be reached: {type(error).__name__}", "Look at the network and the address.")


async def _telegram(environment: Environment) -> str:
    base = (environment.get("TELEGRAM_API_URL") or "https://api.telegram.org").rstrip("/")
    answer = await _asked(f"{base}/bot{environment['TELEGRAM_BOT_TOKEN']}/getMe", {})
    if not answer.get("ok"):
        raise RefusedError("the token in TELEGRAM_BOT_TOKEN is not taken")
    about = answer.get("result")
    return f"the token is taken, the bot is {about.get('username') if isinstance(about, dict) else 'unnamed'}"


async def _slack(environment: Environment) -> str:
    base = (environment.get("SLACK_API_URL") or "https://slack.com/api").rstrip("/")
    answer = await _asked(f"{base}/auth.test", {"Authorization": f"Bearer {environment['SLACK_BOT_TOKEN']}"})
    if not answer.get("ok"):
        raise RefusedError("the token in SLACK_BOT_TOKEN is not taken")
    return f"the token is taken, in the workspace {answer.get('team', 'unnamed')}"


async def _asked(url: str, headers: Mapping[str, str]) -> Mapping[str, object]:
    async with aiohttp.ClientSession(trust_env=True) as session, session.post(url, headers=headers) as answer:
        try:
            body = await answer.json(content_type=None)
        except ValueError:
            body = None
        return body if isinstance(body, dict) else {}


async def _smtp(environment: Environment) -> str:
    """The server greets; over TLS from the start its handshake is the greeting."""
    server, port = environment["SMTP_SERVER"], int(environment.get("SMTP_PORT") or 587)
    tls = environment.get("SMTP_SECURITY", "").lower() == "tls"
    reader, writer = await asyncio.open_connection(server, port, ssl=True if tls else None)
    try:
        greeting = (await reader.readline()).decode(errors="replace").strip()
    finally:
        writer.close()
    if not greeting.startswith("220"):
        raise RefusedError(f"{server}:{port} does not greet as a mail server does")
    return f"{server}:{port} answers"


#: How each channel is asked; one that is missing can only be tried by sending something.
VERIFIERS: dict[str, Callable[[Environment], Awaitable[str]]] = {"telegram": _telegram, "slack": _slack, "email": _smtp}


async def check_queue(case: Case) -> Sequence[Finding]:
    """What waits, since when, and what was given up."""
    waiting = messages.c.status.in_(("PENDING", "PROCESSING")) & (messages.c.scheduled_for <= case.database.now())
    oldest = func.min(messages.c.scheduled_for, type_=messages.c.scheduled_for.type)
    query = select(func.count(), oldest, case.database.now()).where(waiting)
    async with case.database.look() as connection:
        count, since, now = (await connection.execute(query)).one()
        given_up = await connection.execute(select(messages.c.channels).where(messages.c.status == "FAILED"))
        dead = Counter(name for channels in given_up.scalars() for name in channels or ())
    findings = []
    if dead:
        told = ", ".join(f"{number} for {channel}" for channel, number in sorted(dead.items()))
        remedy = "Mend the channel; `last_error` of the rows of msg_messages says what was wrong."
        findings.append(warning(f"messages that were given up: {told}", remedy))
    age = 0.0 if since is None else (now - since).total_seconds()
    if count and age > _OLD_SECONDS:
        remedy = "Start whoever delivers them: `tradingbot serve` or the operator, with the channel's variables set."
        findings.append(warning(f"{count} messages wait, the oldest for {age / 60:.0f} min", remedy))
    return findings or [ok(f"{count} messages wait, none is overdue")]


async def check_wishes(case: Case) -> Sequence[Finding]:
    """Documents that want to tell something and reach nobody, asked as whoever queues a message asks."""
    findings, targets = [], Targets.of(case.environment)
    for patient in await case.patients():
        config = patient.config
        if config is None or not desired_state(patient.facts.row).run:
            continue
        wanted, subject = config.notifications, Subject.of(patient.facts.row, config)
        tells = wanted.position_opened or wanted.position_closed or wanted.error_notifications
        silent = subject.simulated or not wanted.enabled or not tells
        if not silent and not any(addresses(subject, purpose, targets) for purpose in Purpose):
            found = f"{patient.facts.row.name} asks for notifications and names no channel"
            findings.append(warning(found, "Set notifications.telegram_enabled or email_enabled to true.", patient.id))
    return findings or [ok("every document that asks for notifications names a channel")]
