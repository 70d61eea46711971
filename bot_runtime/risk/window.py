"""When entries are allowed: the section `scheduling` as a question about an instant. Pure."""

from datetime import datetime, time, timedelta

from bot_core.models.operation import DAYS, SchedulingConfig

_DAY = timedelta(days=1)


class TradingWindow:
    """From `start_time` up to, not including, `end_time` on the wall clock of the zone, on the days listed.

    An end that is not after the start is on the next day: such a window belongs to the day on which it begins. An hour
    that summer time skips has no entries, one that comes twice has both.
    """

    def __init__(self, scheduling: SchedulingConfig) -> None:
        self._zone = scheduling.zone
        self._days = frozenset(DAYS.index(day) for day in scheduling.trading_days)
        self._start = time.fromisoformat(scheduling.start_time or "00:00")
        self._end = time.fromisoformat(scheduling.end_time or "00:00")
        hours = f"{self._start:%H:%M} to {self._end:%H:%M}"
        self._text = f"{', '.join(scheduling.trading_days)} from {hours} {scheduling.timezone}"

    def allows(self, moment: datetime) -> bool:
        """Whether an entry may be made at this moment (aware)."""
        local = moment.astimezone(self._zone)
        clock, day = local.time(), local.weekday()
        if self._start < self._end:
            return day in self._days and self._start <= clock < self._end
        if clock >= self._start:
            return day in self._days
        return clock < self._end and (local.date() - _DAY).weekday() in self._days

    def __str__(self) -> str:
        return self._text
