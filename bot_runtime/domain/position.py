"""An open position. Long only: every entry rule buys."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class Direction(StrEnum):
    """The direction of a position."""

    LONG = "long"


@dataclass(frozen=True, slots=True)
class Position:
    """What is held since `entry_time` (the bar of the fill), ordered on the close of the bar at `signal_time`."""

    direction: Direction
    quantity: Decimal
    entry_price: Decimal
    entry_time: datetime
    signal_time: datetime
    entry_commission: Decimal
    entry_reason: str
