"""Why an entry is not made: which limit, its value, and by how much it would be exceeded. Words only."""

from dataclasses import dataclass
from decimal import Decimal

from bot_runtime.domain.money import round_money

#: Limits of money and of trades: who wants to know of risks is told when one of them keeps a bot from entries. A
#: schedule, a full account and a position that is open already are no risks.
TOLD = frozenset(
    {
        "max_daily_loss", "max_daily_trades", "max_drawdown_pct", "max_exposure", "max_portfolio_risk",
        "max_position_size",
    }
)  # fmt: skip
#: The limits across bots, which are not the document's.
SHARED = "shared_limits"


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
