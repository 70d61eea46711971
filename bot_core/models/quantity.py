"""Amounts of processor time and memory as Kubernetes writes them: 250m, 0.5, 128Mi. Pure."""

import re
from decimal import Decimal

from pydantic import BeforeValidator

_FORM = re.compile(r"(?P<number>\d{1,15}(\.\d{1,9})?)(?P<suffix>m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_FACTORS = {
    None: Decimal(1),
    "m": Decimal("0.001"),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40),
}  # fmt: skip


def amount(text: str) -> Decimal:
    """Cores or bytes. Raises ValueError for what is no quantity."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError("is no quantity; allowed: such as 250m or 128Mi")
    return Decimal(found["number"]) * _FACTORS[found["suffix"]]


def quantity(least: str, most: str) -> BeforeValidator:
    """A quantity within these bounds, kept as it was written; null means that nothing was said."""
    allowed = f"a quantity from {least} to {most}, such as {least}"

    def read(value: object) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str) or _FORM.fullmatch(value) is None:
            raise ValueError(f"is no quantity; allowed: {allowed}")
        if not amount(least) <= amount(value) <= amount(most):
            raise ValueError(f"is out of range; allowed: {allowed}")
        return value

    return BeforeValidator(read)
