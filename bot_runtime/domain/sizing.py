"""How much to buy. Must not look at indicators: a rule says whether, sizing says how much."""

from dataclasses import dataclass
from decimal import Decimal

from bot_runtime.domain.money import CENT8, ZERO, round_down

WHOLE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Sizing:
    """A fraction of the free cash, in quantities of whole `step`s (1e-8 for crypto, 1 for shares)."""

    fraction: Decimal
    step: Decimal = CENT8

    def quantity(self, cash: Decimal, price: Decimal) -> Decimal:
        """Return the base units to buy at `price`; 0 when not even one step is affordable."""
        if cash <= ZERO or price <= ZERO:
            return ZERO
        return round_down(cash * self.fraction / price, self.step)
