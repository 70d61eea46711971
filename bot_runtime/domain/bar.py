"""One closed bar of market data. Floats: a bar feeds indicators; what becomes money is converted where it does."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Bar(NamedTuple):
    """Prices in the quote currency, volume in the base currency; `time` is the bar's open, aware, UTC."""

    time: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float


def epoch_ms(time: datetime) -> int:
    """Whole milliseconds since 1970 of an aware time."""
    return (time - EPOCH) // _MILLISECOND


def from_epoch_ms(milliseconds: int) -> datetime:
    """The aware UTC time of a number of milliseconds since 1970."""
    return EPOCH + milliseconds * _MILLISECOND
