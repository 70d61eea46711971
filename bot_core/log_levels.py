"""The level of each bot's log lines, from its document; lines of no bot keep the level of the process.

Whose line it is, is told by the `bot_id` of the line, else by the one that is bound to the task. It costs nothing for
as long as no bot has a level of its own.
"""

import logging
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.contextvars import get_contextvars
from structlog.stdlib import filter_by_level

_NUMBER = logging.getLevelNamesMapping()
_of_bots: dict[int, int] = {}
_process = logging.INFO


def set_process_level(name: str) -> None:
    """The level of whatever belongs to no bot, and of bots that have none of their own."""
    global _process  # noqa: PLW0603  # logging is the process's, and so is this
    _process = _NUMBER[name.upper()]
    _open_the_gate()


def set_bot_level(bot_id: int, name: str | None) -> None:
    """Let a bot have a level of its own from now on; None: the level of the process."""
    if name is None:
        _of_bots.pop(bot_id, None)
    else:
        _of_bots[bot_id] = _NUMBER[name.upper()]
    _open_the_gate()


def filter_by_bot(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor, the first one: drop what is below the level of the bot that it is about."""
    if not _of_bots:
        return filter_by_level(logger, method, event)
    if _NUMBER["ERROR" if method == "exception" else method.upper()] < _level_of(event.get("bot_id")):
        raise structlog.DropEvent
    return event


def admits_record(record: logging.LogRecord) -> bool:
    """A filter for lines of the standard library's loggers; those of structlog were judged before.

    A library in the task of a bot may have to be quieter than the process, and is never more talkative: at DEBUG,
    clients of venues write down whatever they send.
    """
    return not _of_bots or isinstance(record.msg, dict) or record.levelno >= max(_process, _level_of(None))


def _level_of(bot_id: Any) -> int:
    return _of_bots.get(bot_id if bot_id is not None else get_contextvars().get("bot_id"), _process)  # type: ignore[arg-type]


def _open_the_gate() -> None:
    """The standard library's own gate lets the most talkative through; the filters do the rest."""
    lowest = min([_process, *_of_bots.values()])
    root = logging.getLogger()
    if root.level != lowest:
        root.setLevel(lowest)
