"""The one account of the stand-in: what is free and what open orders hold. Pure."""

from collections import defaultdict
from decimal import Decimal

from support.exchange.markets import VenueError

ZERO = Decimal(0)


class Account:
    def __init__(self, balances: dict[str, Decimal]) -> None:
        self.free: defaultdict[str, Decimal] = defaultdict(lambda: ZERO, balances)
        self.locked: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)

    def lock(self, asset: str, amount: Decimal) -> None:
        if self.free[asset] < amount:
            raise VenueError(-2010, "Account has insufficient balance for requested action.")
        self.free[asset] -= amount
        self.locked[asset] += amount

    def unlock(self, asset: str, amount: Decimal) -> None:
        self.locked[asset] -= amount
        self.free[asset] += amount

    def spend(self, asset: str, locked: Decimal, spent: Decimal) -> None:
        """Pay out of what was locked for it; what is over is free again."""
        self.unlock(asset, locked)
        self.free[asset] -= spent

    def total(self, asset: str) -> Decimal:
        return self.free[asset] + self.locked[asset]
