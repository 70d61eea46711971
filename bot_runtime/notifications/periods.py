"""Which days, weeks and months of a time zone are over. Pure: the clock is the caller's."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

from bot_core.models.notification import SummaryPeriod

#: A period that ended longer ago is not reported any more: nobody wants last month's days after a month's absence.
CATCH_UP = timedelta(days=3)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Period:
    """`first` and `last` are days of the zone; `start` and `end` the midnights around them, in UTC."""

    kind: SummaryPeriod
    first: date
    last: date
    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"


def due_periods(now: datetime, zone: tzinfo, since: datetime) -> list[Period]:
    """The periods that ended after `since` and not after `now`, oldest first; weeks begin on Monday."""
    today = now.astimezone(zone).date()
    days = [today - back * _DAY for back in range(CATCH_UP.days, -1, -1)]
    found = [period for day in days for period in _ending(day, zone)]
    return [period for period in found if max(since, now - CATCH_UP) < period.end <= now and period.start < period.end]


def _ending(day: date, zone: tzinfo) -> Iterator[Period]:
    """What is over when this day begins."""
    yield _period(SummaryPeriod.DAILY, day - _DAY, day, zone)
    if day.weekday() == 0:
        yield _period(SummaryPeriod.WEEKLY, day - 7 * _DAY, day, zone)
    if day.day == 1:
        yield _period(SummaryPeriod.MONTHLY, (day - _DAY).replace(day=1), day, zone)


def _period(kind: SummaryPeriod, first: date, after: date, zone: tzinfo) -> Period:
    return Period(kind, first, after - _DAY, _midnight(first, zone), _midnight(after, zone))


def _midnight(day: date, zone: tzinfo) -> datetime:
    """When a day begins; where summer time skips that hour, the moment at which it does."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
