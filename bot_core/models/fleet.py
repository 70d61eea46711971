"""The whole fleet as the tables tell it at one moment, for whoever shows it. Pure: no I/O, and it judges nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from bot_core.models.bot import BotRow
from bot_core.models.figures import OpenPosition
from bot_core.models.halt import Halt


@dataclass(frozen=True, slots=True)
class BotFacts:
    """`cursor` and `price` are of the last bar that was processed, on the clock of the bars.

    `pnl_today` is net of the trades closed since midnight UTC by the wall, `pnl_of_day` since that of the cursor's day:
    what today means to a bot on bars of the past. `last_event` is "kind: message".
    """

    row: BotRow
    position: OpenPosition | None = None
    cursor: datetime | None = None
    price: Decimal | None = None
    holder: str | None = None
    lease_until: datetime | None = None
    trades: int = 0
    pnl_today: Decimal = Decimal(0)
    pnl_of_day: Decimal = Decimal(0)
    working_orders: int = 0
    unknown_orders: int = 0
    resting_stops: int = 0
    last_event: str = ""


@dataclass(frozen=True, slots=True)
class News:
    """A trade or an event, newest first in a list of them."""

    at: datetime
    bot_id: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class FleetFacts:
    """`at` is the database's clock; `notifications` counts the messages that are pending, being sent, or given up."""

    at: datetime
    bots: tuple[BotFacts, ...] = ()
    halts: tuple[Halt, ...] = ()
    trades: tuple[News, ...] = ()
    events: tuple[News, ...] = ()
    notifications: Mapping[str, int] = field(default_factory=dict)
