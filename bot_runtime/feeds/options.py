"""Reading the options that feeds take from the `data` section. An error names the key, the value, what is allowed."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bot_core.models.errors import InvalidBotError


def number_option(data: Mapping[str, Any], key: str, default: float, *, low: float, high: float) -> float:
    """Return a number within `low` and `high`. Raise InvalidBotError otherwise."""
    value = data.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InvalidBotError(f"data.{key}: {value!r} is no number; allowed: {low:g} to {high:g}")
    if not low <= value <= high:
        raise InvalidBotError(f"data.{key}: {value!r} is out of range; allowed: {low:g} to {high:g}")
    return float(value)


def time_option(data: Mapping[str, Any], key: str, default: datetime) -> datetime:
    """Return an aware UTC time from ISO 8601. Raise InvalidBotError otherwise."""
    value = data.get(key)
    if value is None:
        return default
    try:
        time = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise InvalidBotError(f"data.{key}: {value!r} is no time; allowed: ISO 8601 such as 2024-01-01") from error
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
