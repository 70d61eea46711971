"""Structured logs for both sides: JSON for machines, plain lines for people, and never a secret in either.

It configures structlog and the standard library's logging (kopf, SQLAlchemy) to write the same lines.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import quote, quote_plus

import structlog

from bot_core.log_levels import admits_record, filter_by_bot, set_process_level
from bot_core.models.problem import looks_secret

_URL_PASSWORD = re.compile(r"(?P<start>[a-z][a-z0-9+.\-]*://[^\s:/@]*):[^\s]+@", re.IGNORECASE)
_BEARER = re.compile(r"\b(?P<scheme>Bearer|Basic) +[\w.~+/=\-]+", re.IGNORECASE)
_TELEGRAM = re.compile(r"/bot\d+:[\w\-]+")
_ASSIGNED = re.compile(
    r"(?P<key>\b[\w.\-]*(?:api_?key|secret|token|password)\w*)(?P<sep>[\"']?\s*[=:]\s*)[^\s,;&]+", re.IGNORECASE
)
_SIGNATURE = re.compile(r"\b(?P<key>signature)(?P<sep>=)[^\s&]+", re.IGNORECASE)
_SHORTEST_HIDDEN = 4  # shorter ones would mask ordinary words
_hidden: set[str] = set()
MASK = "***"


def hide(value: str) -> None:
    """Mask this very value wherever it appears in a log line from now on, also as it is written in a URL."""
    if len(value) >= _SHORTEST_HIDDEN:
        _hidden.update((value, quote(value), quote_plus(value)))


def masked(text: str) -> str:
    """The text without hidden values, passwords in URLs and values of names that look like secrets."""
    for value in sorted(_hidden, key=len, reverse=True):
        text = text.replace(value, MASK)
    text = _SIGNATURE.sub(rf"\g<key>\g<sep>{MASK}", text)
    text = _URL_PASSWORD.sub(rf"\g<start>:{MASK}@", text)
    text = _TELEGRAM.sub(f"/bot{MASK}", _BEARER.sub(rf"\g<scheme> {MASK}", text))
    return _ASSIGNED.sub(rf"\g<key>\g<sep>{MASK}", text)


def mask_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: every value is looked at, however deep it lies."""
    for key, value in event.items():
        event[key] = _clean(key, value)
    return event


def cleaned(value: Any) -> Any:
    """A value of JSON as it may be shown: secrets in it are hidden by their keys and by their looks, however deep."""
    return _clean("", value)


def _clean(key: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _clean(str(k), v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(key, item) for item in value]
    if looks_secret(key) and isinstance(value, (str, bytes)) and value:
        return MASK
    return masked(value) if isinstance(value, str) else value


def _stamps(*, json: bool) -> list[Any]:
    """Machines get the full time and the logger's name; people the time of day, first in the line."""
    if json:
        stamp = structlog.processors.TimeStamper(fmt="iso", utc=True, key="time")
        return [structlog.stdlib.add_logger_name, stamp]
    return [structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)]


def configure_logging(level: str = "INFO", *, json: bool) -> None:
    """Send all logs of this process to standard error, one line an event, times in UTC."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        *_stamps(json=json),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        mask_secrets,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=14, pad_level=False)
    )
    structlog.configure(
        processors=[filter_by_bot, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    handler.addFilter(admits_record)
    root = logging.getLogger()
    root.handlers = [handler]
    set_process_level(level)
    for chatty in ("aiosqlite", "alembic", "asyncio", "aiohttp.access", "ccxt"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
