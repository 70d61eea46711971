"""What a bot's tables say beyond its row, for whoever shows it. Pure: no I/O."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class OpenPosition:
    """Quantity in the base currency, price in the quote currency."""

    symbol: str
    direction: str
    quantity: Decimal
    average_price: Decimal | None


@dataclass(frozen=True, slots=True)
class Figures:
    """`config_hash` is that of the last document that was valid and ran; None before the first run.

    `open_orders`: an order is on its way, rests at the venue or is not accounted for.
    """

    position: OpenPosition | None = None
    config_hash: str | None = None
    open_orders: bool = False

    @property
    def flat(self) -> bool:
        return self.position is None and not self.open_orders


def few_digits(amount: Decimal) -> str:
    """The amount with six digits that count, as people compare amounts; whole numbers keep all of theirs."""
    places = 6 - (amount.adjusted() + 1)
    rounded = round(amount, max(places, 0))
    return f"{rounded.normalize():f}"


def iso_utc(time: datetime) -> str:
    """ISO 8601 with Z, of a time that is aware UTC."""
    return time.isoformat().replace("+00:00", "Z")
