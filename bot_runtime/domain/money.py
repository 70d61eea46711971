"""Money as Decimal: how a float becomes one and how amounts are rounded. Must not know orders or accounts."""

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal

ZERO = Decimal(0)
CENT8 = Decimal("0.00000001")


def decimal_of(value: float) -> Decimal:
    """Turn a float into the shortest Decimal that reads back as the same float."""
    return Decimal(repr(float(value)))


def round_money(amount: Decimal) -> Decimal:
    """Round to eight decimals, half to even: what an account and its database row both hold."""
    return amount.quantize(CENT8, rounding=ROUND_HALF_EVEN)


def round_down(quantity: Decimal, step: Decimal) -> Decimal:
    """Round a quantity down to a whole number of steps."""
    return (quantity / step).to_integral_value(rounding=ROUND_DOWN) * step
