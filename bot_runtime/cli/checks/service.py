"""The process on this machine: whether it answers on its port, or the port is free for it."""

import json
from collections.abc import Sequence
from http import HTTPStatus

import aiohttp

from bot_runtime.cli.checks.base import Case, Finding, failed, ok

_SECONDS = 5.0
_EVERY_ADDRESS = ("", "0.0.0.0", "::")  # noqa: S104  # what is listened on, not what is asked


async def check_service(case: Case) -> Sequence[Finding]:
    host = case.environment.get("HOST", "")
    place = f"{'localhost' if host in _EVERY_ADDRESS else host}:{case.port}"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS)) as session,
            session.get(f"http://{place}/healthz") as answer,
        ):
            status, text = answer.status, await answer.text()
    except aiohttp.ClientConnectorError:
        return [ok(f"nothing listens on {place}: no service runs here, and one could")]
    except (TimeoutError, aiohttp.ClientError) as error:
        remedy = "Look whether it hangs (its log says event_loop_blocked), or whether another program has the port."
        return [failed(f"{place} takes connections and does not answer: {type(error).__name__}", remedy)]
    alive = _alive(text)
    if alive is None:
        remedy = "Stop that program, or give ours another port (PORT, --port)."
        return [failed(f"another program answers on {place} (HTTP {status})", remedy)]
    if alive and status == HTTPStatus.OK:
        return [ok(f"the service answers on {place}, every loop turns")]
    return [failed(f"the service on {place} is not alive: {text[:200]}", "Its log says which loop stands; restart it.")]


def _alive(text: str) -> bool | None:
    """What our `/healthz` says; None where it is none of ours."""
    try:
        body = json.loads(text)
    except ValueError:
        return None
    said = body.get("alive") if isinstance(body, dict) else None
    return said if isinstance(said, bool) else None
