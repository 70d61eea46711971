"""A limit across bots: what those of one user, of one broker account or all may risk together. Pure."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

#: The target of a limit for all.
EVERYBODY = "*"


class LimitScope(StrEnum):
    USER = "user"
    ACCOUNT = "account"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Limit:
    """`target` is the user's id, the account's name, or `*`; money in the quote currency, None where nothing is set."""

    id: int
    scope: LimitScope
    target: str
    trading_mode: str
    max_exposure: Decimal | None
    max_daily_loss: Decimal | None
    updated_by: str
    updated_at: datetime

    def __str__(self) -> str:
        whose = "all bots" if self.scope is LimitScope.ALL else f"{self.scope} {self.target}"
        return f"{whose} ({self.trading_mode})"
