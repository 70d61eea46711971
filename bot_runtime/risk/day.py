"""What a bot did on one UTC day of the bars' clock: its entries, and what its closed trades came to."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from bot_runtime.domain.money import ZERO


@dataclass(slots=True)
class Day:
    """`pnl` is net, of trades closed on `on`."""

    on: date | None = None
    entries: int = 0
    pnl: Decimal = ZERO

    def reach(self, time: datetime) -> None:
        """Begin anew with a later day. A bar that began on the day before its fill does not lead back."""
        day = time.astimezone(UTC).date()
        if self.on is None or day > self.on:
            self.on, self.entries, self.pnl = day, 0, ZERO
