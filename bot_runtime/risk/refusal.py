"""Why an entry is not made: which limit, its value, and by how much it would be exceeded. Words only."""

from dataclasses import dataclass
from decimal import Decimal

from bot_runtime.domain.money import round_money


@dataclass(frozen=True, slots=True)
class Refusal:
    """`limit` is the key of the document, or the name of another rule that limits entries."""

    limit: str
    message: str

    def __str__(self) -> str:
        return self.message


def plain(amount: Decimal) -> str:
    """An amount as people read it: no exponent, no zeros at the end, eight decimals at the most."""
    return f"{round_money(amount).normalize():f}"
