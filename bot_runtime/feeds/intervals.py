"""Bar intervals as documents spell them. Must not know feeds."""

import re

from bot_core.models.errors import InvalidBotError

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_UNITS = {"s": 1, "m": _MINUTE, "h": _HOUR, "d": _DAY, "w": 7 * _DAY, "W": 7 * _DAY}
# A month has no fixed length; this nominal one serves to find gaps and to count bars.
_MONTH = {"1M": 30 * _DAY}
_FORM = re.compile(r"([1-9]\d*)([smhdwW])")


def interval_seconds(text: object) -> int:
    """Return the seconds of an interval such as "5m" or "1h"; "1m" is a minute, "1M" a month of 30 days.

    Raise InvalidBotError for anything else.
    """
    if isinstance(text, str):
        if text in _MONTH:
            return _MONTH[text]
        match = _FORM.fullmatch(text)
        if match is not None:
            return int(match[1]) * _UNITS[match[2]]
    raise InvalidBotError(
        f"data.interval: {text!r} is no interval; allowed: a number and s, m, h, d or w, such as 5m or 1h, or 1M"
    )
