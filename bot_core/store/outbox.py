"""Rows for the notification queue `msg_messages`. It words envelopes; whether and to whom is said by the document."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bot_core.models.bot import BotRow
from bot_core.models.config import parse_config

_LONGEST_TEXT = 2000


def build_message(
    row: BotRow, kind: str, title: str, text: str, channels: Sequence[str], data: Mapping[str, Any]
) -> dict[str, Any]:
    """One row of the queue, for the bot's owner; `data` goes into its metadata beside the bot's id and name."""
    now = datetime.now(UTC)
    about = {"bot_id": row.id, "bot_name": row.name, "timestamp": now.isoformat()}
    return {
        "message_type": kind,
        "priority": "HIGH",
        "channels": list(channels),
        "recipient_id": str(row.user_id),
        "content": {"title": title, "message": f"[{row.name}] {text}"[:_LONGEST_TEXT], "source": "trading_bot"},
        "metadata": about | dict(data),
        "created_at": now,
        "scheduled_for": now,
        "status": "PENDING",
        "retry_count": 0,
        "max_retries": 3,
    }


def error_message(row: BotRow, error: str) -> dict[str, Any] | None:
    """The message that tells of an error, or None where the document asks for none, valid or not.

    Bars from a file are a simulation: of those nobody is told.
    """
    document = parse_config(row.config).canonical or {}
    flags, data = document.get("notifications"), document.get("data")
    if not isinstance(flags, Mapping) or flags.get("error_notifications") is not True:
        return None
    if isinstance(data, Mapping) and str(data.get("data_source", "")).lower() == "file":
        return None
    channels = [name for name in ("email", "telegram") if flags.get(f"{name}_enabled") is True]
    if not channels:
        return None
    facts = {"error_type": "trading_bot_error", "error_message": error}
    return build_message(row, "error", f"Bot Error: {row.name}", error, channels, facts)
