"""The broker port: what the engine asks of whoever executes orders, for one bot and one symbol.

| method | duty |
|---|---|
| `account` | names the money that is traded with, such as `binance:bot-keys`; bots with the same one share its limits |
| `live` | whether orders reach a venue outside this process, whose word then counts more than the tables |
| `connect` | check credentials, read the market's rules, measure the clock; called once, before anything else |
| `submit` | send an order under its client order id, at most once a call, never of its own accord again |
| `find` | what the venue knows of a client order id; None where it certainly has no such order |
| `cancel` | ask for a cancel and return what became of the order; None where the venue has no such order |
| `orders` | every order of the symbol under a client order id that begins with `prefix`, open or changed since a time |
| `holdings` | base units that the account holds at the venue, whoever bought them; None where it can't be told |
| `restore` | on start: orders that the journal says are open; a venue with a memory ignores them |
| `on_bar` | the newest bar, for a venue that is simulated with it; what has changed by it |
| `clock_skew` | seconds that the venue's clock is ahead of ours, None where unknown |
| `settle_seconds` | how long after sending an order that the venue does not know may still arrive there |
| `aclose` | let go of connections |

`submit` returns a report, of a refused order as well (status REJECTED, with the reason). It raises
UnknownOutcomeError where the venue may or may not have the order, NotSentError where it certainly does not, and
FencedError where `fence` left no time to send. `fence()` gives the seconds for which this process may still trade:
an adapter asks right before the request leaves, and lets the venue drop a request that arrives later than that,
where the venue can.

Every method raises VenueUnavailableError (transient) where the venue gave no answer or a passing error, and
InvalidBotError for what only a change of the row or its credentials mends. No error text holds a credential.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol, TypeAlias

from bot_core.models.errors import TransientError
from bot_runtime.domain.bar import Bar
from bot_runtime.domain.market import MarketRules
from bot_runtime.domain.order import OrderIntent, OrderReport, RestingOrder

#: Seconds for which this process may still trade; below zero when it may not.
Fence: TypeAlias = Callable[[], float]


class VenueUnavailableError(TransientError):
    """The venue gave no answer, or an error that passes. Nothing was asked of it that changes anything."""


class UnknownOutcomeError(TransientError):
    """It is not known whether the venue has the order."""


class NotSentError(TransientError):
    """The venue certainly has not got the order: the connection failed first, or it was turned away unread."""


class FencedError(TransientError):
    """The lease leaves too little time to send: the order was held back."""


class Broker(Protocol):
    @property
    def account(self) -> str: ...
    @property
    def live(self) -> bool: ...
    @property
    def settle_seconds(self) -> float: ...
    @property
    def clock_skew(self) -> float | None: ...
    async def connect(self) -> MarketRules: ...
    async def submit(self, intent: OrderIntent, fence: Fence) -> OrderReport: ...
    async def find(self, client_order_id: str) -> OrderReport | None: ...
    async def cancel(self, client_order_id: str) -> OrderReport | None: ...
    async def orders(self, prefix: str, since: datetime) -> list[OrderReport]: ...
    async def holdings(self) -> Decimal | None: ...
    def restore(self, orders: Sequence[RestingOrder]) -> None: ...
    async def on_bar(self, bar: Bar) -> list[OrderReport]: ...
    async def aclose(self) -> None: ...
