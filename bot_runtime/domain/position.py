"""An open position. Long only: every entry rule buys."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from bot_runtime.domain.money import ZERO


class Direction(StrEnum):
    """The direction of a position."""

    LONG = "long"


@dataclass(frozen=True, slots=True)
class Position:
    """What is held since `entry_time` (the bar of the fill), ordered on the close of the bar at `signal_time`.

    `quantity` is what was bought. Exits that filled in part leave `exited`, for `exit_value` and `exit_commission`.
    """

    direction: Direction
    quantity: Decimal
    entry_price: Decimal
    entry_time: datetime
    signal_time: datetime
    entry_commission: Decimal
    entry_reason: str
    exited: Decimal = ZERO
    exit_value: Decimal = ZERO
    exit_commission: Decimal = ZERO

    @property
    def held(self) -> Decimal:
        """Base units that are still there."""
        return self.quantity - self.exited
