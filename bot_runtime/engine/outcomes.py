"""What a fill came to for an account, and why signals are held. Values only."""

from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from bot_runtime.domain.position import Position
from bot_runtime.domain.trade import Trade


@dataclass(frozen=True, slots=True)
class Opened:
    """An entry has filled."""

    position: Position


@dataclass(frozen=True, slots=True)
class Closed:
    """An exit has filled; `position` is what was closed."""

    trade: Trade
    position: Position

    @property
    def dust(self) -> Decimal:
        """Base units that stay behind, too little to be sold; `trade.net_pnl` has their cost."""
        return self.trade.dust


@dataclass(frozen=True, slots=True)
class Reduced:
    """An exit has filled in part and is final; `position` is what is left."""

    position: Position


@dataclass(frozen=True, slots=True)
class Hold:
    """Why signals become no orders at this bar; empty where they may.

    `exits` holds the exits of rules alone: stop loss, trailing stop and take profit are never held.
    """

    entries: str = ""
    exits: str = ""


FillResult: TypeAlias = Opened | Closed | Reduced
FREE = Hold()
