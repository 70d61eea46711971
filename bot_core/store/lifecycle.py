"""Which starts and stops of a bot its owner is told of: those that were asked for, and the end of a quarantine. Pure.

A shutdown and a restart of the process or its pod are none: they would be told of every bot at once.
"""

from bot_core.models.bot import BotRow, BotStatus, StoppedBy
from bot_core.models.recipients import Purpose
from bot_core.store.outbox import Letter

#: In `extra_metadata` of a bot that starts, until it runs: the reason why that will be told.
START = "start_to_tell"
_FIRST, _REQUEST, _QUARANTINE = "first", "request", "quarantine"
_STARTED = {
    _FIRST: "it runs for the first time",
    _REQUEST: "it runs again after it was stopped on request",
    _QUARANTINE: "it runs again after it was quarantined",
}
_STOPPED = {StoppedBy.REQUEST: "it was stopped on request", StoppedBy.CONFIG: "its document switched it off"}
_SOURCE = "trading_bot_lifecycle"


def start_reason(row: BotRow) -> str:
    """Why the start of this bot is told, as the row says before that start; empty where it is not."""
    noted = row.extra_metadata.get(START)
    if noted in _STARTED:
        return str(noted)
    if row.extra_metadata.get("quarantined") is not None:
        return _QUARANTINE
    if row.extra_metadata.get("stopped_by") in _STOPPED:
        return _REQUEST
    return _FIRST if row.started_at is None else ""


def stops(row: BotRow, reason: StoppedBy) -> bool:
    """Whether a stop is told: one that was asked for, of a bot that had not stopped for it before."""
    again = row.status == BotStatus.STOPPED and row.extra_metadata.get("stopped_by") == reason
    return reason in _STOPPED and not again


def started_letter(name: str, reason: str) -> Letter:
    data = {"event": "started", "reason": reason}
    return Letter(Purpose.BOT_EVENT, "status", f"Bot Started: {name}", _STARTED[reason], data, "NORMAL", _SOURCE)


def stopped_letter(name: str, reason: StoppedBy) -> Letter:
    data = {"event": "stopped", "reason": str(reason)}
    return Letter(Purpose.BOT_EVENT, "status", f"Bot Stopped: {name}", _STOPPED[reason], data, source=_SOURCE)
