"""Bar intervals as documents spell them, and their calendar: when a bar opens, when the next one does. Pure.

All times are aware and UTC. A bar is closed from the open of the next one on. Months begin on the first at 00:00 and
have no fixed length; weeks begin on Monday at 00:00; all else counts from 1970. A venue whose bars begin elsewhere,
such as at the opening of a stock exchange, keeps its own open times: `next_open` counts from the bar that it is given.
"""

import re
from datetime import datetime, timedelta
from functools import lru_cache

from bot_core.models.errors import InvalidBotError
from bot_runtime.domain.bar import EPOCH

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_WEEK = 7 * _DAY
_UNITS = {"s": 1, "m": _MINUTE, "h": _HOUR, "d": _DAY, "w": _WEEK, "W": _WEEK}
# A month has no fixed length; this nominal one serves where bars are only counted, as the capacity of a history is.
MONTH = "1M"
MONTH_SECONDS = 30 * _DAY
_FORM = re.compile(r"([1-9]\d*)([smhdwW])")
_FIRST_MONDAY = EPOCH + timedelta(days=4)
_MONTHS = 12


@lru_cache(maxsize=64)
def _seconds(text: str) -> int | None:
    if text == MONTH:
        return MONTH_SECONDS
    match = _FORM.fullmatch(text)
    return None if match is None else int(match[1]) * _UNITS[match[2]]


def interval_seconds(text: object) -> int:
    """Return the seconds of an interval such as "5m" or "1h"; "1m" is a minute, "1M" a month of 30 days.

    Raise InvalidBotError for anything else.
    """
    seconds = _seconds(text) if isinstance(text, str) else None
    if seconds is None:
        raise InvalidBotError(
            f"data.interval: {text!r} is no interval; allowed: a number and s, m, h, d or w, such as 5m or 1h, or 1M"
        )
    return seconds


def canonical_interval(text: str) -> str:
    """Return the one spelling of an interval that two bots can be compared by: weeks have two."""
    interval_seconds(text)
    return text[:-1] + "w" if text.endswith("W") else text


def open_of(time: datetime, interval: str) -> datetime:
    """Return the open time of the bar that `time` falls into."""
    if interval == MONTH:
        return time.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    step = timedelta(seconds=interval_seconds(interval))
    origin = _FIRST_MONDAY if interval[-1] in "wW" else EPOCH
    return origin + (time - origin) // step * step


def shifted(opened: datetime, interval: str, bars: int) -> datetime:
    """Return the open time `bars` bars after (below 0: before) the bar that opened at `opened`."""
    if interval == MONTH:
        first = open_of(opened, interval)
        months = first.year * _MONTHS + first.month - 1 + bars
        return first.replace(year=months // _MONTHS, month=months % _MONTHS + 1)
    return opened + bars * timedelta(seconds=interval_seconds(interval))


def next_open(opened: datetime, interval: str) -> datetime:
    """Return when the bar after the one that opened at `opened` opens: the instant at which that one closes."""
    return shifted(opened, interval, 1)


def is_closed(opened: datetime, interval: str, now: datetime) -> bool:
    """Return whether the bar that opened at `opened` is closed at `now`, by the venue's clock."""
    return next_open(opened, interval) <= now


def bars_apart(first: datetime, last: datetime, interval: str) -> int:
    """Return how many bars after the one at `first` the one at `last` is; whole bars, rounded down."""
    if interval == MONTH:
        return (last.year - first.year) * _MONTHS + last.month - first.month
    return (last - first) // timedelta(seconds=interval_seconds(interval))
